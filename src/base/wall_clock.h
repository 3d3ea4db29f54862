// The wall clock, for signatures, logs and ages of files. Durations use base/deadline.h.
#pragma once

#include <cstdint>
#include <string>

namespace forebay {

// Nanoseconds since 1970, UTC. May jump.
std::int64_t WallClockNanoseconds();

// "2026-01-01T00:00:00Z" for a time in nanoseconds since 1970, UTC, cut to the second.
std::string Rfc3339(std::int64_t nanoseconds);

}  // namespace forebay
