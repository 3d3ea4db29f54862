// Digest128: the first 16 bytes of a SHA-256. Identifies datasets, paths and versions.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace forebay {

struct Digest128 {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const Digest128&) const = default;

  // The first eight bytes as a little-endian number: already uniform, so a hash needs no more.
  constexpr std::uint64_t Low64() const {
    std::uint64_t value = 0;
    for (std::size_t i = 8; i-- > 0;) value = value << 8 | bytes[i];
    return value;
  }
  std::string Hex() const;
};

// The first 128 bits of SHA-256 of `text`. Pure.
Digest128 DigestOf(std::string_view text);

// SHA-256 of `text`, 32 bytes. Pure.
std::array<std::uint8_t, 32> Sha256(std::string_view text);

// HMAC-SHA-256, 32 bytes. Pure.
std::array<std::uint8_t, 32> HmacSha256(std::string_view key, std::string_view text);

// Lower-case hexadecimal.
std::string Hex(std::string_view bytes);

}  // namespace forebay
