#include "store/slot_header.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"

namespace forebay {
namespace {

constexpr std::uint32_t kMagic = 0x4853'4246;  // "FBSH" in the file.
constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kCommit = 0x5449'4d43;  // "CMIT" in the file.

// Offsets, as docs/formats/tier.md lists them.
constexpr std::size_t kMagicAt = 0;
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kLengthAt = 8;
constexpr std::size_t kGranulesAt = 12;
constexpr std::size_t kIndexAt = 16;
constexpr std::size_t kBlockBytesAt = 20;
constexpr std::size_t kDomainAt = 24;
constexpr std::size_t kDatasetAt = 32;
constexpr std::size_t kPathAt = 48;
constexpr std::size_t kVersionTagAt = 64;
constexpr std::size_t kChecksumAt = 120;
constexpr std::size_t kCommitAt = 124;

template <typename Integer>
void Put(std::span<std::byte> bytes, std::size_t at, Integer value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    bytes[at + i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
  }
}

template <typename Integer>
Integer Get(std::span<const std::byte> bytes, std::size_t at) {
  Integer value = 0;
  for (std::size_t i = sizeof value; i-- > 0;) {
    value = static_cast<Integer>(value << 8 | std::to_integer<Integer>(bytes[at + i]));
  }
  return value;
}

void PutDigest(std::span<std::byte> bytes, std::size_t at, const Digest128& digest) {
  std::memcpy(bytes.data() + at, digest.bytes.data(), digest.bytes.size());
}

Digest128 GetDigest(std::span<const std::byte> bytes, std::size_t at) {
  Digest128 digest;
  std::memcpy(digest.bytes.data(), bytes.data() + at, digest.bytes.size());
  return digest;
}

// Of the header before its checksum, and of the granules' checksums behind it.
std::uint32_t HeaderChecksum(std::span<const std::byte> entry, std::uint32_t granules) {
  const std::uint32_t head = Crc32c(entry.first(kChecksumAt));
  return Crc32c(entry.subspan(kSlotHeaderBytes, std::size_t{granules} * 4), head);
}

std::atomic_ref<std::uint32_t> CommitWord(std::span<std::byte> entry) {
  return std::atomic_ref<std::uint32_t>(
      *reinterpret_cast<std::uint32_t*>(entry.data() + kCommitAt));
}

}  // namespace

void WriteSlotHeader(const SlotHeader& header, std::span<std::byte> entry) {
  const std::uint32_t granules = GranulesOf(header.length);
  CHECK(header.length > 0 && header.checksums.size() == granules);
  CHECK(entry.size() >= kSlotHeaderBytes + std::size_t{granules} * 4);
  EraseSlotHeader(entry);
  std::ranges::fill(entry.first(kCommitAt), std::byte{0});
  Put(entry, kMagicAt, kMagic);
  Put(entry, kVersionAt, kVersion);
  Put(entry, kLengthAt, header.length);
  Put(entry, kGranulesAt, granules);
  Put(entry, kIndexAt, header.key.index);
  Put(entry, kBlockBytesAt, header.block_bytes);
  Put(entry, kDomainAt, header.key.file.domain.value);
  PutDigest(entry, kDatasetAt, header.key.file.dataset.value);
  PutDigest(entry, kPathAt, header.key.file.path);
  PutDigest(entry, kVersionTagAt, header.key.file.version);
  for (std::size_t i = 0; i < granules; ++i) {
    Put(entry, kSlotHeaderBytes + 4 * i, header.checksums[i]);
  }
  Put(entry, kChecksumAt, HeaderChecksum(entry, granules));
  std::array<std::byte, 4> commit{};
  Put(std::span<std::byte>(commit), 0, kCommit);
  CommitWord(entry).store(std::bit_cast<std::uint32_t>(commit), std::memory_order_release);
}

void EraseSlotHeader(std::span<std::byte> entry) {
  CHECK(entry.size() >= kSlotHeaderBytes);
  CommitWord(entry).store(0, std::memory_order_release);
}

Result<SlotHeader> DecodeSlotHeader(std::span<const std::byte> entry) {
  if (entry.size() < kSlotHeaderBytes) {
    return Error(Code::kCorrupt, "slot header: shorter than a header");
  }
  if (Get<std::uint32_t>(entry, kCommitAt) != kCommit) {
    return Error(Code::kNotHere, "slot header: not committed");
  }
  if (Get<std::uint32_t>(entry, kMagicAt) != kMagic) {
    return Error(Code::kCorrupt, "slot header: wrong magic");
  }
  if (Get<std::uint32_t>(entry, kVersionAt) != kVersion) {
    return Error(Code::kInvalidArgument, "slot header: another version");
  }
  SlotHeader header;
  header.length = Get<std::uint32_t>(entry, kLengthAt);
  const std::uint32_t granules = Get<std::uint32_t>(entry, kGranulesAt);
  if (header.length == 0 || header.length > kHeaderLengthMax ||
      granules != GranulesOf(header.length)) {
    return Error(Code::kCorrupt, "slot header: impossible length");
  }
  if (entry.size() < kSlotHeaderBytes + std::size_t{granules} * 4) {
    return Error(Code::kCorrupt, "slot header: cut off in the checksums");
  }
  if (Get<std::uint32_t>(entry, kChecksumAt) != HeaderChecksum(entry, granules)) {
    return Error(Code::kCorrupt, "slot header: checksum differs");
  }
  header.key.index = Get<std::uint32_t>(entry, kIndexAt);
  header.block_bytes = Get<std::uint32_t>(entry, kBlockBytesAt);
  header.key.file.domain.value = Get<std::uint64_t>(entry, kDomainAt);
  header.key.file.dataset.value = GetDigest(entry, kDatasetAt);
  header.key.file.path = GetDigest(entry, kPathAt);
  header.key.file.version = GetDigest(entry, kVersionTagAt);
  header.checksums.reserve(granules);
  for (std::size_t i = 0; i < granules; ++i) {
    header.checksums.push_back(Get<std::uint32_t>(entry, kSlotHeaderBytes + 4 * i));
  }
  return header;
}

}  // namespace forebay
