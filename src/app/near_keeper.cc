#include "app/near_keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "app/mount_daemon.h"
#include "app/output.h"
#include "app/tier_place.h"
#include "base/log.h"
#include "io/message_socket.h"
#include "mount/supervisor.h"
#include "store/memory_tier.h"

namespace forebay {
namespace {

// How long a mount waits for its near worker.
constexpr std::chrono::seconds kStartPatience{5};
// ... and for its end, which the keeper sees to within Supervisor::kEndTimeout.
constexpr std::chrono::seconds kEndPatience{20};
constexpr int kPollMilliseconds = 5;

int KeepNear(const Context& context, const MountChoices& choices, const NearSetup& setup) {
  if (choices.own_session) setsid();
  // Whoever waits for the mount's last word is not kept waiting by us.
  TurnMessages(context);
  Supervisor supervisor;
  prctl(PR_SET_NAME, "forebay-keeper");
  const auto body = [&](int beats) {
    prctl(PR_SET_NAME, "forebay-near");
    return ServeNear(context, std::span(&choices.root, 1), setup, [] {}, beats);
  };
  // Nothing of whoever started this is kept busy.
  if (chdir("/") != 0) Log(Level::kWarning, "chdir", {{"error", std::strerror(errno)}});
  const UniqueFd nothing(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (nothing) dup2(nothing.get(), STDOUT_FILENO);
  const Supervisor::Ending ending = supervisor.Keep(
      {.what = "the near worker", .body = body, .on_first_beat = {}, .on_death = [] {}});
  // What one that was killed left.
  const Status removed = RemoveTier(setup.tier_directory);
  if (!removed.ok()) Log(Level::kWarning, "near tier", {{"error", removed.error().message()}});
  RemoveDefaultTier(setup.tier_directory);
  return ending == Supervisor::Ending::kGaveUp ? kExitFailed : kExitDone;
}

}  // namespace

Result<NearKeeper> NearKeeper::Start(const Context& context, const MountChoices& choices,
                                     const NearSetup& setup) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return Error(Code::kUnavailable, std::strerror(errno));
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(kExitFailed);
    _exit(KeepNear(context, choices, setup));
  }
  NearKeeper keeper(pid);
  const Deadline until = Clock::now() + kStartPatience;
  while (!ConnectForMessages(setup.socket).ok()) {
    const bool has_ended = waitpid(pid, nullptr, WNOHANG) == pid;
    if (has_ended) keeper.pid_ = -1;
    if (has_ended || Clock::now() >= until) {
      Note(context, "the near worker is not there yet; files are read without it until it is");
      break;
    }
    poll(nullptr, 0, kPollMilliseconds);
  }
  return keeper;
}

NearKeeper::NearKeeper(NearKeeper&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

NearKeeper::~NearKeeper() {
  if (pid_ < 0) return;
  kill(pid_, SIGTERM);
  const Deadline until = Clock::now() + kEndPatience;
  while (waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (Clock::now() < until) {
      poll(nullptr, 0, kPollMilliseconds);
      continue;
    }
    kill(pid_, SIGKILL);  // What it keeps gets SIGTERM with that.
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
    return;
  }
}

}  // namespace forebay
