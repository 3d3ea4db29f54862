#include "wire/codec.h"

#include <algorithm>

#include "base/crc32c.h"

namespace forebay {
namespace {
constexpr std::size_t kChecksumBytes = 4;
constexpr int kBitsPerByte = 8;
}  // namespace

void Encoder::Number(std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) {
    bytes_.push_back(static_cast<std::byte>(value >> (kBitsPerByte * i)));
  }
}

void Encoder::Text(std::string_view text) {
  U32(static_cast<std::uint32_t>(text.size()));
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  bytes_.insert(bytes_.end(), data, data + text.size());
}

void Encoder::Bytes(std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) U8(byte);
}

std::vector<std::byte> Encoder::Finish() && {
  U32(Crc32c(bytes_));
  return std::move(bytes_);
}

Decoder::Decoder(std::span<const std::byte> body) {
  if (body.size() < kChecksumBytes) {
    state_ = State::kShort;
    return;
  }
  const std::span<const std::byte> content = body.first(body.size() - kChecksumBytes);
  rest_ = body.last(kChecksumBytes);
  if (static_cast<std::uint32_t>(Number(kChecksumBytes)) != Crc32c(content)) {
    state_ = State::kCorrupt;
    return;
  }
  rest_ = content;
}

std::span<const std::byte> Decoder::Take(std::size_t length) {
  if (state_ != State::kGood) return {};
  if (rest_.size() < length) {
    state_ = State::kShort;
    return {};
  }
  const std::span<const std::byte> taken = rest_.first(length);
  rest_ = rest_.subspan(length);
  return taken;
}

std::uint64_t Decoder::Number(int bytes) {
  std::uint64_t value = 0;
  int shift = 0;
  for (const std::byte byte : Take(static_cast<std::size_t>(bytes))) {
    value |= std::to_integer<std::uint64_t>(byte) << shift;
    shift += kBitsPerByte;
  }
  return value;
}

std::string Decoder::Text() {
  const std::span<const std::byte> bytes = Take(U32());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void Decoder::Bytes(std::span<std::uint8_t> bytes) {
  std::ranges::fill(bytes, std::uint8_t{0});
  std::ranges::transform(Take(bytes.size()), bytes.begin(),
                         [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
}

Status Decoder::Finish() const {
  switch (state_) {
    case State::kGood: return {};
    case State::kShort: return Error(Code::kInvalidArgument, "frame body ends early");
    case State::kCorrupt: return Error(Code::kCorrupt, "frame body does not match its checksum");
  }
  return {};
}

}  // namespace forebay
