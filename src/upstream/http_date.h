// The two forms in which S3 writes times.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace forebay {

// "Mon, 12 Oct 2009 17:50:30 GMT" (RFC 9110, IMF-fixdate): seconds since 1970, UTC. Pure.
std::optional<std::int64_t> ParseHttpDate(std::string_view text);

// "2009-10-12T17:50:30Z", with or without a fraction, which is cut off: HEAD never shows it. Pure.
std::optional<std::int64_t> ParseIsoTime(std::string_view text);

}  // namespace forebay
