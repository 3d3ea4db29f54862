#include "base/wall_clock.h"

#include <time.h>

#include <array>
#include <chrono>

#include "base/check.h"

namespace forebay {

std::int64_t WallClockNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string Rfc3339(std::int64_t nanoseconds) {
  constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
  std::int64_t seconds = nanoseconds / kNanosecondsPerSecond;
  if (nanoseconds % kNanosecondsPerSecond < 0) --seconds;
  const time_t time = seconds;
  tm parts{};
  CHECK(gmtime_r(&time, &parts) != nullptr);
  std::array<char, 64> text{};
  return {text.data(), strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace forebay
