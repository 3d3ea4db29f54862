// forebay status [NAME] [-o FORMAT] [--watch]
#include <fmt/format.h>
#include <unistd.h>

#include "app/control_client.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/verbs.h"
#include "app/views.h"
#include "base/wall_clock.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

struct Query {
  std::string target;
  std::string dataset;  // Empty: all.
};

Result<Query> QueryOf(const Context& context) {
  if (context.arguments.empty()) {
    if (!context.settings.Has("namespace")) return Query{"/v1/status?all=true", {}};
    return Query{"/v1/status?namespace=" + PercentEncode(context.settings.Text("namespace")), {}};
  }
  const Result<DatasetName> name = DatasetNameOf(context, context.arguments[0]);
  if (!name.ok()) return name.error();
  return Query{
      fmt::format("/v1/status?namespace={}&dataset={}", PercentEncode(name.value().name_space),
                  PercentEncode(name.value().name)),
      name.value().name};
}

// Of an answer in the form that was asked for.
Result<std::string> Text(const Query& query, std::string_view format, bool watch,
                         const std::string& answer) {
  const Result<StatusView> status = StatusOf(answer);
  if (!status.ok()) return status.error();
  if (!query.dataset.empty() && status.value().datasets.empty()) {
    return Error(Code::kNotFound,
                 fmt::format("NAME \"{}\": no such dataset; `forebay datasets -A` shows them",
                             query.dataset));
  }
  if (format == "json") return Rendered(answer, watch ? "line" : "json");
  if (format == "yaml") {
    Result<std::string> yaml = Rendered(answer, "yaml");
    if (yaml.ok() && watch) yaml.value().insert(0, "---\n");
    return yaml;
  }
  if (format == "name") return StatusNames(status.value());
  ViewOptions options;
  options.wide = format == "wide";
  options.now_ns = WallClockNanoseconds();
  return StatusText(status.value(), options);
}

// Draws over what was drawn before, without flicker, or appends what differs from the last time.
Status Show(const std::string& text, bool draw, std::string& last) {
  if (!draw) {
    if (text == last) return {};
    last = text;
    return WriteStdout(text);
  }
  const std::size_t columns = TerminalColumns(STDOUT_FILENO);
  std::string drawn = last.empty() ? "\x1b[2J\x1b[H" : "\x1b[H";
  last = text;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    drawn += text.substr(begin, std::min(end - begin, columns)) + "\x1b[K\n";
    begin = end + 1;
  }
  return WriteStdout(drawn + "\x1b[J");
}

}  // namespace

int RunStatusVerb(const Context& context) {
  Interrupts interrupts;
  const Result<std::string> format = OutputFormat(context, kViewFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  const Result<Query> query = QueryOf(context);
  if (!query.ok()) return WrongInput(context, query.error());
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return WrongInput(context, control.error());
  const bool watch = context.settings.Switch("watch");
  const bool people = format.value() == "table" || format.value() == "wide";
  const bool draw = watch && people && isatty(STDOUT_FILENO) == 1;
  std::string last;
  while (true) {
    const Result<std::string> answer =
        control.value()->Ask({HttpMethod::kGet, query.value().target},
                             Clock::now() + kControlTimeout, interrupts.token());
    if (interrupts.fired()) return kExitInterrupted;
    if (!answer.ok()) return Failed(context, answer.error());
    const Result<std::string> text = Text(query.value(), format.value(), watch, answer.value());
    if (!text.ok()) return Failed(context, text.error());
    const Status shown = Show(text.value(), draw, last);
    if (!watch || !shown.ok()) return Ended(context, interrupts, shown);
    if (interrupts.WaitFor(1s)) return kExitInterrupted;
  }
}

}  // namespace forebay
