// forebay wait NAME --cached RATIO [--path P] [--workers N] [--timeout 10m]
#include <fmt/format.h>

#include <algorithm>

#include "app/answers.h"
#include "app/control_client.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/table.h"
#include "app/verbs.h"
#include "base/units.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

// One poll: below the time after which a silent control counts as gone.
constexpr std::chrono::milliseconds kPollMax = 10s;
constexpr std::chrono::milliseconds kAnswerTime = 10s;  // For control to say so, after the poll.

// The target without its timeout.
Result<std::string> TargetOf(const Context& context) {
  const Settings& settings = context.settings;
  const Result<DatasetName> name = DatasetNameOf(context, context.arguments[0]);
  if (!name.ok()) return name.error();
  if (!settings.Has("cached") && !settings.Has("workers")) {
    return Error(Code::kInvalidArgument,
                 "--cached is missing; write --cached 95%, or --workers N for ready workers alone");
  }
  std::string target = name.value().Target("/wait");
  if (settings.Has("cached")) target += fmt::format("&cached={}", settings.Ratio("cached"));
  if (settings.Has("workers")) target += fmt::format("&workers={}", settings.Count("workers"));
  if (settings.Has("path")) {
    const Result<std::string> path = DatasetPathOf(settings.Text("path"));
    if (!path.ok()) return Error(path.error()).Within("--path");
    target += "&path=" + PercentEncode(path.value());
  }
  return target;
}

std::string MissingText(const Context& context, const WaitView& view) {
  const Settings& settings = context.settings;
  std::string text = fmt::format("not so within {}", FormatDuration(settings.Duration("timeout")));
  if (settings.Has("cached")) {
    text += view.cached_ratio
                ? fmt::format(": {} cached, {} wanted", PercentText(view.cached_ratio),
                              PercentText(settings.Ratio("cached")))
                : std::string(": how much there is to cache is not known yet");
  }
  if (settings.Has("workers")) {
    text += fmt::format(": {} workers ready, {} wanted", view.ready, settings.Count("workers"));
  }
  if (!view.reason.empty()) text += "; " + view.reason;
  if (settings.Has("cached")) {
    text += fmt::format("; `forebay load {}` fills the cache", context.arguments[0]);
  }
  return text;
}

}  // namespace

int RunWaitVerb(const Context& context) {
  Interrupts interrupts;
  const Result<std::string> target = TargetOf(context);
  if (!target.ok()) return WrongInput(context, target.error());
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return WrongInput(context, control.error());
  const Deadline deadline = Clock::now() + context.settings.Duration("timeout");
  while (true) {
    const std::chrono::milliseconds poll = std::min<std::chrono::milliseconds>(
        kPollMax, std::chrono::milliseconds(MillisecondsUntil(deadline)));
    const Result<std::string> answer = control.value()->Ask(
        {HttpMethod::kGet, fmt::format("{}&timeout={}ms", target.value(), poll.count())},
        Clock::now() + poll + kAnswerTime, interrupts.token());
    if (interrupts.fired()) return kExitInterrupted;
    if (!answer.ok()) return Failed(context, answer.error());
    const Result<WaitView> view = WaitOf(answer.value());
    if (!view.ok()) return Failed(context, view.error());
    if (view.value().reached) return kExitDone;
    if (Passed(deadline)) {
      Complain(context, MissingText(context, view.value()));
      return kExitDeadline;
    }
    // A control that answers at once is not asked more often than this.
    constexpr std::chrono::milliseconds kPause(100);
    if (interrupts.WaitFor(kPause)) return kExitInterrupted;
  }
}

}  // namespace forebay
