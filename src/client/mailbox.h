// Mailbox: where the threads that carry bytes tell the one thread that decides what has ended.
#pragma once

#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"

namespace forebay {

// Bounded by its use: one letter for each request that is under way.
//
// Thread safety: safe; one thread takes.
template <typename Letter>
class Mailbox {
 public:
  void Post(Letter letter) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      letters_.push_back(std::move(letter));
    }
    changed_.NotifyAll();  // Without the lock: who wakes wants it.
  }

  // All letters there are; waits for one until `until` or a stop (at once).
  std::vector<Letter> Take(Deadline until, const std::stop_token& stop) EXCLUDES(mutex_) {
    // Declared before the lock is taken: a stop that was requested before runs it right here.
    const std::stop_callback wake(stop, [this] {
      MutexLock lock(mutex_);
      changed_.NotifyAll();
    });
    std::vector<Letter> taken;
    MutexLock lock(mutex_);
    while (letters_.empty() && !stop.stop_requested() && !Passed(until)) {
      changed_.WaitUntil(mutex_, until);
    }
    taken.swap(letters_);
    return taken;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<Letter> letters_ GUARDED_BY(mutex_);
};

}  // namespace forebay
