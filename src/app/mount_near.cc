#include "app/mount_near.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "app/mount_daemon.h"
#include "app/output.h"
#include "app/state_dir.h"
#include "base/digest.h"
#include "client/dataset_url.h"
#include "io/message_socket.h"
#include "mount/pulse.h"
#include "mount/supervisor.h"

namespace forebay {
namespace {

// How long a mount waits for its near worker.
constexpr std::chrono::seconds kStartPatience{5};
constexpr int kPollMilliseconds = 5;

int KeepNear(const Context& context, const MountChoices& choices, const NearSetup& setup) {
  if (choices.own_session) setsid();
  // Whoever waits for the mount's last word is not kept waiting by us.
  TurnMessages(context);
  Supervisor supervisor;
  prctl(PR_SET_NAME, "forebay-keeper");
  const auto body = [&](int beats) {
    prctl(PR_SET_NAME, "forebay-near");
    std::optional<Pulse> pulse;
    return ServeNear(context, std::array{choices.root}, setup,
                     [&] { pulse.emplace(beats, [] { return true; }); });
  };
  const Supervisor::Ending ending = supervisor.Keep(
      {.what = "the near worker", .body = body, .on_first_beat = {}, .on_death = [] {}});
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
    if (Clock::now() >= until) {
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
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

Result<std::optional<NearSetup>> OwnNear(const Context& context, const MountChoices& choices,
                                         const std::string& directory) {
  if (choices.near_memory_bytes == 0) return std::optional<NearSetup>();
  const std::string name = fmt::format("near-{:016x}", DigestOf(directory).Low64());
  Result<NearSetup> setup = NearSetupOf(context, name, "--near-memory", choices.near_memory_bytes);
  if (!setup.ok()) return std::move(setup).error();
  return std::optional(std::move(setup).value());
}

std::string SharedNearSocket(const Context& context, const MountChoices& choices) {
  if (context.settings.Has("near-memory") || !IsDatasetUrl(choices.root)) return "";
  const Result<std::string> state = StateDirectory(context);
  if (!state.ok()) return "";
  return SocketAddress(state.value(), kSharedNearName).unix_path;
}

}  // namespace forebay
