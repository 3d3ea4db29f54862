// Result<T>: a value, or the Error that explains why there is none.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace forebay {

// What a caller can do about a failure. A new code needs a new reaction; a new message does not
// need a new code. The set is closed, and the numbers travel on the wire (docs/formats/wire.md).
enum class Code : unsigned char {
  kNotHere = 1,           // This worker lacks it. Ask the next holder, then the upstream.
  kNotFound = 2,          // The upstream says that it does not exist.
  kInvalidArgument = 3,   // The caller is wrong. Never retry.
  kUnavailable = 4,       // The peer cannot answer now. Another peer may.
  kDeadlineExceeded = 5,  // The time is spent. Stop and say so.
  kChanged = 6,           // The upstream replaced the file while it was read.
  kOverloaded = 7,        // The peer is healthy and full. Next holder, then back off.
  kCorrupt = 8,           // Bytes do not match their checksum. Quarantine; refetch.
  kDenied = 9,            // Not allowed. Never retry.
  kStale = 10,            // The epoch moved. Refresh the ring, once.
  kCancelled = 11,        // We were asked to stop. Not a failure; do not log it.
  kInternal = 12,         // A bug, or a machine misbehaving. Log it and surface it.
};

// "NotHere", "NotFound", ...: for messages and metrics labels.
std::string_view CodeName(Code code);

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // Adds what the caller was doing, outermost first: "mount tape 7: read header: short read".
  Error Within(const std::string& what) && {
    message_.insert(0, what + ": ");
    return std::move(*this);
  }

 private:
  Code code_;
  std::string message_;
};

// Thread safety: like std::expected. Dropping a Result on the floor does not compile (nodiscard and
// -Werror); reading the wrong side stops the process.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}
  Result(Error error) : state_(std::unexpect, std::move(error)) {}

  bool ok() const { return state_.has_value(); }

  const T& value() const& {
    CHECK(ok());
    return *state_;
  }
  T& value() & {
    CHECK(ok());
    return *state_;
  }
  T&& value() && {
    CHECK(ok());
    return std::move(*state_);
  }
  const Error& error() const& {
    CHECK(!ok());
    return state_.error();
  }
  Error&& error() && {
    CHECK(!ok());
    return std::move(state_).error();
  }

 private:
  std::expected<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : state_(std::unexpect, std::move(error)) {}

  bool ok() const { return state_.has_value(); }
  const Error& error() const& {
    CHECK(!ok());
    return state_.error();
  }
  Error&& error() && {
    CHECK(!ok());
    return std::move(state_).error();
  }

 private:
  std::expected<void, Error> state_;
};

using Status = Result<void>;

}  // namespace forebay
