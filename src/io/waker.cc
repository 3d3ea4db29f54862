#include "io/waker.h"

#include <sys/eventfd.h>

#include <cstdint>

#include "base/check.h"

namespace forebay {

namespace {

UniqueFd NewEvent() {
  return UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

}  // namespace

Waker::Waker() : Waker(NewEvent()) {
  CHECK(fd_);
}

std::shared_ptr<Waker> Waker::TryMake() {
  UniqueFd fd = NewEvent();
  return fd ? std::shared_ptr<Waker>(new Waker(std::move(fd))) : nullptr;
}

void Waker::Wake() {
  if (signalled_.exchange(true)) return;
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the poller is awake already.
  [[maybe_unused]] const ssize_t written = write(fd_.get(), &one, sizeof one);
}

void Waker::Clear() {
  if (!signalled_.load()) return;
  std::uint64_t count = 0;
  // Nothing to read: the write of the Wake that signalled is still to come. It must stay announced,
  // or nobody would read it and every poll from then on would end at once.
  if (read(fd_.get(), &count, sizeof count) < 0) return;
  // After the read: a Wake in between writes nothing, but what it announces is seen by whoever
  // looks after this. The other way round its write would be read, and the next Wake would write
  // nothing.
  signalled_.exchange(false);
}

}  // namespace forebay
