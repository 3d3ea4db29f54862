// Every call that can block over a millisecond takes a Deadline and a std::stop_token, and says how
// soon it obeys the latter.
#pragma once

#include <chrono>
#include <stop_token>

namespace forebay {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

// What is left until `deadline`, in whole milliseconds rounded up; 0 once it has passed. Fits
// poll(2).
int MillisecondsUntil(Deadline deadline);

inline bool Passed(Deadline deadline) {
  return Clock::now() >= deadline;
}

}  // namespace forebay
