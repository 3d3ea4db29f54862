#include "store/slot_scan.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"

namespace forebay {
namespace {

void Clear(std::span<std::byte> bytes) {
  std::ranges::fill(bytes, std::byte{0});
}

std::span<std::byte> EntriesOf(std::span<std::byte> index, std::uint64_t first,
                               std::uint64_t count) {
  return index.subspan(first * kIndexBytesPerGranule, count * kIndexBytesPerGranule);
}

// Bytes of the slot that holds such a block.
std::uint32_t SlotBytesOf(const SlotHeader& header) {
  return std::bit_ceil(std::max(header.length, kGranuleBytes));
}

}  // namespace

FoundChunk ScanChunk(std::span<std::byte> index, std::uint32_t block_bytes,
                     std::uint64_t chunk_bytes, KeySet& keys, Unadoptable& lost) {
  const std::uint64_t granules = chunk_bytes / kGranuleBytes;
  CHECK(index.size() >= granules * kIndexBytesPerGranule);
  FoundChunk found;
  for (std::uint64_t granule = 0; granule < granules;) {
    // Cut at the end of the largest slot that could start here, so that no checksum is read from
    // beyond the chunk.
    const auto rest = EntriesOf(index, granule, granules - granule);
    Result<SlotHeader> header = DecodeSlotHeader(rest);
    const auto skip = [&](std::uint64_t* count) {
      if (count != nullptr) ++*count;
      Clear(EntriesOf(index, granule, 1));
      ++granule;
    };
    if (!header.ok()) {
      const Code code = header.error().code();
      skip(code == Code::kNotHere   ? nullptr
           : code == Code::kCorrupt ? &lost.damaged
                                    : &lost.incompatible);
      continue;
    }
    const std::uint32_t slot_bytes = SlotBytesOf(header.value());
    const std::uint64_t offset = granule * kGranuleBytes;
    const bool fits = header.value().block_bytes == block_bytes && slot_bytes <= block_bytes &&
                      (found.slot_bytes == 0 || found.slot_bytes == slot_bytes) &&
                      offset % slot_bytes == 0;
    if (!fits) {
      skip(&lost.incompatible);
    } else if (!keys.insert(header.value().key).second) {
      skip(&lost.duplicate);
    } else {
      const std::size_t used =
          kSlotHeaderBytes + header.value().checksums.size() * sizeof(std::uint32_t);
      Clear(EntriesOf(index, granule, slot_bytes / kGranuleBytes).subspan(used));
      found.slot_bytes = slot_bytes;
      found.blocks.push_back(
          {static_cast<std::uint32_t>(offset / slot_bytes), std::move(header).value()});
      granule += slot_bytes / kGranuleBytes;
    }
  }
  Clear(index.subspan(granules * kIndexBytesPerGranule));
  return found;
}

}  // namespace forebay
