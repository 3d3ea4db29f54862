#include "app/interrupts.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>

#include "app/context.h"
#include "base/deadline.h"
#include "io/end_signals.h"

namespace forebay {

Interrupts::Interrupts(std::chrono::milliseconds grace) : signals_(BlockEndSignals()) {
  watcher_.Run("interrupts", [this, grace](std::stop_token) { Watch(grace); });
}

Interrupts::~Interrupts() {
  ended_.Wake();
  watcher_.StopAndJoin();
}

void Interrupts::Wait() {
  MutexLock lock(mutex_);
  while (!arrived_) changed_.Wait(mutex_);
}

bool Interrupts::WaitFor(std::chrono::milliseconds duration) {
  const Deadline deadline = Clock::now() + duration;
  MutexLock lock(mutex_);
  while (!arrived_ && !Passed(deadline)) changed_.WaitUntil(mutex_, deadline);
  return arrived_;
}

void Interrupts::Watch(std::chrono::milliseconds grace) {
  std::array<pollfd, 2> waited = {{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                   {.fd = ended_.fd(), .events = POLLIN, .revents = 0}}};
  for (int timeout = -1;;) {
    const int ready = poll(waited.data(), waited.size(), timeout);
    if (waited[1].revents != 0) return;
    if (ready < 0) continue;
    const bool again = fired();
    signalfd_siginfo signal = {};
    const bool read_one = read(signals_.get(), &signal, sizeof(signal)) == sizeof(signal);
    if (again && grace.count() > 0 && (ready == 0 || read_one)) _exit(kExitInterrupted);
    if (!read_one) continue;
    stop_.request_stop();
    MutexLock lock(mutex_);
    arrived_ = true;
    changed_.NotifyAll();
    if (grace.count() > 0) timeout = static_cast<int>(grace.count());
  }
}

}  // namespace forebay
