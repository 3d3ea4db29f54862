// The version of this program, as the build states it.
#pragma once

#include <string_view>

namespace forebay {

extern const std::string_view kVersion;

}  // namespace forebay
