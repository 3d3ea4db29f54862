// Slot headers are read from files that outlive their writer: any bytes must decode to a header
// that encodes to itself, or to an error.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "store/slot_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> entry = std::as_bytes(std::span(data, size));
  const forebay::Result<forebay::SlotHeader> decoded = forebay::DecodeSlotHeader(entry);
  if (!decoded.ok()) return 0;
  std::vector<std::uint32_t> words((size + 3) / 4);  // Aligned, as entries are.
  const std::span<std::byte> encoded = std::as_writable_bytes(std::span(words));
  forebay::WriteSlotHeader(decoded.value(), encoded);
  const forebay::Result<forebay::SlotHeader> again = forebay::DecodeSlotHeader(encoded);
  CHECK(again.ok() && again.value().key == decoded.value().key);
  CHECK(again.value().length == decoded.value().length);
  CHECK(again.value().checksums == decoded.value().checksums);
  return 0;
}
