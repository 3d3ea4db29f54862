// Quota arithmetic: what fits into a quota, and how much must go.
//
// A quota is a hard limit on allocated blocks (st_blocks), so that the index and the pages of the
// files themselves count, not only payload.
#pragma once

#include <cstdint>

namespace forebay {

// Bytes of a page of a tmpfs file, its least cost.
inline constexpr std::uint64_t kPageBytes = 4096;
// Bytes of the header of a slot in the index.
inline constexpr std::uint64_t kSlotHeaderBytes = 128;

// How the tier of a quota is laid out. All values follow from (quota, block_bytes).
struct TierLayout {
  std::uint64_t chunk_bytes = 0;  // max(2 MiB, block).
  std::uint64_t index_bytes = 0;  // Beside each chunk: whole pages with 128 bytes for each of
                                  // its smallest slots and 4 for each granule's checksum.
  std::uint64_t chunks_per_segment = 0;
  std::uint64_t chunks = 0;  // That fit; 0 if none does.

  std::uint64_t segments() const {
    return chunks == 0 ? 0 : (chunks + chunks_per_segment - 1) / chunks_per_segment;
  }
  // What `count` chunks cost: their bytes, their index, and one page of overhead a segment.
  std::uint64_t CostOf(std::uint64_t count) const;
};

// Segments hold a sixteenth of the quota, 64 MiB to 1 GiB, and at least one chunk.
// `block_bytes` is a power of two, 64 KiB to 64 MiB. `found_segment_bytes`: of a predecessor's
// segment, which decides if it is a size that a segment of some quota has; else ignored.
TierLayout LayoutFor(std::uint64_t quota_bytes, std::uint32_t block_bytes,
                     std::uint64_t found_segment_bytes = 0);

// Chunks that fit into the quota; 0 if not even one does.
std::uint64_t ChunksFor(std::uint64_t quota_bytes, std::uint32_t block_bytes);

// The least quota that holds one block: the error message names it.
std::uint64_t QuotaMin(std::uint32_t block_bytes);

// Eviction starts above `high` and goes on to `low`, both in hundredths of the capacity.
struct Watermarks {
  std::uint32_t high_percent = 98;
  std::uint32_t low_percent = 95;
};

// Bytes to evict now; 0 up to the high watermark. 0 <= low <= high <= 100.
std::uint64_t BytesToEvict(std::uint64_t used_bytes, std::uint64_t capacity_bytes,
                           const Watermarks& watermarks);

}  // namespace forebay
