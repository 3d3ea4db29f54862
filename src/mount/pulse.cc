#include "mount/pulse.h"

#include <unistd.h>

#include <utility>

#include "mount/supervisor.h"

namespace forebay {

Pulse::Pulse(int beats, std::function<bool()> is_alive) : is_alive_(std::move(is_alive)) {
  group_.Run("pulse", [this, beats](const std::stop_token& stop) { Beat(beats, stop); });
}

void Pulse::Beat(int beats, const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    ended_ = true;
    changed_.NotifyAll();
  });
  while (!stop.stop_requested()) {
    // A pipe that is full has bytes that nobody has read yet, which is enough.
    if (is_alive_()) [[maybe_unused]]
      const ssize_t written = write(beats, "", 1);
    const Deadline next = Clock::now() + Supervisor::kBeat;
    MutexLock lock(mutex_);
    while (!ended_ && Clock::now() < next) changed_.WaitUntil(mutex_, next);
  }
}

}  // namespace forebay
