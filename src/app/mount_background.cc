#include "app/mount_background.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "app/background.h"
#include "app/output.h"
#include "app/state_dir.h"
#include "control/files.h"
#include "io/socket.h"
#include "io/unique_fd.h"

namespace forebay {
namespace {

// Where a mount in the background leaves its messages. Errors: kDenied, kInvalidArgument.
Result<std::string> LogFile(const Context& context, const std::string& directory) {
  if (context.settings.Has("log")) return context.settings.Text("log");
  const Result<std::string> state = StateDirectory(context);
  if (!state.ok()) return state.error();
  const std::string mounts = state.value() + "/mounts";
  if (Status made = MakePrivateDirectory(mounts); !made.ok()) return made.error();
  constexpr std::size_t kNameMax = 200;
  std::string name =
      directory.substr(directory.size() > kNameMax ? directory.size() - kNameMax : 0);
  std::ranges::replace(name, '/', '-');
  return fmt::format("{}/{}.log", mounts, name);
}

// This command with --foreground; what it says goes to ours until it has mounted.
Result<pid_t> StartMount(const Context& context, const std::string& log, int output) {
  std::vector<std::string> words = {"forebay"};
  words.insert(words.end(), context.words.begin(), context.words.end());
  // Flags of the verb.
  words.insert(words.begin() + 2, {"--foreground", "--log=" + log, "--options=own-session"});
  return StartInBackground(std::move(words), output, STDERR_FILENO, BackgroundSession::kSame);
}

// Returns when the process in the background has mounted, or has ended.
int AwaitMounted(const Context& context, Interrupts& interrupts, pid_t pid, int output) {
  std::string said;
  std::array<char, 512> buffer{};
  while (said.find('\n') == std::string::npos) {
    if (interrupts.fired()) {
      kill(pid, SIGTERM);
      waitpid(pid, nullptr, 0);
      return kExitInterrupted;
    }
    constexpr std::chrono::milliseconds kPoll{100};
    if (!WaitFor(output, false, Clock::now() + kPoll)) continue;
    const ssize_t size = read(output, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    said.append(buffer.data(), static_cast<std::size_t>(size));
  }
  if (said.starts_with(kMounted)) {
    Note(context, said.substr(0, said.find('\n')));
    return kExitDone;
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) return WEXITSTATUS(status);  // It said why.
  Complain(context, "the process that was to serve the mount ended at once");
  return kExitFailed;
}

}  // namespace

int MountInBackground(const Context& context, Interrupts& interrupts,
                      const std::string& directory) {
  Result<std::string> log = LogFile(context, directory);
  if (!log.ok()) {
    Note(context, fmt::format("messages of the mount are lost: {}; name a --log FILE",
                              log.error().message()));
    log = std::string("/dev/null");
  }
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Ended(context, interrupts, Error(Code::kInternal, std::strerror(errno)));
  }
  const UniqueFd output(ends[0]);
  UniqueFd input(ends[1]);
  const Result<pid_t> pid = StartMount(context, log.value(), input.get());
  if (!pid.ok()) return Ended(context, interrupts, pid.error());
  input.Reset();
  return AwaitMounted(context, interrupts, pid.value(), output.get());
}

}  // namespace forebay
