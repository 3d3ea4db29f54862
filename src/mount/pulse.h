// Pulse: tells the supervisor that this process does its work.
#pragma once

#include <functional>

#include "base/mutex.h"
#include "base/task_group.h"

namespace forebay {

// Writes a byte into `beats`, which does not block, every Supervisor::kBeat if `is_alive` says so:
// on a thread of its own, until it is destroyed. Both outlive this.
class Pulse {
 public:
  Pulse(int beats, std::function<bool()> is_alive);

 private:
  void Beat(int beats, const std::stop_token& stop) EXCLUDES(mutex_);

  const std::function<bool()> is_alive_;
  Mutex mutex_;
  CondVar changed_;
  bool ended_ GUARDED_BY(mutex_) = false;
  TaskGroup group_;  // Last: uses all of the above.
};

}  // namespace forebay
