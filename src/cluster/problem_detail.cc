#include "cluster/problem_detail.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace forebay {

std::string ProblemDetail(const HttpAnswer& answer) {
  const auto json = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("detail") || !json["detail"].is_string()) {
    return fmt::format("control answers {}", answer.status());
  }
  return json["detail"].get<std::string>();
}

}  // namespace forebay
