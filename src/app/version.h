// The version of this program, as the build states it.
#pragma once

#include <string_view>

namespace forebay {

inline constexpr std::string_view kVersion = FOREBAY_VERSION;

}  // namespace forebay
