// SlotTable: a SlotMap, and for every slot who is in it, who sends from it, and what was sent.
//
// Invariant: a slot goes back to the map clean only if every send from it was acknowledged.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/slot_map.h"
#include "store/slot_scan.h"

namespace forebay {

class TierBlock;

// Thread safety: none; the tier guards it. No I/O.
class SlotTable {
 public:
  explicit SlotTable(const SlotMapOptions& options) : map_(options) {}

  const SlotMap& map() const { return map_; }

  // As SlotMap's.
  std::uint32_t AddChunk() { return map_.AddChunk(); }
  std::optional<SlotId> Allocate(std::uint32_t bytes);
  void Restore(std::uint32_t chunk) { map_.Restore(chunk); }
  // Forgets what was sent from its slots too: they will not refer to these pages again.
  void Withdraw(std::uint32_t chunk);

  // As SlotMap's. The ids of the slots with blocks, in the order of `found`: each is to be
  // occupied.
  std::vector<SlotId> Adopt(std::uint32_t chunk, const FoundChunk& found);

  // Pages of the chunk, which is carved, are missing: none of its slots is used again before the
  // chunk was withdrawn.
  void Soil(std::uint32_t chunk);

  // The slot, just allocated, is `block`'s. It may not be evicted before Settle.
  void Occupy(SlotId id, TierBlock* block);
  void Settle(SlotId id);
  // The block gives it up: at once, or when its last pin goes.
  void Release(SlotId id);

  // A send is being prepared or is under way. Ends with Unpin, Sent or Abandon.
  void Pin(SlotId id);
  // Nothing was sent after all.
  void Unpin(SlotId id);
  // The bytes are in a socket; Acknowledge or AbandonSent follows.
  void Sent(SlotId id);
  void Acknowledge(SlotId id);
  // Nobody will ever know whether the bytes have left the socket: dirty until punched.
  void AbandonPinned(SlotId id);
  void AbandonSent(SlotId id);

  // Whether the slot's block may be evicted now.
  bool Evictable(SlotId id) const;
  // Whether all blocks of the chunk may be evicted now.
  bool ChunkEvictable(std::uint32_t chunk) const;
  // Those of the used slots of a chunk that still have one.
  std::vector<TierBlock*> BlocksIn(std::uint32_t chunk) const;

 private:
  enum class Use : std::uint8_t {
    kFree,
    kBusy,   // Being filled, or served only to those who know of it.
    kHeld,   // Complete, evictable unless pinned.
    kGoing,  // Given up; waits for its pins to go.
  };
  struct Slot {
    TierBlock* block = nullptr;
    std::uint32_t pins = 0;
    std::uint32_t unacknowledged = 0;
    Use use = Use::kFree;
    bool tainted = false;  // A send was abandoned.
  };
  struct Chunk {
    std::uint32_t generation = 0;
    std::uint32_t busy = 0;  // Slots that may not be evicted.
    std::vector<Slot> slots;
  };

  static bool IsBusy(const Slot& slot) {
    return slot.use != Use::kFree && (slot.use != Use::kHeld || slot.pins > 0);
  }
  // Null if the chunk was withdrawn or carved anew since the id was given out.
  Slot* FindSlot(SlotId id);
  Slot& GetSlot(SlotId id);
  template <typename Change>
  void Apply(SlotId id, Change change);
  void FreeIfUnpinned(SlotId id);

  SlotMap map_;
  std::vector<Chunk> chunks_;
};

}  // namespace forebay
