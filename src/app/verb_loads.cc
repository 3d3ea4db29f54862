// forebay loads, load-pause ID, load-resume ID, load-cancel ID
#include <fmt/format.h>

#include "app/answers.h"
#include "app/control_client.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/verbs.h"
#include "app/views.h"
#include "base/wall_clock.h"

namespace forebay {
namespace {

// POST /v1/loads/ID/`action`; prints "load/ID `done`".
int Act(const Context& context, std::string_view action, std::string_view done) {
  Interrupts interrupts;
  std::string id = context.arguments[0];
  if (id.starts_with("load/")) id.erase(0, id.find('/') + 1);  // As `loads -o name` prints it.
  if (id.empty()) {
    return WrongInput(context,
                      {Code::kInvalidArgument, "ID \"\": empty; `forebay loads` shows the IDs"});
  }
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return WrongInput(context, control.error());
  const Result<std::string> answer = control.value()->Ask(
      {HttpMethod::kPost, fmt::format("/v1/loads/{}/{}", PercentEncode(id), action)},
      Clock::now() + kControlTimeout, interrupts.token());
  if (!answer.ok()) return Failed(context, answer.error());
  return Ended(context, interrupts, WriteStdout(fmt::format("load/{} {}\n", OneLine(id), done)));
}

}  // namespace

int RunLoadsVerb(const Context& context) {
  Interrupts interrupts;
  const Result<std::string> format = OutputFormat(context, kViewFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return WrongInput(context, control.error());
  const Result<std::string> answer =
      control.value()->Ask({HttpMethod::kGet, "/v1/loads?" + NamespaceQuery(context)},
                           Clock::now() + kControlTimeout, interrupts.token());
  if (!answer.ok()) return Failed(context, answer.error());
  const Result<std::vector<LoadView>> loads = LoadsOf(answer.value());
  if (!loads.ok()) return Failed(context, loads.error());
  ViewOptions options;
  options.wide = format.value() == "wide";
  options.now_ns = WallClockNanoseconds();
  Result<std::string> text = std::string();
  if (format.value() == "json" || format.value() == "yaml") {
    text = Rendered(answer.value(), format.value(), "loads");
  } else if (format.value() == "name") {
    text = LoadNames(loads.value());
  } else if (loads.value().empty()) {
    Note(context, "no loads; begin one with `forebay load NAME`");
  } else {
    text = LoadTable(loads.value(), options);
  }
  if (!text.ok()) return Failed(context, text.error());
  return Ended(context, interrupts, WriteStdout(text.value()));
}

int RunLoadPauseVerb(const Context& context) {
  return Act(context, "pause", "paused");
}

int RunLoadResumeVerb(const Context& context) {
  return Act(context, "resume", "resumed");
}

int RunLoadCancelVerb(const Context& context) {
  return Act(context, "cancel", "cancelled");
}

}  // namespace forebay
