// Sizes, durations and ratios as people write them, and back.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace forebay {

// "4GiB", "4Gi" and "512M", "512MB" (powers of 1000), "4096" (bytes), "1.5GiB".
// Errors: kInvalidArgument, with the value and what would do. The caller adds the field's name.
Result<std::uint64_t> ParseSize(std::string_view text);

// "250ms", "60s", "10m", "1h30m", "5d"; a bare "0" is zero.
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);

// "95%" or "0.95"; from 0 to 1.
Result<double> ParseRatio(std::string_view text);

// "1.5 GiB", "312 B".
std::string FormatSize(std::uint64_t bytes);

// "1h30m", "250ms": parses back to the same duration.
std::string FormatDuration(std::chrono::milliseconds duration);

}  // namespace forebay
