#include "store/slot_table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace forebay {

SlotTable::Slot* SlotTable::FindSlot(SlotId id) {
  if (id.chunk >= chunks_.size()) return nullptr;
  Chunk& chunk = chunks_[id.chunk];
  if (chunk.generation != id.generation || id.slot >= chunk.slots.size()) return nullptr;
  return &chunk.slots[id.slot];
}

SlotTable::Slot& SlotTable::GetSlot(SlotId id) {
  Slot* slot = FindSlot(id);
  CHECK(slot != nullptr);
  return *slot;
}

template <typename Change>
void SlotTable::Apply(SlotId id, Change change) {
  Slot& slot = GetSlot(id);
  const bool before = IsBusy(slot);
  change(slot);
  const bool after = IsBusy(slot);
  std::uint32_t& busy = chunks_[id.chunk].busy;
  if (before && !after) --busy;
  if (after && !before) ++busy;
}

std::optional<SlotId> SlotTable::Allocate(std::uint32_t bytes) {
  const std::optional<SlotId> id = map_.Allocate(bytes);
  if (!id) return std::nullopt;
  if (id->chunk >= chunks_.size()) chunks_.resize(id->chunk + 1);
  Chunk& chunk = chunks_[id->chunk];
  if (chunk.generation != id->generation || chunk.slots.empty()) {
    CHECK(chunk.busy == 0);
    chunk.generation = id->generation;
    chunk.slots.assign(map_.chunk_bytes() / map_.SlotBytes(*id), Slot{});
  }
  return id;
}

void SlotTable::Withdraw(std::uint32_t chunk) {
  map_.Withdraw(chunk);
  if (chunk >= chunks_.size()) return;
  CHECK(chunks_[chunk].busy == 0);
  chunks_[chunk].slots.clear();
}

// What the predecessor sent from them is not known to be acknowledged.
std::vector<SlotId> SlotTable::Adopt(std::uint32_t chunk, const FoundChunk& found) {
  std::vector<std::uint32_t> used;
  for (const FoundBlock& block : found.blocks) used.push_back(block.slot);
  map_.Adopt(chunk, found.slot_bytes, used);
  const std::vector<SlotId> ids = map_.SlotsInChunk(chunk);
  chunks_.resize(std::max<std::size_t>(chunks_.size(), chunk + 1));
  chunks_[chunk].generation = ids.front().generation;
  chunks_[chunk].slots.assign(map_.chunk_bytes() / found.slot_bytes, Slot{});
  for (const SlotId id : ids) chunks_[chunk].slots[id.slot].tainted = true;
  return ids;
}

void SlotTable::Soil(std::uint32_t chunk) {
  map_.Soil(chunk);
  for (Slot& slot : chunks_[chunk].slots) slot.tainted = true;
}

void SlotTable::Occupy(SlotId id, TierBlock* block) {
  Apply(id, [block](Slot& slot) {
    CHECK(slot.use == Use::kFree && slot.pins == 0 && slot.unacknowledged == 0);
    slot.use = Use::kBusy;
    slot.block = block;
  });
}

void SlotTable::Settle(SlotId id) {
  Apply(id, [](Slot& slot) {
    CHECK(slot.use == Use::kBusy);
    slot.use = Use::kHeld;
  });
}

void SlotTable::Release(SlotId id) {
  Apply(id, [](Slot& slot) {
    CHECK(slot.use == Use::kBusy || slot.use == Use::kHeld);
    slot.use = Use::kGoing;
    slot.block = nullptr;
  });
  FreeIfUnpinned(id);
}

void SlotTable::FreeIfUnpinned(SlotId id) {
  const Slot& slot = GetSlot(id);
  if (slot.use != Use::kGoing || slot.pins > 0) return;
  Apply(id, [](Slot& going) { going.use = Use::kFree; });
  map_.Free(id, slot.unacknowledged > 0 || slot.tainted);
}

void SlotTable::Pin(SlotId id) {
  Apply(id, [](Slot& slot) {
    CHECK(slot.use == Use::kBusy || slot.use == Use::kHeld);
    ++slot.pins;
  });
}

void SlotTable::Unpin(SlotId id) {
  Apply(id, [](Slot& slot) {
    CHECK(slot.pins > 0);
    --slot.pins;
  });
  FreeIfUnpinned(id);
}

void SlotTable::Sent(SlotId id) {
  ++GetSlot(id).unacknowledged;
  Unpin(id);
}

void SlotTable::AbandonPinned(SlotId id) {
  GetSlot(id).tainted = true;
  Unpin(id);
}

void SlotTable::Acknowledge(SlotId id) {
  Slot* slot = FindSlot(id);
  if (slot == nullptr) return;  // Its pages are gone already.
  CHECK(slot->unacknowledged > 0);
  --slot->unacknowledged;
  if (slot->use == Use::kFree && slot->unacknowledged == 0 && !slot->tainted) map_.Acknowledge(id);
}

void SlotTable::AbandonSent(SlotId id) {
  Slot* slot = FindSlot(id);
  if (slot == nullptr) return;
  CHECK(slot->unacknowledged > 0);
  --slot->unacknowledged;
  slot->tainted = true;
}

bool SlotTable::Evictable(SlotId id) const {
  const Slot& slot = chunks_[id.chunk].slots[id.slot];
  return slot.use == Use::kHeld && slot.pins == 0;
}

bool SlotTable::ChunkEvictable(std::uint32_t chunk) const {
  return chunks_[chunk].busy == 0;
}

std::vector<TierBlock*> SlotTable::BlocksIn(std::uint32_t chunk) const {
  std::vector<TierBlock*> blocks;
  for (const SlotId id : map_.SlotsInChunk(chunk)) {
    TierBlock* block = chunks_[chunk].slots[id.slot].block;
    if (block != nullptr) blocks.push_back(block);
  }
  return blocks;
}

}  // namespace forebay
