// JSON as text. Names of files may hold any bytes; what is not UTF-8 is shown as U+FFFD, since the
// library would throw.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace forebay {

inline std::string JsonText(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace forebay
