#include "base/deadline.h"

#include <algorithm>

namespace forebay {

int MillisecondsUntil(Deadline deadline) {
  constexpr std::chrono::hours kLongestWait{24};  // Keeps the answer inside an int.
  const auto left =
      std::clamp<Clock::duration>(deadline - Clock::now(), Clock::duration::zero(), kLongestWait);
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

}  // namespace forebay
