// The header of a slot, in its segment's index file: what a worker that finds the segments of a
// predecessor needs to know which bytes it holds. Layout: docs/formats/tier.md.
//
// Invariant: a header that decodes was written after its block's bytes and checksums were complete,
// because its commit word is written last and erased before the slot is given up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "core/ids.h"
#include "core/quota.h"

namespace forebay {

// Bytes of the index file for each granule of the data file: room for a header at any granule, and
// for one checksum a granule of its block.
inline constexpr std::uint32_t kIndexBytesPerGranule = kSlotHeaderBytes + 4;
// The largest block there is. A header that says more is not one.
inline constexpr std::uint32_t kHeaderLengthMax = 64u << 20;

struct SlotHeader {
  BlockKey key;
  std::uint32_t block_bytes = 0;  // Of the tier that wrote it: says where in the file `key` is.
  std::uint32_t length = 0;       // Of the block, in bytes; at least 1.
  std::vector<std::uint32_t> checksums;  // CRC32C, one a granule of `length`.
};

// Writes `header` at the start of `entry`, commit word last: whoever sees the commit word sees the
// rest. `entry` is 4-byte aligned and holds kSlotHeaderBytes + 4 bytes a granule (CHECKed).
void WriteSlotHeader(const SlotHeader& header, std::span<std::byte> entry);

// Erases the commit word: the entry no longer decodes.
void EraseSlotHeader(std::span<std::byte> entry);

// The header at the start of `entry`, which may be any bytes at all, and longer than the header.
//
// Errors: kNotHere: nothing was committed here; kInvalidArgument: committed by another version of
// this layout; kCorrupt: the header is damaged.
Result<SlotHeader> DecodeSlotHeader(std::span<const std::byte> entry);

}  // namespace forebay
