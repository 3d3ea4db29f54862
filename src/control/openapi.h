// The description of control's API, as /openapi.json answers it: openapi.json of this folder.
#pragma once

#include <string_view>

namespace forebay {

std::string_view OpenApiDocument();

}  // namespace forebay
