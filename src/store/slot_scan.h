// ScanChunk: which blocks a predecessor left in a chunk, from the chunk's index.
//
// Invariant: whatever the index holds, the blocks found lie in different slots of one size, have
// different keys, and could have been written by a tier of this block size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "core/ids.h"
#include "store/slot_header.h"

namespace forebay {

struct FoundBlock {
  std::uint32_t slot = 0;  // In the chunk, from 0.
  SlotHeader header;
};

// What was found and could not be kept, in headers.
struct Unadoptable {
  std::uint64_t damaged = 0;
  std::uint64_t incompatible =
      0;                        // Of another version or block size, or of a slot of another size.
  std::uint64_t duplicate = 0;  // Of a block that was found before.
};

struct FoundChunk {
  std::uint32_t slot_bytes = 0;    // Of every slot. 0 if there is no block.
  std::vector<FoundBlock> blocks;  // By slot, ascending.
};

using KeySet = std::unordered_set<BlockKey, KeyHash>;

// Reads `index`, a copy of the chunk's, as docs/formats/tier.md says, and clears everything in it
// that does not belong to a block in the answer: a header that is left behind would come back at
// the next start. Adds the blocks' keys to `keys`, and what is not kept to `lost`.
FoundChunk ScanChunk(std::span<std::byte> index, std::uint32_t block_bytes,
                     std::uint64_t chunk_bytes, KeySet& keys, Unadoptable& lost);

}  // namespace forebay
