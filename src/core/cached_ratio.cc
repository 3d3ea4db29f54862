#include "core/cached_ratio.h"

#include <algorithm>

#include "base/check.h"

namespace forebay {

std::uint64_t HeldBytes(std::uint64_t size, std::uint32_t block_bytes,
                        std::span<const std::uint8_t> holders) {
  std::uint64_t bytes = 0;
  for (std::size_t block = 0; block < holders.size(); ++block) {
    const std::uint64_t start = std::uint64_t{block_bytes} * block;
    CHECK(start < size);
    if (holders[block] > 0) bytes += std::min<std::uint64_t>(block_bytes, size - start);
  }
  return bytes;
}

double CacheCount::Ratio() const {
  CHECK(cached_bytes <= total_bytes);
  if (cached_bytes == total_bytes) return 1.0;
  // Near 1 the quotient may round up to it, which would say that nothing is missing.
  constexpr double kBelowOne = 1.0 - 0x1p-53;
  return std::min(kBelowOne, static_cast<double>(cached_bytes) / static_cast<double>(total_bytes));
}

}  // namespace forebay
