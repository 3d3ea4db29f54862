// forebay doctor [--mount URL]... [-o json]
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "app/answers.h"
#include "app/control_client.h"
#include "app/dataset_flags.h"
#include "app/doctor.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/state_dir.h"
#include "app/verbs.h"
#include "upstream/upstream.h"

namespace forebay {
namespace {

// A person waits; what does not answer in this time is broken for readers too.
constexpr std::chrono::milliseconds kProbeTimeout(5000);

Finding CheckCredentials(const Context& context, const OptionMap& options) {
  const Result<UpstreamOptions> resolved = ResolveOptions(options, context.environment);
  if (!resolved.ok()) {
    return {"s3", Health::kFail, resolved.error().message(),
            "mend that setting, --option, or ~/.aws/config"};
  }
  if (resolved.value().anonymous) {
    return {"s3", Health::kOk, "anonymous requests, as anonymous=true says"};
  }
  if (resolved.value().access_key_id.empty()) {
    return {"s3", Health::kWarn, "no credentials; only s3:// stores need them",
            "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, where `up` runs; "
            "or give --secret to `dataset create`"};
  }
  const std::string& endpoint = resolved.value().endpoint;
  return {"s3", Health::kOk,
          fmt::format("credentials are there, region {}, endpoint {}", resolved.value().region,
                      endpoint.empty() ? "of AWS" : endpoint)};
}

Finding CheckStore(const Context& context, const MountView& mount, const OptionMap& options,
                   std::stop_token stop) {
  const auto failed = [&mount](const Error& error) {
    return Finding{"store", Health::kFail, fmt::format("{}: {}", mount.url, error.message()),
                   error.code() == Code::kNotFound
                       ? "check the name, and that this user or key may list it"
                       : "check --option endpoint and region, the network, and the credentials"};
  };
  Result<Location> location = ParseLocation(mount.url);
  const Result<UpstreamOptions> resolved = ResolveOptions(options, context.environment);
  if (!location.ok()) return failed(location.error());
  if (!resolved.ok()) return failed(resolved.error());
  std::string path = location.value().path;
  if (!path.empty() && !path.ends_with('/')) path += '/';
  Location root = location.value();
  if (root.scheme == "file") root.path.clear();
  const Result<std::unique_ptr<Upstream>> upstream = MakeUpstream(root, resolved.value());
  if (!upstream.ok()) return failed(upstream.error());
  const auto begun = Clock::now();
  const auto page = upstream.value()->List(path, "", begun + kProbeTimeout, std::move(stop));
  if (!page.ok()) return failed(page.error());
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun);
  return {"store", Health::kOk, fmt::format("{} can be listed, in {} ms", mount.url, took.count())};
}

// Of the group that runs, if there is one: its control, workers and datasets.
std::vector<Finding> CheckGroup(const Context& context, ControlClient& control,
                                std::stop_token stop) {
  const Result<std::string> answer = control.Ask({HttpMethod::kGet, "/v1/status?all=true"},
                                                 Clock::now() + kProbeTimeout, std::move(stop));
  if (!answer.ok()) {
    // Nothing has to run here.
    const bool asked = context.settings.Has("control");
    const std::string& message = answer.error().message();  // What is wrong; what to do.
    const std::size_t end = std::min(message.find("; "), message.size());
    return {{"control", asked ? Health::kFail : Health::kWarn, message.substr(0, end),
             end < message.size() ? message.substr(end + 2) : "forebay up"}};
  }
  const Result<StatusView> status = StatusOf(answer.value());
  if (!status.ok()) return {{"control", Health::kFail, status.error().message(), "mend --control"}};
  std::vector<Finding> findings = {
      {"control", Health::kOk, "answers, version " + status.value().version}};
  const auto& workers = status.value().workers;
  const auto ready = std::ranges::count(workers, "Ready", &WorkerView::state);
  const std::string counted = fmt::format("{} of {} ready", ready, workers.size());
  if (ready == static_cast<std::ptrdiff_t>(workers.size())) {
    findings.push_back({"workers", Health::kOk, counted});
  } else {
    findings.push_back({"workers", ready == 0 ? Health::kFail : Health::kWarn, counted,
                        "forebay status -o wide, forebay events"});
  }
  for (const DatasetView& dataset : status.value().datasets) {
    const std::string name = dataset.name + '.' + dataset.name_space;
    std::string why = name + " is " + (dataset.phase.empty() ? "of no phase" : dataset.phase);
    bool sound = dataset.phase == "Bound";
    for (const ConditionView& condition : dataset.conditions) {
      if (condition.status == "True") continue;
      sound = false;
      why += fmt::format("; {}: {}", condition.reason, condition.message);
    }
    if (sound) {
      findings.push_back({"dataset", Health::kOk, name + " is bound"});
      continue;
    }
    findings.push_back({"dataset", Health::kWarn, why, "forebay dataset show " + name});
  }
  return findings;
}

}  // namespace

int RunDoctorVerb(const Context& context) {
  Interrupts interrupts;
  constexpr std::string_view kFormats[] = {"table", "wide", "json", "yaml"};
  const Result<std::string> format = OutputFormat(context, kFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  const Result<std::vector<MountView>> mounts = MountsOf(context);
  if (!mounts.ok()) return WrongInput(context, mounts.error());
  const Result<OptionMap> options = StoreOptionsOf(context);
  if (!options.ok()) return WrongInput(context, options.error());
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return WrongInput(context, control.error());
  const Result<std::string> state = StateDirectory(context);
  if (!state.ok()) return WrongInput(context, state.error());

  std::vector<Finding> findings = CheckMachine();
  findings.push_back(CheckStateDirectory(state.value()));
  findings.push_back(CheckCredentials(context, options.value()));
  for (const MountView& mount : mounts.value()) {
    findings.push_back(CheckStore(context, mount, options.value(), interrupts.token()));
  }
  for (Finding& finding : CheckGroup(context, *control.value(), interrupts.token())) {
    findings.push_back(std::move(finding));
  }
  if (interrupts.fired()) return kExitInterrupted;
  Result<std::string> text = FindingsText(findings, TerminalColumns(STDOUT_FILENO));
  if (format.value() == "json" || format.value() == "yaml") {
    text = Rendered(FindingsJson(findings), format.value());
  }
  if (!text.ok()) return Failed(context, text.error());
  const int code = Ended(context, interrupts, WriteStdout(text.value()));
  const bool fails = std::ranges::find(findings, Health::kFail, &Finding::health) != findings.end();
  return code == kExitDone && fails ? kExitFailed : code;
}

}  // namespace forebay
