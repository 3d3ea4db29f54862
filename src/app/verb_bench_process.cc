// forebay bench process: one process of `bench read`, with its tasks as threads over one client.
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "app/bench_protocol.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/verbs.h"
#include "base/mutex.h"
#include "base/task_group.h"

namespace forebay {
namespace {

// Reads standard input byte by byte up to a newline: what follows it must stay in the pipe.
std::string ReadLine() {
  std::string line;
  char c = 0;
  while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n') line += c;
  return line;
}

Result<BenchJob> ReadJob() {
  const std::optional<std::uint64_t> size = NumberAfter(ReadLine(), "job ");
  constexpr std::uint64_t kMost = 1u << 30;
  if (!size || *size > kMost) {
    return Error(Code::kInvalidArgument, "not for people; write forebay bench read URL...");
  }
  std::string packed(*size, '\0');
  std::size_t filled = 0;
  while (filled < packed.size()) {
    const ssize_t got = read(STDIN_FILENO, packed.data() + filled, packed.size() - filled);
    if (got <= 0) return Error(Code::kInvalidArgument, "the job ends too early");
    filled += static_cast<std::size_t>(got);
  }
  return UnpackJob(packed);
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  constexpr double kMicrosecondsPerSecond = 1e6;
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) /
             kMicrosecondsPerSecond;
}

// Counts bytes; shared counters are for progress only.
class CountingSink : public FileSink {
 public:
  CountingSink(const Context& context, std::atomic<std::uint64_t>& shared_bytes)
      : context_(context), shared_bytes_(shared_bytes) {}

  Status Begin(const FileToRead&, const Attributes& attributes) override {
    expected_ = attributes.size;
    file_bytes_ = 0;
    return {};
  }
  Status Write(std::span<const std::byte> bytes) override {
    file_bytes_ += bytes.size();
    bytes_ += bytes.size();
    shared_bytes_.fetch_add(bytes.size(), std::memory_order_relaxed);
    return {};
  }
  Status End(const FileToRead& file, Status outcome) override {
    if (outcome.ok() && file_bytes_ != expected_) {
      outcome = Error(Code::kInternal, fmt::format("{} of {} bytes", file_bytes_, expected_));
    }
    if (outcome.ok()) return {};
    ++errors_;
    constexpr std::uint64_t kShown = 3;
    if (errors_ <= kShown && outcome.error().code() != Code::kCancelled) {
      Complain(context_, file.url + ": " + outcome.error().message());
    }
    return {};
  }

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t errors() const { return errors_; }

 private:
  const Context& context_;
  std::atomic<std::uint64_t>& shared_bytes_;
  std::uint64_t expected_ = 0;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t errors_ = 0;
};

class Tasks {
 public:
  Tasks(const Context& context, Client& client, const BenchJob& job, std::stop_token stop)
      : context_(context), client_(client), job_(job), stop_(std::move(stop)) {
    for (std::uint64_t i = 0; i < job.tasks; ++i) {
      threads_.Run("task", [this](std::stop_token) { RunOne(); });
    }
  }

  // Gives the signal when its time has come, and waits for the last task.
  BenchResult Run(Deadline signal) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    while (!Passed(signal)) changed_.WaitUntil(mutex_, signal);
    const double cpu_before = CpuSeconds();
    signal_ = signal;
    started_ = true;
    changed_.NotifyAll();
    constexpr std::chrono::milliseconds kReportEvery{500};
    Deadline report = Clock::now() + kReportEvery;
    while (result_.task_seconds.size() < job_.tasks) {
      changed_.WaitUntil(mutex_, report);
      if (!Passed(report)) continue;
      report = Clock::now() + kReportEvery;
      static_cast<void>(WriteStdout(fmt::format("progress {}\n", bytes_.load())).ok());
    }
    result_.cpu_seconds = CpuSeconds() - cpu_before;
    result_.source = client_.source_bytes();
    return result_;
  }

 private:
  void RunOne() EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      while (!started_) changed_.Wait(mutex_);
    }
    CountingSink sink(context_, bytes_);
    const Status read = client_.ReadFiles(job_.files, sink, ReadTimeout(context_), stop_);
    const Deadline end = Clock::now();
    MutexLock lock(mutex_);
    result_.bytes += sink.bytes();
    result_.errors += sink.errors() + (read.ok() ? 0 : 1);
    result_.task_seconds.push_back(std::chrono::duration<double>(end - signal_).count());
    changed_.NotifyAll();
  }

  const Context& context_;
  Client& client_;
  const BenchJob& job_;
  const std::stop_token stop_;
  std::atomic<std::uint64_t> bytes_ = 0;
  Mutex mutex_;
  CondVar changed_;
  bool started_ GUARDED_BY(mutex_) = false;
  Deadline signal_ GUARDED_BY(mutex_);
  BenchResult result_ GUARDED_BY(mutex_);
  TaskGroup threads_;  // Last: uses all of the above.
};

}  // namespace

int RunBenchProcessVerb(const Context& context) {
  // Also when `bench read` is killed, nothing of it stays.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const Result<BenchJob> job = ReadJob();
  if (!job.ok()) return WrongInput(context, job.error());
  Interrupts interrupts;
  std::vector<std::string> urls;  // They are all of one kind.
  if (!job.value().files.empty()) urls.push_back(job.value().files.front().url);
  Result<std::unique_ptr<Client>> client = ConnectPool(context, urls);
  if (!client.ok()) return WrongInput(context, client.error());
  client.value()->ConnectAhead();
  Tasks tasks(context, *client.value(), job.value(), interrupts.token());
  if (!WriteStdout("ready\n").ok()) _exit(kExitFailed);
  const std::optional<std::uint64_t> signal = NumberAfter(ReadLine(), "go ");
  // `bench read` is gone or was interrupted: the tasks still wait, so they cannot be joined.
  if (!signal) _exit(kExitFailed);
  const BenchResult result =
      tasks.Run(Deadline(std::chrono::nanoseconds(static_cast<std::int64_t>(*signal))));
  const Status written = WriteStdout(ResultLine(result) + '\n');
  // `bench read` ends it once all have read: leaving takes processor time, theirs if it were now.
  ReadLine();
  return Ended(context, interrupts, written);
}

}  // namespace forebay
