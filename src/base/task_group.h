// TaskGroup: the only way to start a thread. A scope joins what it started. SIGPIPE is blocked in
// it.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <stop_token>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace forebay {

struct TaskGroupOptions {
  std::size_t stack_bytes = 256u << 10;  // Reserved address space for each thread, not memory.
  // A thread whose task has returned waits so long for another one, or until a stop. For groups
  // whose tasks are many and short: starting and ending a thread cost what a few small requests do.
  std::chrono::milliseconds kept_for{0};
};

// Asks every task to stop and joins it when destroyed, so declare it after what its tasks use.
//
// Thread safety: safe. Cost of Run: one thread, 16-48 us and about 25 KiB when idle; less where
// a kept one is woken.
class TaskGroup {
 public:
  explicit TaskGroup(TaskGroupOptions options = {});
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts `task` on a thread named `name` (at most 15 bytes are shown by ps and gdb).
  // Threads that have ended are joined here, so a long-lived group does not grow.
  void Run(std::string name, std::function<void(std::stop_token)> task) EXCLUDES(mutex_);

  // Asks every task to stop; returns at once.
  void RequestStop() { stop_.request_stop(); }

  // Tasks started and not yet returned.
  std::size_t running() const EXCLUDES(mutex_);

  // Asks every task to stop and waits for them. Idempotent. Not from inside a task.
  void StopAndJoin() EXCLUDES(mutex_);

  std::stop_token stop_token() const { return stop_.get_token(); }

 private:
  struct Thread;
  using Threads = std::list<Thread>;

  static void* Main(void* self);
  static void Join(const Threads& ended);
  void StartThread() REQUIRES(mutex_);
  void Work(Thread& self) EXCLUDES(mutex_);
  bool AwaitTask(Thread& self) REQUIRES(mutex_);

  const TaskGroupOptions options_;
  std::stop_source stop_;
  mutable Mutex mutex_;
  CondVar left_;  // A thread is among the ended.
  std::size_t running_ GUARDED_BY(mutex_) = 0;
  Threads threads_ GUARDED_BY(mutex_);
  Threads ended_ GUARDED_BY(mutex_);              // To be joined.
  std::vector<Thread*> idle_ GUARDED_BY(mutex_);  // Of threads_; the one idle for longest first.
};

}  // namespace forebay
