// Waker: lets any thread interrupt a poll(2).
#pragma once

#include <atomic>

#include "io/unique_fd.h"

namespace forebay {

// Thread safety: Wake from any thread; Clear from the thread that polls fd().
class Waker {
 public:
  Waker();

  // Readable after a Wake until the next Clear.
  int fd() const { return fd_.get(); }
  void Wake();
  void Clear();

 private:
  UniqueFd fd_;
  std::atomic<bool> signalled_ = false;  // Saves the system calls that would change nothing.
};

}  // namespace forebay
