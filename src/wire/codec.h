// Encoder and Decoder: little-endian numbers and length-prefixed strings of frame bodies.
//
// A body ends with the CRC32C of what precedes it. The Decoder never reads past its input, never
// allocates more than its input holds, and remembers its first failure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace forebay {

class Encoder {
 public:
  void U8(std::uint8_t value) { Number(value, 1); }
  void U16(std::uint16_t value) { Number(value, 2); }
  void U32(std::uint32_t value) { Number(value, 4); }
  void U64(std::uint64_t value) { Number(value, 8); }
  void I64(std::int64_t value) { Number(static_cast<std::uint64_t>(value), 8); }
  void Text(std::string_view text);
  void Bytes(std::span<const std::uint8_t> bytes);  // As they are, without a length.

  // The body with its checksum appended.
  std::vector<std::byte> Finish() &&;

 private:
  void Number(std::uint64_t value, int bytes);
  std::vector<std::byte> bytes_;
};

class Decoder {
 public:
  // Checks the body's checksum; a body that fails it yields only zeros and a kCorrupt Finish.
  explicit Decoder(std::span<const std::byte> body);

  std::uint8_t U8() { return static_cast<std::uint8_t>(Number(1)); }
  std::uint16_t U16() { return static_cast<std::uint16_t>(Number(2)); }
  std::uint32_t U32() { return static_cast<std::uint32_t>(Number(4)); }
  std::uint64_t U64() { return Number(8); }
  std::int64_t I64() { return static_cast<std::int64_t>(Number(8)); }
  std::string Text();
  void Bytes(std::span<std::uint8_t> bytes);  // Zeros if they are not there.

  // Whether there is more: fields that an older sender does not know are not there.
  bool more() const { return state_ == State::kGood && !rest_.empty(); }
  // What is left, for a count of things that take some bytes each.
  std::size_t left() const { return state_ == State::kGood ? rest_.size() : 0; }
  bool failed() const { return state_ != State::kGood; }

  // What is left is tolerated: a newer sender may have appended fields.
  // Errors: kCorrupt for a bad checksum, kInvalidArgument for a body that ended early.
  Status Finish() const;

 private:
  enum class State { kGood, kShort, kCorrupt };

  std::uint64_t Number(int bytes);
  std::span<const std::byte> Take(std::size_t length);

  std::span<const std::byte> rest_;
  State state_ = State::kGood;
};

}  // namespace forebay
