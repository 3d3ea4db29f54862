// Secret: a string that no formatter, log or metric takes: printing one does not compile.
#pragma once

#include <string>
#include <utility>

namespace forebay {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}

  bool empty() const { return value_.empty(); }

  // The one way to the value: grep for it in review.
  const std::string& Reveal() const { return value_; }

 private:
  std::string value_;
};

}  // namespace forebay
