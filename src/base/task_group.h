// TaskGroup: the only way to start a thread. A scope joins what it started. SIGPIPE is blocked in
// it.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace forebay {

// Asks every task to stop and joins it when destroyed, so declare it after what its tasks use.
//
// Thread safety: safe. Cost of Run: one thread, 16-48 us and about 25 KiB when idle.
class TaskGroup {
 public:
  // `stack_bytes` is reserved address space for each thread, not memory.
  explicit TaskGroup(std::size_t stack_bytes = 256u << 10);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts `task` on a thread named `name` (at most 15 bytes are shown by ps and gdb).
  // Threads of tasks that have returned are joined here, so a long-lived group does not grow.
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

  const std::size_t stack_bytes_;
  std::stop_source stop_;
  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Thread>> threads_ GUARDED_BY(mutex_);
};

}  // namespace forebay
