#include "core/staleness.h"

namespace forebay {

bool StalenessBound::Usable(Clock::time_point asked_at, Clock::time_point now) const {
  return pinned() || now - asked_at <= bound_;
}

std::uint64_t AgeMilliseconds(Clock::time_point asked_at, Clock::time_point now) {
  if (now <= asked_at) return 0;
  return static_cast<std::uint64_t>(
      std::chrono::ceil<std::chrono::milliseconds>(now - asked_at).count());
}

bool ListingRule::Looked(std::uint64_t directory_hash, Clock::time_point now) {
  Count& count = directories_.Use(directory_hash, [](const Count&) {});
  if (now < count.not_before) return false;
  if (count.lookups == 0 || now - count.since > kWindow)
    count = {.lookups = 0, .not_before = {}, .since = now};
  if (++count.lookups < kLookups) return false;
  count.lookups = 0;
  return true;
}

void ListingRule::TooLarge(std::uint64_t directory_hash, Clock::time_point now) {
  directories_.Use(directory_hash, [](const Count&) {}).not_before = now + kTooLargeFor;
}

}  // namespace forebay
