#include "app/control_client.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "app/output.h"
#include "app/state_dir.h"

namespace forebay {
namespace {

constexpr std::string_view kStart = "start a group with `forebay up`";

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// RFC 9457: `detail`, else `title`, else whatever there is; and what is wrong in which document.
std::string ProblemOf(const HttpAnswer& answer) {
  const auto json = nlohmann::json::parse(answer.body, nullptr, false);
  if (!json.is_object()) {
    constexpr std::size_t kShownMax = 200;
    const std::string shown = answer.body.substr(0, kShownMax);
    return fmt::format("control answered with status {}{}{}", answer.status(),
                       shown.empty() ? "" : ": ", shown);
  }
  for (const char* key : {"detail", "title"}) {
    const auto found = json.find(key);
    if (found != json.end() && found->is_string() && !found->get_ref<const std::string&>().empty())
      return found->get<std::string>();
  }
  return fmt::format("control answered with status {}", answer.status());
}

Code CodeOf(int status) {
  switch (status) {
    case 400:
    case 413:
    case 415:
    case 422: return Code::kInvalidArgument;
    case 401:
    case 403:
    case 409: return Code::kDenied;
    case 404: return Code::kNotFound;
    case 408:
    case 504: return Code::kDeadlineExceeded;
    case 429: return Code::kOverloaded;
    case 502:
    case 503: return Code::kUnavailable;
    default: return Code::kInternal;
  }
}

HttpClientOptions OptionsOf() {
  HttpClientOptions options;
  options.connections_max = 2;
  options.stall_timeout = kControlTimeout;  // Control may be silent as long as a call may take.
  return options;
}

}  // namespace

ControlClient::ControlClient(HttpEndpoint endpoint)
    : endpoint_(std::move(endpoint)), http_(OptionsOf()) {}

Result<std::unique_ptr<ControlClient>> ControlClient::Find(const Context& context) {
  std::string text;
  if (context.settings.Has("control")) {
    text = context.settings.Text("control");
  } else {
    const Result<std::string> state = StateDirectory(context);
    if (!state.ok()) return state.error();
    text = SocketAddress(state.value(), "control").text;
  }
  Result<HttpEndpoint> endpoint = ParseHttpEndpoint(text);
  if (!endpoint.ok()) return std::move(endpoint).error().Within("--control");
  return std::unique_ptr<ControlClient>(new ControlClient(std::move(endpoint).value()));
}

Error ControlClient::Unreachable(const Error& cause) const {
  const std::string& path = endpoint_.unix_path;
  if (path.empty()) {
    return {Code::kUnavailable,
            fmt::format("no control answers at {} ({}); {} --listen there, or name another with "
                        "--control",
                        endpoint_.text, cause.message(), kStart)};
  }
  // A folder that may not be searched says so; nothing is known of what is in it.
  const bool there = access(path.c_str(), F_OK) == 0 || errno == EACCES;
  if (!there) {
    return {Code::kUnavailable,
            fmt::format("no group is running ({} is not there); {}, or name one with --state-dir "
                        "or --control",
                        path, kStart)};
  }
  if (access(path.c_str(), W_OK) != 0) {
    return {
        Code::kDenied,
        fmt::format(
            "{} belongs to another user (permission denied); ask as that user, or use --control "
            "http://HOST:PORT",
            path)};
  }
  return {Code::kUnavailable,
          fmt::format("the control of {} does not answer; `forebay up` with the same --state-dir "
                      "starts one that goes on with its workers",
                      path)};
}

Result<std::string> ControlClient::Ask(const HttpCall& call, Deadline deadline,
                                       std::stop_token stop) {
  Result<HttpAnswer> answer = Call(http_, endpoint_, call, deadline, stop);
  if (!answer.ok()) {
    if (answer.error().code() == Code::kUnavailable) return Unreachable(answer.error());
    return std::move(answer).error();
  }
  constexpr int kFirstNotDone = 300;
  constexpr int kFirstDone = 200;
  const int status = answer.value().status();
  if (status >= kFirstDone && status < kFirstNotDone) return std::move(answer).value().body;
  return Error(CodeOf(status), ProblemOf(answer.value()));
}

int ExitCodeOf(const Error& error) {
  if (error.code() == Code::kInvalidArgument) return kExitUsage;
  return error.code() == Code::kCancelled ? kExitInterrupted : kExitFailed;
}

int Failed(const Context& context, const Error& error) {
  if (error.code() != Code::kCancelled) Complain(context, error.message());
  return ExitCodeOf(error);
}

std::string DatasetName::Target(const std::string& suffix) const {
  return fmt::format("/v1/datasets/{}{}?namespace={}", PercentEncode(name), suffix,
                     PercentEncode(name_space));
}

std::string NamespaceQuery(const Context& context) {
  if (context.settings.Switch("all-namespaces")) return "all=true";
  return "namespace=" + PercentEncode(context.settings.Text("namespace"));
}

Result<DatasetName> DatasetNameOf(const Context& context, const std::string& text) {
  // Verbs that show all namespaces have no default.
  const std::string given =
      context.settings.Has("namespace") ? context.settings.Text("namespace") : "default";
  const std::size_t dot = text.find('.');
  if (dot == std::string::npos) {
    if (text.empty()) return Invalid("NAME \"\": empty; `forebay datasets` shows the names");
    return DatasetName{text, given};
  }
  DatasetName name{text.substr(0, dot), text.substr(dot + 1)};
  if (name.name.empty() || name.name_space.empty() ||
      name.name_space.find('.') != std::string::npos) {
    return Invalid(fmt::format("NAME \"{}\": write NAME, or NAME.NAMESPACE", text));
  }
  if (given != "default" && given != name.name_space) {
    return Invalid(fmt::format("NAME \"{}\": is not in --namespace \"{}\"; leave out one of them",
                               text, given));
  }
  return name;
}

Result<std::string> DatasetPathOf(const std::string& text) {
  if (text.empty()) return Invalid("PATH \"\": empty; write / for the whole dataset");
  if (text.find("://") != std::string::npos) {
    return Invalid(
        fmt::format("PATH \"{}\": a URL; write a path of the dataset, such as /2024", text));
  }
  return text.starts_with('/') ? text : '/' + text;
}

}  // namespace forebay
