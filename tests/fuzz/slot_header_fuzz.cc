// Slot headers are read from files that outlive their writer: any bytes must decode to a header
// that encodes to itself, or to an error; and any index to blocks that it then still holds.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/crc32c.h"
#include "store/slot_header.h"
#include "store/slot_scan.h"

namespace {

constexpr std::uint32_t kBlockBytes = 4u << 20;

// All of a chunk's index is `entry`, and the rest zeroes.
void Scan(std::span<const std::byte> entry) {
  const std::size_t bytes = kBlockBytes / forebay::kGranuleBytes * forebay::kIndexBytesPerGranule;
  std::vector<std::byte> index(entry.begin(), entry.end());
  index.resize(bytes);
  for (const std::uint64_t lost_again : {1U, 0U}) {
    forebay::KeySet keys;
    forebay::Unadoptable lost;
    const forebay::FoundChunk found =
        forebay::ScanChunk(index, kBlockBytes, kBlockBytes, keys, lost);
    CHECK(found.blocks.size() == keys.size());
    for (const forebay::FoundBlock& block : found.blocks) {
      CHECK((block.slot + std::uint64_t{1}) * found.slot_bytes <= kBlockBytes);
      CHECK(block.header.length <= found.slot_bytes);
    }
    CHECK(lost_again == 1 || lost.damaged + lost.incompatible + lost.duplicate == 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> entry = std::as_bytes(std::span(data, size));
  Scan(entry);
  const forebay::Result<forebay::SlotHeader> decoded = forebay::DecodeSlotHeader(entry);
  if (!decoded.ok()) return 0;
  std::vector<std::uint32_t> words((size + 3) / 4);  // Aligned, as entries are.
  const std::span<std::byte> encoded = std::as_writable_bytes(std::span(words));
  forebay::WriteSlotHeader(decoded.value(), encoded);
  const forebay::Result<forebay::SlotHeader> again = forebay::DecodeSlotHeader(encoded);
  CHECK(again.ok() && again.value().key == decoded.value().key);
  CHECK(again.value().block_bytes == decoded.value().block_bytes);
  CHECK(again.value().length == decoded.value().length);
  CHECK(again.value().checksums == decoded.value().checksums);
  return 0;
}
