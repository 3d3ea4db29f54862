#include "mount/refresh_watch.h"

#include <algorithm>
#include <utility>

namespace forebay {

RefreshWatch::RefreshWatch(Care care, std::chrono::milliseconds step)
    : care_(std::move(care)), step_(step) {
  group_.Run("refresh-watch", [this](const std::stop_token& stop) { Watch(stop); });
}

void RefreshWatch::Watch(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    ended_ = true;
    changed_.NotifyAll();
  });
  std::chrono::milliseconds pause = step_;
  while (!stop.stop_requested()) {
    if (!known_ || !care_.is_idle()) {
      pause = Look(stop) ? step_ : std::min(2 * pause, std::max(step_, kStepMax));
    }
    const Deadline next = Clock::now() + pause;
    MutexLock lock(mutex_);
    while (!ended_ && Clock::now() < next) changed_.WaitUntil(mutex_, next);
  }
}

bool RefreshWatch::Look(const std::stop_token& stop) {
  constexpr std::chrono::seconds kTimeout{2};
  constexpr std::uint64_t kGone = 0;
  const Result<std::uint64_t> answer = care_.ask(Clock::now() + kTimeout, stop);
  if (!answer.ok() && answer.error().code() != Code::kNotFound) return false;
  const std::uint64_t now = answer.ok() ? answer.value() : kGone;
  const bool is_change = known_ ? *known_ != now : !care_.is_idle();
  known_ = now;
  if (is_change) care_.forget();
  return true;
}

}  // namespace forebay
