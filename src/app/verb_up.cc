// forebay up [--workers N] [--memory-per-worker SIZE] [--listen HOST:PORT [--insecure]] [--detach]
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "app/background.h"
#include "app/control_client.h"
#include "app/group_setup.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/service_manager.h"
#include "app/state_dir.h"
#include "app/verbs.h"
#include "base/log.h"
#include "base/metrics.h"
#include "control/control.h"
#include "control/files.h"
#include "io/unique_fd.h"

namespace forebay {
namespace {

constexpr std::chrono::milliseconds kPoll{50};
constexpr std::chrono::seconds kReadyTimeout{60};
constexpr std::chrono::seconds kDrainTimeout{30};

std::string Where(const ControlOptions& options, const std::optional<Address>& listen) {
  return listen ? fmt::format("{} and http://{}", options.unix_address.text, listen->text)
                : options.unix_address.text;
}

// Serves until a signal or `down`.
int Serve(const Context& context, Interrupts& interrupts, const ControlOptions& options) {
  // Where sockets do not fit into the state directory, their other directory must be there.
  for (const std::string& directory : {options.state_dir, options.state_dir + "/workers"}) {
    const Result<Address> prepared = PrepareSocketAddress(directory, "control");
    if (!prepared.ok()) return Failed(context, prepared.error());
  }
  Result<std::unique_ptr<Control>> control = Control::Start(options);
  if (!control.ok()) return Failed(context, control.error());
  Metrics().SetGauge("forebay_build_info", "The version of this process.",
                     {{"version", options.version}}, [] { return 1.0; });
  const auto ended = [&] { return interrupts.fired() || control.value()->ShutdownRequested(); };
  while (!ended() && !control.value()->Ready()) interrupts.WaitFor(kPoll);
  if (!ended()) {
    // That nobody listens to it does not keep the group from serving.
    static_cast<void>(WriteStdout(fmt::format("ready {} workers={} control={}\n", options.group,
                                              control.value()->ready_workers(),
                                              Where(options, control.value()->listen_address())))
                          .ok());
    TellServiceManager(context, "READY=1");
  }
  while (!ended()) interrupts.WaitFor(kPoll);
  TellServiceManager(context, "STOPPING=1");
  Note(context, "stopping the workers; their caches go with them");
  control.value()->Drain(Clock::now() + kDrainTimeout);
  return kExitDone;
}

// The same command without --detach, with a log for its output.
Result<pid_t> StartDetached(int log) {
  Result<std::vector<std::string>> words = OwnWords();
  if (!words.ok()) return std::move(words).error();
  std::erase_if(words.value(),
                [](const std::string& word) { return word.starts_with("--detach"); });
  return StartInBackground(std::move(words).value(), log, log);
}

// The last lines of `path`, from byte `begin` on: why a process that is gone ended.
std::string Tail(const std::string& path, std::size_t begin) {
  constexpr std::size_t kLogBytesMax = 64u << 20;
  constexpr std::size_t kShown = 2000;
  const Result<std::string> text = ReadFile(path, kLogBytesMax);
  if (!text.ok() || text.value().size() <= begin) return "";
  std::string tail = text.value().substr(begin);
  if (tail.size() > kShown) tail = tail.substr(tail.size() - kShown);
  while (tail.ends_with('\n')) tail.pop_back();
  return tail;
}

int Detach(const Context& context, Interrupts& interrupts, const ControlOptions& options) {
  const Status made = MakePrivateDirectory(options.state_dir);
  if (!made.ok()) return Failed(context, Error(made.error()).Within("--state-dir"));
  const std::string log = options.state_dir + "/control.log";
  constexpr mode_t kPrivate = 0600;
  const UniqueFd writable(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kPrivate));
  if (writable.get() < 0) {
    return Failed(context, {Code::kDenied, fmt::format("--state-dir \"{}\": cannot be written: {}; "
                                                       "name a directory of this user's own",
                                                       options.state_dir, strerror(errno))});
  }
  const Result<std::string> before = ReadFile(log, 64u << 20);
  const std::size_t log_begin = before.ok() ? before.value().size() : 0;
  const Result<pid_t> pid = StartDetached(writable.get());
  if (!pid.ok()) return Failed(context, pid.error());
  const Result<std::unique_ptr<ControlClient>> client = ControlClient::Find(context);
  if (!client.ok()) return Failed(context, client.error());
  const Deadline until = Clock::now() + kReadyTimeout;
  std::string why = "control does not answer yet";
  while (Clock::now() < until && !interrupts.fired()) {
    int status = 0;
    if (waitpid(pid.value(), &status, WNOHANG) == pid.value()) {
      const std::string said = Tail(log, log_begin);
      // It says what is wrong under its own verb already.
      fmt::print(stderr, "{}\n", said.empty() ? "up: ended at once; see " + log : said);
      return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : kExitFailed;
    }
    const Result<std::string> ready =
        client.value()->Ask({.target = "/readyz"}, Clock::now() + kPoll * 20, interrupts.token());
    // A group that was there before, or won a race for the state dir, is not what was started.
    if (ready.ok() && HoldsStateDir(options.state_dir, pid.value())) {
      static_cast<void>(WriteStdout(fmt::format("ready {} workers={} control={}\n", options.group,
                                                options.workers, options.unix_address.text))
                            .ok());
      Note(context, "next: forebay dataset create NAME --mount URL; forebay status; forebay down");
      return kExitDone;
    }
    if (!ready.ok()) why = ready.error().message();
    interrupts.WaitFor(kPoll);
  }
  if (interrupts.fired()) return kExitInterrupted;
  Complain(context,
           fmt::format("not ready after 60s: {}; it goes on trying: `forebay events` and {} "
                       "say more, `forebay down` ends it",
                       why, log));
  return kExitFailed;
}

}  // namespace

int RunUpVerb(const Context& context) {
  Interrupts interrupts(std::chrono::milliseconds(0));
  const Result<ControlOptions> options = ControlOptionsOf(context);
  if (!options.ok()) return WrongInput(context, options.error());
  const std::uint64_t memory = context.settings.Size("memory-per-worker");
  if (memory < options.value().block_bytes_max) {
    return WrongInput(context, {Code::kInvalidArgument,
                                "--memory-per-worker: below one block; write at least that of "
                                "--block-size-max"});
  }
  // Workers that run already have their memory.
  if (access((options.value().state_dir + "/group.json").c_str(), F_OK) != 0) {
    const Status fits = CheckMemory(options.value().workers, memory);
    if (!fits.ok()) return WrongInput(context, fits.error());
  }
  if (context.settings.Switch("detach")) return Detach(context, interrupts, options.value());
  return Serve(context, interrupts, options.value());
}

}  // namespace forebay
