#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
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
#include "control/gated_process.h"
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
  std::vector<std::filesystem::path> others;
  for (const auto& entry : std::filesystem::directory_iterator(options_.directory, error)) {
    if (entry.path().extension() != kRecordSuffix) {
      others.push_back(entry.path());
      continue;
    }
    const std::optional<Record> record = ReadRecord(entry.path().string());
    Process process;
    process.ending = "ended while nobody watched it";
    if (record) {
      process.pid = record->pid;
      process.pidfd = OpenProcess(*record);
    }
    processes_.emplace(entry.path().stem().string(), std::move(process));
  }
  // Of starts that were cut short before there was a record: such a worker never ran.
  for (const std::filesystem::path& path : others) {
    const bool unknown = path.extension() == ".log" && !processes_.contains(path.stem().string());
    if (unknown || path.extension() == ".new") unlink(path.c_str());
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
  Result<GatedProcess> child = GatedProcess::Fork({.executable = options_.executable,
                                                   .arguments = options_.arguments(name),
                                                   .environment = options_.environment,
                                                   .log = log});
  if (!child.ok()) return std::move(child).error();
  const int pid = child.value().pid();
  Process process;
  process.pid = pid;
  process.child = true;
  process.ending = "ended";
  // It cannot have been reaped yet, so this pid is still its own.
  process.pidfd = UniqueFd(pidfd_open(pid, 0));
  const std::uint64_t ticks = StartTicks(pid).value_or(0);
  processes_.insert_or_assign(name, std::move(process));
  // Without a record a later control would not know this worker, so it must not run.
  Status started = ReplaceFile(RecordOf(name), fmt::format("{} {}\n", pid, ticks));
  if (started.ok()) started = child.value().Run();
  if (!started.ok()) return started;
  Log(Level::kInfo, "worker started", {{"name", name}, {"pid", pid}});
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
