// SlotMap: the arithmetic of the memory tier. Which slot is free, used, or not yet free again.
//
// The tier is a row of chunks. A chunk is carved into slots of one size (its class) when one is
// first needed, and is whole again when all its slots are free and clean. Small files so take a
// small slot, and no class can starve another for ever.
//
// Invariant: a slot is handed out only if every send from it was acknowledged, or its pages were
// punched out since (docs/decisions/0001: Recycling).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace forebay {

struct SlotId {
  std::uint32_t chunk = 0;
  std::uint32_t slot = 0;        // In the chunk, from 0.
  std::uint32_t generation = 0;  // Of the chunk's carving: a late acknowledgement hits nobody else.
  auto operator<=>(const SlotId&) const = default;
};

struct SlotMapOptions {
  std::uint32_t block_bytes = 4u << 20;      // The largest slot. A power of two.
  std::uint32_t slot_bytes_min = 64u << 10;  // The smallest slot. A power of two <= block_bytes.
  std::uint32_t chunk_bytes_min = 2u << 20;  // A huge page: the unit that can be punched out.
};

// Thread safety: none; the store guards it. Cost: logarithmic in the chunks unless stated.
class SlotMap {
 public:
  explicit SlotMap(const SlotMapOptions& options);

  // Bytes of every chunk: max(chunk_bytes_min, block_bytes).
  std::uint32_t chunk_bytes() const { return chunk_bytes_; }
  std::uint32_t chunk_count() const { return static_cast<std::uint32_t>(chunks_.size()); }

  // Adds one clean chunk, and returns its number: memory grows ahead of demand.
  std::uint32_t AddChunk();

  // A slot that holds `bytes` (0 to block_bytes), from the lowest chunk that has one; nothing if
  // every slot of that size is used or dirty and no chunk is whole. The way out is then
  // PunchableChunks, else to free every slot of some chunk (SlotsInChunk).
  std::optional<SlotId> Allocate(std::uint32_t bytes);

  // Gives a used slot back. `dirty`: a send from it is not acknowledged yet.
  void Free(SlotId id, bool dirty);

  // Every send from a dirty slot is acknowledged now. False, and nothing changes, if the chunk was
  // punched or carved anew since.
  bool Acknowledge(SlotId id);

  // Chunks of which all slots are free and at least one is dirty, ascending: Withdraw one, punch
  // out its pages, Restore it. Linear in the answer.
  std::vector<std::uint32_t> PunchableChunks() const;

  // A predecessor carved this whole chunk into slots of `slot_bytes` and holds blocks in `used`
  // (ascending, at least one). Nobody knows who still sends from the others: they are dirty.
  void Adopt(std::uint32_t chunk, std::uint32_t slot_bytes, std::span<const std::uint32_t> used);

  // Pages of this carved chunk are missing: its free slots are dirty now. Used ones are to be given
  // back as dirty.
  void Soil(std::uint32_t chunk);
  bool IsWhole(std::uint32_t chunk) const { return whole_.contains(chunk); }
  bool IsWithdrawn(std::uint32_t chunk) const { return withdrawn_.contains(chunk); }

  // Takes out a chunk of which no slot is used: it has no pages, or is being given new ones, which
  // is not done under the store's lock. Capacity shrinks; acknowledgements of it are too late.
  // Restore: it has clean pages, and is whole.
  void Withdraw(std::uint32_t chunk);
  void Restore(std::uint32_t chunk);

  // The used slots of a chunk: what must go for the chunk to be whole. Linear in its slots.
  std::vector<SlotId> SlotsInChunk(std::uint32_t chunk) const;

  // The size of the slots that hold `bytes`.
  std::uint32_t SlotBytesFor(std::uint32_t bytes) const;
  // The size of a slot handed out, and where it starts in its chunk.
  std::uint32_t SlotBytes(SlotId id) const;
  std::uint64_t OffsetInChunk(SlotId id) const;

  // used + dirty + free = capacity. Bytes of slots, not of what is in them.
  std::uint64_t capacity_bytes() const {
    return std::uint64_t{chunk_bytes_} * (chunks_.size() - withdrawn_.size());
  }
  std::uint64_t used_bytes() const { return used_bytes_; }
  std::uint64_t dirty_bytes() const { return dirty_bytes_; }
  std::uint64_t free_bytes() const { return capacity_bytes() - used_bytes_ - dirty_bytes_; }

  // Recounts everything and CHECKs it. Linear in the slots: for tests.
  void CheckInvariants() const;

 private:
  enum class State : std::uint8_t { kFree, kUsed, kDirty };
  struct Chunk {
    std::uint32_t generation = 0;
    std::uint32_t slot_bytes = 0;  // 0: whole.
    std::uint32_t used = 0;
    std::uint32_t dirty = 0;
    std::vector<State> slots;          // Empty: whole.
    std::vector<std::uint32_t> clean;  // The free slots, as a stack.
  };

  std::size_t ClassOf(std::uint32_t slot_bytes) const;
  Chunk& CarvedChunk(SlotId id, State expected);
  void Carve(std::uint32_t number, std::uint32_t slot_bytes);
  void Refile(std::uint32_t number);

  const SlotMapOptions options_;
  const std::uint32_t chunk_bytes_;
  std::vector<Chunk> chunks_;
  std::set<std::uint32_t> whole_;
  std::set<std::uint32_t> punchable_;
  std::set<std::uint32_t> withdrawn_;
  std::vector<std::set<std::uint32_t>> with_clean_;  // By class: carved chunks with a clean slot.
  std::uint64_t used_bytes_ = 0;
  std::uint64_t dirty_bytes_ = 0;
};

}  // namespace forebay
