#include "base/deadline.h"

#include <algorithm>

namespace forebay {

int MillisecondsUntil(Deadline deadline) {
  constexpr std::chrono::hours kLongestWait{24};  // Keeps the answer inside an int.
  const Deadline now = Clock::now();
  if (deadline <= now) return 0;  // First: the difference to a far past overflows.
  const auto left = std::min<Clock::duration>(deadline - now, kLongestWait);
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

}  // namespace forebay
