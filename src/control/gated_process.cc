#include "control/gated_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace forebay {
namespace {

constexpr int kGate = STDERR_FILENO + 1;  // In the child.
constexpr int kNotRun = 127;              // As shells have it.

// In the child only functions may be called that POSIX calls async-signal-safe: locks of other
// threads of the parent stay locked here for ever.
void PrepareChild(int gate, const char* log) {
  if (gate != kGate) dup2(gate, kGate);
  fcntl(kGate, F_SETFD, FD_CLOEXEC);
  // Locks and sockets of the parent must not outlive it here.
  close_range(kGate + 1, ~0U, 0);
  setsid();
  struct sigaction fresh = {};
  fresh.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &fresh, nullptr);
  constexpr mode_t kPrivate = 0600;
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kPrivate);
  dup2(nothing, STDIN_FILENO);
  if (output < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0) {
    _exit(kNotRun);
  }
}

[[noreturn]] void RunChild(char* const* argv, char* const* envp) {
  char word = 0;
  ssize_t got = 0;
  do {
    got = read(kGate, &word, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) _exit(kNotRun);  // The parent died, or thought better of it.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(argv[0], argv, envp);
  const int reason = errno;
  static_cast<void>(write(kGate, &reason, sizeof(reason)) > 0);
  _exit(kNotRun);
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Result<GatedProcess> GatedProcess::Fork(const GatedProgram& program) {
  std::vector<std::string> words = {program.executable};
  words.insert(words.end(), program.arguments.begin(), program.arguments.end());
  std::vector<std::string> settings;
  for (const auto& [key, value] : program.environment) settings.push_back(key + "=" + value);
  const std::vector<char*> argv = Pointers(words);
  const std::vector<char*> envp = Pointers(settings);
  const auto failed = [&program](int number) {
    return Error(Code::kUnavailable,
                 fmt::format("start {}: {}", program.executable, strerror(number)));
  };
  std::array<int, 2> ends = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return failed(errno);
  UniqueFd gate(ends[0]);
  const UniqueFd childs(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return failed(errno);
  if (pid == 0) {
    PrepareChild(childs.get(), program.log.c_str());
    RunChild(argv.data(), envp.data());
  }
  return GatedProcess(pid, program.executable, std::move(gate));
}

Status GatedProcess::Run() {
  const char word = 'r';
  int reason = 0;
  // MSG_NOSIGNAL: a child that ended already must not end this process.
  if (send(gate_.get(), &word, 1, MSG_NOSIGNAL) != 1) {
    return Error(Code::kUnavailable, fmt::format("start {}: it ended at once", executable_));
  }
  ssize_t got = 0;
  do {  // The program's start closes the child's end.
    got = recv(gate_.get(), &reason, sizeof(reason), MSG_WAITALL);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return {};
  return Error(Code::kUnavailable, fmt::format("start {}: {}", executable_, strerror(reason)));
}

}  // namespace forebay
