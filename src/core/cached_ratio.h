// Cached ratio: the arithmetic of a census.
//
// A census goes along the listing of a dataset and asks which blocks of the *current* versions have
// at least one live holder. Each block counts once, however many hold it. A ratio is never clamped:
// more cached than there is means that the count is wrong, and the process stops.
#pragma once

#include <cstdint>
#include <span>

namespace forebay {

// Bytes of those blocks of a file of `size` bytes that somebody holds: the last one may be short.
// `holders`: of each block in turn, how many hold it; at most as many as the file has.
std::uint64_t HeldBytes(std::uint64_t size, std::uint32_t block_bytes,
                        std::span<const std::uint8_t> holders);

struct CacheCount {
  std::uint64_t cached_bytes = 0;
  std::uint64_t total_bytes = 0;

  // 1 for what has no bytes: there is nothing left to cache.
  double Ratio() const;
  // Whether it is at least `ratio`, 0 to 1. Exact when all is cached: 1.0 means every byte.
  bool Reaches(double ratio) const { return Ratio() >= ratio; }
  bool operator==(const CacheCount&) const = default;
};

}  // namespace forebay
