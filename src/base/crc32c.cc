#include "base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace forebay {

std::uint32_t Crc32c(std::span<const std::byte> bytes, std::uint32_t preceding) {
  // ISA-L neither inverts nor takes const.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
  return ~crc32_iscsi(data, static_cast<int>(bytes.size()), ~preceding);
}

std::vector<std::uint32_t> GranuleChecksums(std::span<const std::byte> bytes) {
  std::vector<std::uint32_t> checksums;
  checksums.reserve(GranulesOf(bytes.size()));
  while (!bytes.empty()) {
    const std::size_t length = std::min<std::size_t>(bytes.size(), kGranuleBytes);
    checksums.push_back(Crc32c(bytes.first(length)));
    bytes = bytes.subspan(length);
  }
  return checksums;
}

}  // namespace forebay
