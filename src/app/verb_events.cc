// forebay events [-w] [-o FORMAT]
#include <fmt/format.h>

#include "app/control_client.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/verbs.h"
#include "app/views.h"
#include "base/wall_clock.h"

namespace forebay {
namespace {

constexpr std::string_view kFormats[] = {"table", "wide", "json", "yaml"};
// Below the time after which a silent control counts as gone.
constexpr int kPollSeconds = 10;

std::string TargetOf(const Context& context, std::uint64_t since, bool wait) {
  std::string target = fmt::format("/v1/events?since={}", since);
  if (wait) target += fmt::format("&wait={}s", kPollSeconds);
  if (!context.settings.Has("namespace")) return target + "&all=true";
  return target + "&namespace=" + PercentEncode(context.settings.Text("namespace"));
}

// `first`: with a head, in a form that later ones can follow.
Result<std::string> Text(const std::string& answer, const EventsView& view,
                         const std::string& format, bool watch, bool first) {
  if (format == "json" || format == "yaml") {
    return watch ? RenderedEach(answer, format, "events") : Rendered(answer, format, "events");
  }
  ViewOptions options;
  options.wide = format == "wide";
  options.now_ns = WallClockNanoseconds();
  std::string text = EventTable(view.events, options);
  if (!first) text.erase(0, text.find('\n') + 1);
  return text;
}

}  // namespace

int RunEventsVerb(const Context& context) {
  Interrupts interrupts;
  const Result<std::string> format = OutputFormat(context, kFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return WrongInput(context, control.error());
  const bool watch = context.settings.Switch("watch");
  std::uint64_t since = 0;
  for (bool first = true;; first = false) {
    const Result<std::string> answer =
        control.value()->Ask({HttpMethod::kGet, TargetOf(context, since, !first)},
                             Clock::now() + kControlTimeout, interrupts.token());
    if (interrupts.fired()) return kExitInterrupted;
    if (!answer.ok()) return Failed(context, answer.error());
    const Result<EventsView> view = EventsOf(answer.value());
    if (!view.ok()) return Failed(context, view.error());
    since = view.value().next;
    if (first || !view.value().events.empty()) {
      const Result<std::string> text =
          Text(answer.value(), view.value(), format.value(), watch, first);
      if (!text.ok()) return Failed(context, text.error());
      const Status shown = WriteStdout(text.value());
      if (!watch || !shown.ok()) return Ended(context, interrupts, shown);
    }
  }
}

}  // namespace forebay
