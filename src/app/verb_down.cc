// forebay down [--timeout 30s] [--force]
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "app/control_client.h"
#include "app/group_setup.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/verbs.h"
#include "control/control.h"

namespace forebay {
namespace {

constexpr std::chrono::milliseconds kPoll{50};
constexpr std::chrono::seconds kAskTimeout{5};

// Dead, starting, or so far in its end that it does not listen any more.
bool MayBeAway(Code code) {
  return code == Code::kUnavailable || code == Code::kDeadlineExceeded || code == Code::kCancelled;
}

}  // namespace

int RunDownVerb(const Context& context) {
  Interrupts interrupts;
  const Result<ControlOptions> options = ControlOptionsOf(context);
  if (!options.ok()) return WrongInput(context, options.error());
  const std::string& state = options.value().state_dir;
  if (access((state + "/registry.db").c_str(), F_OK) != 0) {
    if (errno == EACCES) {
      return Failed(context, {Code::kDenied,
                              fmt::format("--state-dir \"{}\": belongs to another user (permission "
                                          "denied); run this as that user",
                                          state)});
    }
    Note(context, fmt::format("no group was ever started in {}", state));
    return kExitDone;
  }
  const Deadline deadline = Clock::now() + context.settings.Duration("timeout");
  const Result<std::unique_ptr<ControlClient>> client = ControlClient::Find(context);
  if (!client.ok()) return Failed(context, client.error());
  Status drained;
  do {
    // Asked again and again: a control that is just starting does not listen yet.
    const Result<std::string> asked = client.value()->Ask(
        {.method = HttpMethod::kPost, .target = "/internal/v1/shutdown", .body = "{}"},
        Clock::now() + kAskTimeout, interrupts.token());
    if (!asked.ok() && !MayBeAway(asked.error().code())) return Failed(context, asked.error());
    // A control that drains holds its state dir until it is done.
    drained = DrainWithoutControl(options.value(), deadline);
    if (drained.ok() || drained.error().code() != Code::kUnavailable) break;
    interrupts.WaitFor(kPoll);
  } while (Clock::now() < deadline && !interrupts.fired());
  if (interrupts.fired()) return kExitInterrupted;
  if (!drained.ok() && drained.error().code() == Code::kUnavailable) {
    Complain(context,
             fmt::format("--timeout {}: control is still stopping its workers; run `forebay "
                         "down` again",
                         context.settings.Text("timeout")));
    return kExitFailed;
  }
  if (!drained.ok()) return Failed(context, drained.error());
  Note(context, "the group is stopped; its datasets are kept for the next `forebay up`");
  return kExitDone;
}

}  // namespace forebay
