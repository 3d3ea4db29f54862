// What a store's refusal means: the error in plain words, and whether another try may help.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "io/http_client.h"

namespace forebay {

struct S3Failure {
  Error error;
  bool retryable = false;
  bool throttled = false;  // The store asked for less (429, 503).
  std::optional<std::chrono::milliseconds> retry_after = std::nullopt;
};

// What the words of an explanation are made of.
struct S3Context {
  std::string bucket;
  std::string endpoint;
  std::string region;
  std::string access_key_id;  // Empty: anonymous.
};

// The failure that an answer with a status other than 2xx, or with an <Error> in its body, stands
// for. `body` may be cut or empty (HEAD). Pure, but for the clock's time in a message.
S3Failure FailureOf(const HttpHead& head, const std::string& body, const S3Context& context);

// A failure of our own making that another try may heal.
inline S3Failure Retryable(std::string message) {
  return {.error = Error(Code::kUnavailable, std::move(message)), .retryable = true};
}

}  // namespace forebay
