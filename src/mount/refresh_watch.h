// RefreshWatch: notices that the dataset that is mounted was refreshed, or is another one, and has
// the kernel forget the names it keeps.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"

namespace forebay {

// On a thread of its own, until it is destroyed, which waits for what `forget` does.
class RefreshWatch {
 public:
  struct Care {
    // A number that is another one after each change. kNotFound is an answer, too: it is gone.
    std::function<Result<std::uint64_t>(Deadline, std::stop_token)> ask;
    std::function<bool()> is_idle;  // No names are kept: nobody is asked again.
    // Also at the first answer if the kernel keeps names by then, maybe for another process.
    std::function<void()> forget;
  };

  static constexpr std::chrono::milliseconds kStep{1'000};
  // While nobody answers the pauses double, up to this.
  static constexpr std::chrono::milliseconds kStepMax{10'000};

  explicit RefreshWatch(Care care, std::chrono::milliseconds step = kStep);

 private:
  void Watch(const std::stop_token& stop) EXCLUDES(mutex_);
  // Whether there was an answer.
  bool Look(const std::stop_token& stop);

  const Care care_;
  const std::chrono::milliseconds step_;
  std::optional<std::uint64_t> known_;  // Of the thread alone.
  Mutex mutex_;
  CondVar changed_;
  bool ended_ GUARDED_BY(mutex_) = false;
  TaskGroup group_;  // Last: uses all of the above.
};

}  // namespace forebay
