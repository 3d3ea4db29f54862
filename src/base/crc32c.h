// CRC32C (Castagnoli), the checksum that every 64 KiB of a block carries from fill to last hop.
//
// Cost: 25-60 GB/s a core (ISA-L). Thread safety: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace forebay {

// Bytes that one checksum covers. The last granule of a block may be shorter.
inline constexpr std::uint32_t kGranuleBytes = 64u << 10;

// The CRC32C of `bytes` (initial value and final inversion as in RFC 3720), or, with the value of a
// preceding part, of both together.
std::uint32_t Crc32c(std::span<const std::byte> bytes, std::uint32_t preceding = 0);

// One checksum a granule of `bytes`, which start at a granule's first byte.
std::vector<std::uint32_t> GranuleChecksums(std::span<const std::byte> bytes);

constexpr std::uint32_t GranulesOf(std::uint64_t bytes) {
  return static_cast<std::uint32_t>((bytes + kGranuleBytes - 1) / kGranuleBytes);
}

}  // namespace forebay
