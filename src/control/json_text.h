// JSON as text. Names of files may hold any bytes; what is not UTF-8 is shown as U+FFFD, since the
// library would throw.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace forebay {

std::string JsonText(const nlohmann::json& json);

}  // namespace forebay
