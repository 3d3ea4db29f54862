#include "core/aimd.h"

#include <algorithm>

#include "base/check.h"

namespace forebay {

Aimd::Aimd(const AimdOptions& options)
    : options_(options), limit_(std::min(options.start, options.cap)) {
  CHECK(options.start > 0 && options.cap > 0);
}

void Aimd::Started() {
  ++outstanding_;
}

void Aimd::Ended() {
  CHECK(outstanding_ > 0);
  --outstanding_;
}

void Aimd::Succeeded(Clock::time_point started, Clock::time_point now) {
  Ended();
  const Clock::duration took = now - started;
  best_ = std::min(best_, took);
  if (took > options_.slow && took / 4 > best_) {
    Halve(started, now);
    return;
  }
  if (++successes_ < limit_) return;
  successes_ = 0;
  limit_ = std::min(limit_ + 1, options_.cap);
}

void Aimd::Throttled(Clock::time_point started, Clock::time_point now) {
  Ended();
  Halve(started, now);
}

void Aimd::Halve(Clock::time_point started, Clock::time_point now) {
  successes_ = 0;
  if (started < halved_at_) return;
  limit_ = std::max(limit_ / 2, 1u);
  halved_at_ = now;
}

}  // namespace forebay
