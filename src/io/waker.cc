#include "io/waker.h"

#include <sys/eventfd.h>

#include <cstdint>

#include "base/check.h"

namespace forebay {

Waker::Waker() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(fd_);
}

void Waker::Wake() {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the poller is awake already.
  [[maybe_unused]] const ssize_t written = write(fd_.get(), &one, sizeof one);
}

void Waker::Clear() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t read_bytes = read(fd_.get(), &count, sizeof count);
}

}  // namespace forebay
