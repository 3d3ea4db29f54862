// Interrupts: SIGINT, SIGTERM and SIGHUP as a stop_token.
#pragma once

#include <chrono>
#include <stop_token>

#include "base/mutex.h"
#include "base/task_group.h"
#include "io/unique_fd.h"
#include "io/waker.h"

namespace forebay {

// Make it before any other thread exists: the signals are blocked for the threads that come after.
// A SIGHUP that was ignored at start (nohup) stays ignored.
//
// Thread safety: safe.
class Interrupts {
 public:
  // `grace` after the first signal, or at the second, the process ends with exit code 130 wherever
  // it hangs (a write to a pipe that nobody reads). Zero: never, as for a daemon, which stops in
  // order.
  explicit Interrupts(std::chrono::milliseconds grace = std::chrono::milliseconds(1000));
  ~Interrupts();

  std::stop_token token() const { return stop_.get_token(); }
  bool fired() const { return stop_.stop_requested(); }

  // Returns after the first signal.
  void Wait() EXCLUDES(mutex_);
  // Returns after `duration`, or, with true, at the first signal.
  bool WaitFor(std::chrono::milliseconds duration) EXCLUDES(mutex_);

 private:
  void Watch(std::chrono::milliseconds grace) EXCLUDES(mutex_);

  std::stop_source stop_;
  UniqueFd signals_;
  Waker ended_;
  Mutex mutex_;
  CondVar changed_;
  bool arrived_ GUARDED_BY(mutex_) = false;
  TaskGroup watcher_;  // Last: uses all of the above.
};

}  // namespace forebay
