// What every byte of the simulated store is: a function of (path, version, place). So every byte
// that a reader gets can be checked, and a byte of another file, version or place is told apart.
#pragma once

#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "core/ids.h"

namespace forebay::sim {

// One word stands for this many bytes.
inline constexpr std::uint32_t kWordBytes = 256;
inline constexpr std::uint32_t kBlockBytes = 4096;
inline constexpr std::uint32_t kSlotBytesMin = 1024;
inline constexpr std::uint32_t kChunkBytes = 8192;
inline constexpr std::uint32_t kBlockWords = kBlockBytes / kWordBytes;

using Words = std::vector<std::uint64_t>;

struct BlockName {
  std::uint32_t path = 0;
  std::uint32_t version = 0;  // From 1.
  std::uint32_t index = 0;
  auto operator<=>(const BlockName&) const = default;
};

inline std::uint64_t WordAt(std::uint32_t path, std::uint32_t version, std::uint32_t place) {
  return Mix64(Mix64(std::uint64_t{path} << 32 | version) + place);
}

inline Words ContentOf(const BlockName& name, std::uint32_t words) {
  Words content(words);
  for (std::uint32_t i = 0; i < words; ++i) {
    content[i] = WordAt(name.path, name.version, name.index * kBlockWords + i);
  }
  return content;
}

inline Digest128 DigestOfNumber(std::uint64_t number) {
  Digest128 digest;
  const std::uint64_t mixed = Mix64(number + 1);
  for (std::size_t i = 0; i < 8; ++i) {
    digest.bytes[i] = static_cast<std::uint8_t>(mixed >> (8 * i));
  }
  return digest;
}

inline BlockKey KeyOf(const BlockName& name) {
  BlockKey key;
  key.file.path = DigestOfNumber(name.path);
  key.file.version = DigestOfNumber(name.version);
  key.index = name.index;
  return key;
}

}  // namespace forebay::sim
