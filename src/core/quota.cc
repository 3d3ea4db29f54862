#include "core/quota.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace forebay {
namespace {

constexpr std::uint64_t kHugePageBytes = 2u << 20;
constexpr std::uint64_t kSmallestSlotBytes = 64u << 10;
constexpr std::uint64_t kGranuleChecksumBytes = 4;
constexpr std::uint64_t kSegmentBytesMin = 64u << 20;
constexpr std::uint64_t kSegmentBytesMax = 1u << 30;

TierLayout Unfilled(std::uint64_t quota_bytes, std::uint32_t block_bytes,
                    std::uint64_t found_segment_bytes) {
  CHECK(std::has_single_bit(block_bytes) && block_bytes >= kSmallestSlotBytes);
  TierLayout layout;
  layout.chunk_bytes = std::max<std::uint64_t>(kHugePageBytes, block_bytes);
  // The smallest slot is as large as a granule, so there are as many of one as of the other.
  const std::uint64_t slots = layout.chunk_bytes / kSmallestSlotBytes;
  const std::uint64_t index = slots * (kSlotHeaderBytes + kGranuleChecksumBytes);
  layout.index_bytes = (index + kPageBytes - 1) / kPageBytes * kPageBytes;
  const bool found = std::has_single_bit(found_segment_bytes) &&
                     found_segment_bytes >= kSegmentBytesMin &&
                     found_segment_bytes <= kSegmentBytesMax;
  const std::uint64_t segment_bytes =
      found ? found_segment_bytes
            : std::clamp(std::bit_floor(quota_bytes / 16), kSegmentBytesMin, kSegmentBytesMax);
  layout.chunks_per_segment = std::max<std::uint64_t>(1, segment_bytes / layout.chunk_bytes);
  return layout;
}

}  // namespace

std::uint64_t TierLayout::CostOf(std::uint64_t count) const {
  const std::uint64_t files = (count + chunks_per_segment - 1) / chunks_per_segment;
  return count * (chunk_bytes + index_bytes) + files * kPageBytes;
}

TierLayout LayoutFor(std::uint64_t quota_bytes, std::uint32_t block_bytes,
                     std::uint64_t found_segment_bytes) {
  TierLayout layout = Unfilled(quota_bytes, block_bytes, found_segment_bytes);
  const std::uint64_t full_cost = layout.CostOf(layout.chunks_per_segment);
  const std::uint64_t rest = quota_bytes % full_cost;
  layout.chunks = quota_bytes / full_cost * layout.chunks_per_segment;
  if (rest > kPageBytes) {
    layout.chunks += (rest - kPageBytes) / (layout.chunk_bytes + layout.index_bytes);
  }
  return layout;
}

std::uint64_t ChunksFor(std::uint64_t quota_bytes, std::uint32_t block_bytes) {
  return LayoutFor(quota_bytes, block_bytes).chunks;
}

std::uint64_t QuotaMin(std::uint32_t block_bytes) {
  return Unfilled(0, block_bytes, 0).CostOf(1);
}

std::uint64_t BytesToEvict(std::uint64_t used_bytes, std::uint64_t capacity_bytes,
                           const Watermarks& watermarks) {
  CHECK(watermarks.low_percent <= watermarks.high_percent && watermarks.high_percent <= 100);
  // Divided first, so that no capacity overflows; the remainder too, so that 100 % is all of it.
  const auto percent = [capacity_bytes](std::uint64_t value) {
    return capacity_bytes / 100 * value + capacity_bytes % 100 * value / 100;
  };
  const std::uint64_t high = percent(watermarks.high_percent);
  const std::uint64_t low = percent(watermarks.low_percent);
  return used_bytes > high ? used_bytes - low : 0;
}

}  // namespace forebay
