// Snapshots are read from files and from control: any bytes must decode to one that encodes to what
// decodes to the same again, and answers questions, or to an error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/crc32c.h"
#include "cluster/snapshot.h"

namespace {

void Look(std::span<const std::byte> bytes) {
  const forebay::Result<forebay::Snapshot> decoded = forebay::DecodeSnapshot(bytes);
  if (!decoded.ok()) return;
  for (const auto& [path, directory] : decoded.value().tree()) {
    CHECK(decoded.value().List(path, "").ok());
    static_cast<void>(decoded.value().Stat(path + "x").ok());
  }
  const std::vector<std::byte> encoded = forebay::EncodeSnapshot(decoded.value());
  const forebay::Result<forebay::Snapshot> again = forebay::DecodeSnapshot(encoded);
  CHECK(again.ok() && forebay::EncodeSnapshot(again.value()) == encoded);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  Look(bytes);
  // And with a checksum that is right.
  std::vector<std::byte> sealed(bytes.begin(), bytes.end());
  const std::uint32_t checksum = forebay::Crc32c(bytes);
  for (unsigned shift = 0; shift < 32; shift += 8) {
    sealed.push_back(static_cast<std::byte>(checksum >> shift));
  }
  Look(sealed);
  return 0;
}
