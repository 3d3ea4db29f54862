// Waker: lets any thread interrupt a poll(2).
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "io/unique_fd.h"

namespace forebay {

// Thread safety: Wake from any thread; Clear from the thread that polls fd().
class Waker {
 public:
  Waker();
  // For who can do without: null if the process has no descriptor left.
  static std::shared_ptr<Waker> TryMake();

  // Readable after a Wake until the next Clear.
  int fd() const { return fd_.get(); }
  void Wake();
  void Clear();

 private:
  explicit Waker(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
  std::atomic<bool> signalled_ = false;  // Saves the system calls that would change nothing.
};

}  // namespace forebay
