#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

extern "C" {  // The header of glibc 2.36 does not say so itself.
#include <sys/pidfd.h>
}

#include "base/log.h"
#include "control/files.h"
#include "control/launcher.h"

namespace forebay {
namespace {

constexpr const char* kRecordSuffix = ".pid";
constexpr std::uintmax_t kLogBytesMax = 16u << 20;  // A longer log is begun anew.

// When the process was started, in clock ticks since boot; nothing if there is none. proc(5).
std::optional<std::uint64_t> StartTicks(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  const std::size_t name_end = text.rfind(')');  // The name may hold anything.
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  constexpr int kBeforeStart = 19;  // Fields 3 to 21.
  std::string field;
  for (int i = 0; i < kBeforeStart; ++i) fields >> field;
  std::uint64_t ticks = 0;
  if (!(fields >> ticks)) return std::nullopt;
  return ticks;
}

struct Record {
  int pid = 0;
  std::uint64_t start_ticks = 0;
};

std::optional<Record> ReadRecord(const std::string& path) {
  std::ifstream file(path);
  Record record;
  if (!(file >> record.pid >> record.start_ticks) || record.pid <= 1) return std::nullopt;
  return record;
}

// A process of that pid which was started at that time; unset if there is none (any more).
UniqueFd OpenProcess(const Record& record) {
  UniqueFd pidfd(pidfd_open(record.pid, 0));
  // Looked at after the descriptor was made: it cannot become another process's.
  if (pidfd.get() >= 0 && StartTicks(record.pid) != record.start_ticks) pidfd.Reset();
  return pidfd;
}

// The last line that a worker wrote: mostly why it ended.
std::string LastLine(const std::string& log) {
  constexpr std::streamoff kLookedAt = 1000;
  std::ifstream file(log, std::ios::ate);
  const std::streamoff size = file.tellg();
  if (size <= 0) return "";
  file.seekg(std::max<std::streamoff>(0, size - kLookedAt));
  std::string last;
  for (std::string line; std::getline(file, line);) last = line;
  return last;
}

std::string EndingOf(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return fmt::format("exited with status {}", info.si_status);
  return fmt::format("killed by signal {}", info.si_status);
}

// Standard streams of a worker: nothing to read, a log to write.
class SpawnFiles {
 public:
  explicit SpawnFiles(const std::string& log) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    constexpr mode_t kPrivate = 0600;
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, log.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, kPrivate);
    posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
  }
  ~SpawnFiles() { posix_spawn_file_actions_destroy(&actions_); }
  SpawnFiles(const SpawnFiles&) = delete;
  SpawnFiles& operator=(const SpawnFiles&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

// Starts the program in a session of its own, with signals as a fresh process has them.
Result<int> Spawn(const std::string& executable, const std::vector<std::string>& arguments,
                  const std::map<std::string, std::string>& environment, const std::string& log) {
  std::vector<std::string> words = {executable};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> settings;
  for (const auto& [key, value] : environment) settings.push_back(key + "=" + value);
  std::vector<char*> envp;
  for (std::string& setting : settings) envp.push_back(setting.data());
  envp.push_back(nullptr);
  const SpawnFiles files(log);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failed =
      posix_spawn(&pid, executable.c_str(), files.get(), &attributes, argv.data(), envp.data());
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    return Error(Code::kUnavailable, fmt::format("start {}: {}", executable, strerror(failed)));
  }
  return pid;
}

}  // namespace

Result<std::unique_ptr<ProcessLauncher>> ProcessLauncher::Create(ProcessLauncherOptions options) {
  Status made = MakePrivateDirectory(options.directory);
  if (!made.ok()) return std::move(made).error();
  std::unique_ptr<ProcessLauncher> launcher(new ProcessLauncher(std::move(options)));
  Status adopted = launcher->Adopt();
  if (!adopted.ok()) return std::move(adopted).error();
  return launcher;
}

std::string ProcessLauncher::RecordOf(const std::string& name) const {
  return fmt::format("{}/{}{}", options_.directory, name, kRecordSuffix);
}

std::string ProcessLauncher::LogOf(const std::string& name) const {
  return fmt::format("{}/{}.log", options_.directory, name);
}

Status ProcessLauncher::Adopt() {
  MutexLock lock(mutex_);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options_.directory, error)) {
    if (entry.path().extension() != kRecordSuffix) continue;
    const std::optional<Record> record = ReadRecord(entry.path().string());
    Process process;
    process.ending = "ended while nobody watched it";
    if (record) {
      process.pid = record->pid;
      process.pidfd = OpenProcess(*record);
    }
    processes_.emplace(entry.path().stem().string(), std::move(process));
  }
  if (error) {
    return Error(Code::kUnavailable,
                 fmt::format("read {}: {}", options_.directory, error.message()));
  }
  return {};
}

void ProcessLauncher::LookAt(Process& process, const std::string& log) {
  if (process.pidfd.get() < 0) return;
  pollfd ready{.fd = process.pidfd.get(), .events = POLLIN, .revents = 0};
  if (poll(&ready, 1, 0) <= 0) return;
  siginfo_t info{};
  if (process.child &&
      waitid(P_PIDFD, static_cast<id_t>(process.pidfd.get()), &info, WEXITED | WNOHANG) == 0 &&
      info.si_pid != 0) {
    process.ending = EndingOf(info);
  }
  if (const std::string line = LastLine(log); !line.empty()) process.ending += "; last: " + line;
  process.pidfd.Reset();
}

std::vector<LaunchedProcess> ProcessLauncher::Observe() {
  MutexLock lock(mutex_);
  std::vector<LaunchedProcess> seen;
  for (auto& [name, process] : processes_) {
    LookAt(process, LogOf(name));
    const bool running = process.pidfd.get() >= 0;
    seen.push_back({.name = name,
                    .pid = process.pid,
                    .running = running,
                    .ending = running ? "" : process.ending});
  }
  return seen;
}

Status ProcessLauncher::Start(const std::string& name) {
  MutexLock lock(mutex_);
  const std::string log = LogOf(name);
  std::error_code ignored;
  if (const auto bytes = std::filesystem::file_size(log, ignored);
      !ignored && bytes > kLogBytesMax) {
    std::filesystem::remove(log, ignored);
  }
  const Result<int> pid =
      Spawn(options_.executable, options_.arguments(name), options_.environment, log);
  if (!pid.ok()) return pid.error();
  Process process;
  process.pid = pid.value();
  process.child = true;
  process.ending = "ended";
  // It cannot have been reaped yet, so this pid is still its own.
  process.pidfd = UniqueFd(pidfd_open(pid.value(), 0));
  const std::uint64_t ticks = StartTicks(pid.value()).value_or(0);
  processes_.insert_or_assign(name, std::move(process));
  // Without a record a later control would not know this worker, so it must not run.
  Status kept = ReplaceFile(RecordOf(name), fmt::format("{} {}\n", pid.value(), ticks));
  if (!kept.ok()) {
    kill(pid.value(), SIGKILL);
    return kept;
  }
  Log(Level::kInfo, "worker started", {{"name", name}, {"pid", pid.value()}});
  return {};
}

void ProcessLauncher::Signal(const std::string& name, int signal) {
  MutexLock lock(mutex_);
  const auto found = processes_.find(name);
  if (found == processes_.end() || found->second.pidfd.get() < 0) return;
  // It may just have ended; then there is nothing left to do.
  static_cast<void>(pidfd_send_signal(found->second.pidfd.get(), signal, nullptr, 0));
}

void ProcessLauncher::Stop(const std::string& name) {
  Signal(name, SIGTERM);
  Signal(name, SIGCONT);  // One that was stopped could not even end.
}

void ProcessLauncher::Kill(const std::string& name) {
  Signal(name, SIGKILL);
}

void ProcessLauncher::Forget(const std::string& name) {
  MutexLock lock(mutex_);
  const auto found = processes_.find(name);
  if (found == processes_.end() || found->second.pidfd.get() >= 0) return;
  processes_.erase(found);
  unlink(RecordOf(name).c_str());
  unlink(LogOf(name).c_str());
}

}  // namespace forebay
