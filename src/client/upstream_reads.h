// UpstreamReads: this process's own reads from under-storages, on a bounded set of threads.
//
// "The cache died" must never become "the store died": how many run at once follows core's Aimd.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"
#include "client/stores.h"
#include "core/aimd.h"

namespace forebay {

struct UpstreamRead {
  std::shared_ptr<const FileVersion> file;
  std::uint64_t offset = 0;          // In the file.
  std::span<std::byte> destination;  // As many bytes as are read.
  Deadline deadline;
  // Called once, from a thread of UpstreamReads, unless Cancel comes first. Must not block.
  std::function<void(Status)> done;
};

// Thread safety: safe. Threads: as many as reads run, at most `options.cap`; idle ones end.
class UpstreamReads {
 public:
  using JobId = std::uint64_t;

  explicit UpstreamReads(const AimdOptions& options) : pace_(options) {}
  // Every job must have ended or been cancelled.
  ~UpstreamReads();

  // Jobs wait in order; who starts them bounds how many there are.
  JobId Start(UpstreamRead read) EXCLUDES(mutex_);

  // After this returned, the job writes no more and its `done` is not called any more. Waits for a
  // running job to obey its stop: at most 100 ms.
  void Cancel(JobId id) EXCLUDES(mutex_);
  // Takes the job back, as Cancel does, if it still waits for its turn. False: it has begun.
  bool Withdraw(JobId id) EXCLUDES(mutex_);

 private:
  struct Job {
    UpstreamRead read;
    std::stop_source stop;
    bool running = false;
    bool cancelled = false;
  };

  bool Forget(JobId id) REQUIRES(mutex_);
  void AddThread() REQUIRES(mutex_);
  void Run(std::stop_token stop) EXCLUDES(mutex_);
  // The job to run next, marked as running; null once this thread is not needed.
  std::shared_ptr<Job> Take(JobId& id, std::stop_token stop) EXCLUDES(mutex_);
  void Finish(JobId id, Job& job, Clock::time_point started, Status status) EXCLUDES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  Aimd pace_ GUARDED_BY(mutex_);
  JobId next_id_ GUARDED_BY(mutex_) = 1;
  std::map<JobId, std::shared_ptr<Job>> jobs_ GUARDED_BY(mutex_);
  std::deque<JobId> waiting_ GUARDED_BY(mutex_);
  std::uint32_t threads_running_ GUARDED_BY(mutex_) = 0;
  // Last: joined before what its tasks use goes.
  TaskGroup threads_{TaskGroupOptions{.stack_bytes = 1u << 20}};
};

}  // namespace forebay
