// forebay load NAME [PATH|GLOB...]: asks for a load, and waits for it.
#include <fmt/format.h>

#include <optional>

#include "app/answers.h"
#include "app/control_client.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/table.h"
#include "app/verbs.h"
#include "base/units.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// An interrupt still pauses the load, which may take control this long.
constexpr auto kPauseTimeout = 3s;
constexpr auto kGrace = 5s;
// A control that is started again answers within this time.
constexpr auto kAbsentMax = 60s;

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// "100MiB/s" or "100MiB". Nothing given: 0, as fast as the store allows.
Result<std::uint64_t> ThrottleOf(const Context& context) {
  if (!context.settings.Has("throttle")) return std::uint64_t{0};
  const std::string& text = context.settings.Text("throttle");
  const bool per_second = text.ends_with("/s");
  const Result<std::uint64_t> rate = ParseSize(per_second ? text.substr(0, text.size() - 2) : text);
  if (rate.ok() && rate.value() > 0) return rate.value();
  return Invalid(fmt::format("--throttle \"{}\": not a rate; write one like 100MiB/s", text));
}

Result<std::string> BodyOf(const Context& context, const DatasetName& name) {
  const Result<std::uint64_t> throttle = ThrottleOf(context);
  if (!throttle.ok()) return throttle.error();
  const std::uint64_t replicas = context.settings.Count("replicas");
  if (replicas == 0) return Invalid("--replicas \"0\": nothing to hold; write at least 1");
  std::vector<std::string> paths;
  for (std::size_t i = 1; i < context.arguments.size(); ++i) {
    Result<std::string> path = DatasetPathOf(context.arguments[i]);
    if (!path.ok()) return std::move(path).error();
    paths.push_back(std::move(path).value());
  }
  RequestBody body;
  body.Set("dataset", name.name);
  body.Set("namespace", name.name_space);
  body.Set("paths", paths);
  body.Set("throttle", throttle.value());
  body.Set("replicas", replicas);
  return body.Text();
}

std::string DoneText(const LoadView& load) {
  return fmt::format("{} of {} files, {} of {}", load.done_files.value_or(0),
                     load.total_files ? std::to_string(*load.total_files) : "?",
                     SizeText(load.done_bytes), SizeText(load.total_bytes));
}

// Waits for one load.
class Follower {
 public:
  Follower(const Context& context, ControlClient& control, Interrupts& interrupts, LoadView load)
      : context_(context),
        control_(control),
        interrupts_(interrupts),
        load_(std::move(load)),
        answered_(Clock::now()) {
    if (context.settings.Has("timeout")) {
      deadline_ = Clock::now() + context.settings.Duration("timeout");
    }
  }

  // The exit code.
  int Run() {
    const std::optional<Error> error = Watch();
    if (interrupts_.fired()) return Interrupted();
    if (error) return Failed(context_, *error);
    if (load_.ended()) return Report();
    Complain(context_, fmt::format("not complete within {}: {}; load {} goes on, see `forebay "
                                   "loads`, or end it with `forebay load-cancel {}`",
                                   FormatDuration(context_.settings.Duration("timeout")),
                                   DoneText(load_), load_.id, load_.id));
    return kExitDeadline;
  }

 private:
  // Until the load has ended, the time is up or an interrupt came.
  std::optional<Error> Watch() {
    Progress progress(context_, 0, 0);
    while (true) {
      Show(progress);
      if (load_.ended() || interrupts_.fired() || (deadline_ && Passed(*deadline_))) return {};
      NoteWhenPaused();
      NoteReason();
      if (interrupts_.WaitFor(200ms)) return {};
      std::optional<Error> error = Look();
      if (error) return error;
    }
  }

  void Show(Progress& progress) const {
    if (!load_.total_bytes || !load_.total_files) return;  // NoteReason says what is awaited.
    progress.Update({.verb = {},
                     .done_bytes = load_.done_bytes.value_or(0),
                     .total_bytes = *load_.total_bytes,
                     .done_files = load_.done_files.value_or(0),
                     .total_files = *load_.total_files,
                     .bytes_per_second = load_.bytes_per_second,
                     .seconds_left = load_.eta_seconds});
  }

  void NoteWhenPaused() {
    const bool paused = load_.phase == "Paused";
    if (paused && !paused_) {
      Note(context_,
           fmt::format("load {0} was paused; it goes on with `forebay load-resume {0}`", load_.id));
    }
    paused_ = paused;
  }

  // What it waits for, each once.
  void NoteReason() {
    if (load_.ended() || load_.reason == reason_) return;
    reason_ = load_.reason;
    if (!reason_.empty()) Note(context_, fmt::format("load {} {}", load_.id, reason_));
  }

  // A control that is away for a while does not end the waiting.
  std::optional<Error> Look() {
    Result<std::string> answer =
        control_.Ask({HttpMethod::kGet, "/v1/loads/" + PercentEncode(load_.id)},
                     Clock::now() + kControlTimeout, interrupts_.token());
    if (!answer.ok()) {
      const Error& error = answer.error();
      if (error.code() != Code::kUnavailable || Passed(answered_ + kAbsentMax)) return error;
      if (!absent_) Note(context_, "control does not answer; waiting for it");
      absent_ = true;
      return {};
    }
    answered_ = Clock::now();
    absent_ = false;
    Result<LoadView> load = LoadOf(answer.value());
    if (!load.ok()) return std::move(load).error();
    load_ = std::move(load).value();
    return {};
  }

  int Interrupted() {
    const Result<std::string> paused = control_.Ask(
        {HttpMethod::kPost, fmt::format("/v1/loads/{}/pause", PercentEncode(load_.id))},
        Clock::now() + kPauseTimeout, {});
    if (paused.ok()) {
      Complain(context_, fmt::format("interrupted; load {0} is paused at {1}; go on with `forebay "
                                     "load-resume {0}`",
                                     load_.id, DoneText(load_)));
    } else if (!load_.ended()) {
      Complain(context_, fmt::format("interrupted; load {} could not be paused: {}", load_.id,
                                     paused.error().message()));
    }
    return kExitInterrupted;
  }

  int Report() const {
    if (load_.phase == "Complete") {
      if (!load_.reason.empty()) Note(context_, load_.reason);
      return Ended(context_, interrupts_,
                   WriteStdout(fmt::format("load/{} complete ({}, {})\n", load_.id,
                                           CountText(load_.done_files.value_or(0), "file"),
                                           SizeText(load_.done_bytes))));
    }
    if (load_.phase == "Cancelled") {
      Complain(context_, fmt::format("load {} was cancelled at {}; load again when it is wanted",
                                     load_.id, DoneText(load_)));
      return kExitFailed;
    }
    for (const MissingFileView& file : load_.missing_files) {
      Complain(context_, fmt::format("{}: {}", file.path, file.reason));
    }
    if (load_.missing == 0) {
      Complain(context_, fmt::format("load {} failed: {}", load_.id, load_.reason));
      return kExitFailed;
    }
    Complain(context_,
             fmt::format("load {} failed: {} missing{}{}; `forebay load {}` again asks for what is",
                         load_.id, CountText(load_.missing, "file"),
                         load_.reason.empty() ? "" : ": ", load_.reason, context_.arguments[0]));
    return kExitFailed;
  }

  const Context& context_;
  ControlClient& control_;
  Interrupts& interrupts_;
  LoadView load_;
  std::optional<Deadline> deadline_;
  Deadline answered_;  // When control last did.
  bool absent_ = false;
  bool paused_ = false;
  std::string reason_;
};

}  // namespace

int RunLoadVerb(const Context& context) {
  Interrupts interrupts(kGrace);
  const Result<DatasetName> name = DatasetNameOf(context, context.arguments[0]);
  if (!name.ok()) return WrongInput(context, name.error());
  const Result<std::string> body = BodyOf(context, name.value());
  if (!body.ok()) return WrongInput(context, body.error());
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return WrongInput(context, control.error());
  // Not to be interrupted: a load that was begun must be known, so that it can be paused.
  const Result<std::string> answer = control.value()->Ask(
      {HttpMethod::kPost, "/v1/loads?namespace=" + PercentEncode(name.value().name_space),
       body.value()},
      Clock::now() + kControlTimeout, {});
  if (!answer.ok()) return Failed(context, answer.error());
  const Result<LoadView> load = LoadOf(answer.value());
  if (!load.ok()) return Failed(context, load.error());
  if (context.settings.Switch("detach")) {
    return Ended(context, interrupts, WriteStdout(load.value().id + '\n'));
  }
  return Follower(context, *control.value(), interrupts, load.value()).Run();
}

}  // namespace forebay
