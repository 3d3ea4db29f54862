// Percent-encoding as S3 signs it: of all bytes, only A-Z a-z 0-9 - . _ ~ stay as they are.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace forebay {

enum class Slash { kEncode, kKeep };

// Pure.
std::string PercentEncode(std::string_view text, Slash slash);

// What a listing with encoding-type=url carries: "%XX", and '+' for a blank. Nothing if a '%' is
// not followed by two hexadecimal digits. Pure.
std::optional<std::string> DecodeListedKey(std::string_view text);

}  // namespace forebay
