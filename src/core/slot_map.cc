#include "core/slot_map.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace forebay {

SlotMap::SlotMap(const SlotMapOptions& options)
    : options_(options), chunk_bytes_(std::max(options.chunk_bytes_min, options.block_bytes)) {
  CHECK(std::has_single_bit(options.block_bytes));
  CHECK(std::has_single_bit(options.slot_bytes_min));
  CHECK(std::has_single_bit(chunk_bytes_));
  CHECK(options.slot_bytes_min <= options.block_bytes);
  with_clean_.resize(ClassOf(options.block_bytes) + 1);
}

std::size_t SlotMap::ClassOf(std::uint32_t slot_bytes) const {
  return static_cast<std::size_t>(std::countr_zero(slot_bytes) -
                                  std::countr_zero(options_.slot_bytes_min));
}

std::uint32_t SlotMap::SlotBytesFor(std::uint32_t bytes) const {
  CHECK(bytes <= options_.block_bytes);
  return std::bit_ceil(std::max(bytes, options_.slot_bytes_min));
}

std::uint32_t SlotMap::AddChunk() {
  chunks_.emplace_back();
  const std::uint32_t number = chunk_count() - 1;
  whole_.insert(number);
  return number;
}

void SlotMap::Carve(std::uint32_t number, std::uint32_t slot_bytes) {
  Chunk& chunk = chunks_[number];
  const std::uint32_t count = chunk_bytes_ / slot_bytes;
  chunk.slot_bytes = slot_bytes;
  chunk.slots.assign(count, State::kFree);
  chunk.clean.clear();
  for (std::uint32_t slot = count; slot-- > 0;) chunk.clean.push_back(slot);
  whole_.erase(number);
  with_clean_[ClassOf(slot_bytes)].insert(number);
}

// Puts a carved chunk into the sets where it belongs after one of its slots changed.
void SlotMap::Refile(std::uint32_t number) {
  Chunk& chunk = chunks_[number];
  std::set<std::uint32_t>& with_clean = with_clean_[ClassOf(chunk.slot_bytes)];
  if (chunk.used == 0 && chunk.dirty == 0) {
    with_clean.erase(number);
    punchable_.erase(number);
    whole_.insert(number);
    chunk.slot_bytes = 0;
    chunk.slots.clear();
    chunk.clean.clear();
    ++chunk.generation;
    return;
  }
  if (chunk.clean.empty()) {
    with_clean.erase(number);
  } else {
    with_clean.insert(number);
  }
  if (chunk.used == 0) {
    punchable_.insert(number);
  } else {
    punchable_.erase(number);
  }
}

std::optional<SlotId> SlotMap::Allocate(std::uint32_t bytes) {
  const std::uint32_t slot_bytes = SlotBytesFor(bytes);
  std::set<std::uint32_t>& with_clean = with_clean_[ClassOf(slot_bytes)];
  if (with_clean.empty()) {
    if (whole_.empty()) return std::nullopt;
    Carve(*whole_.begin(), slot_bytes);
  }
  const std::uint32_t number = *with_clean.begin();
  Chunk& chunk = chunks_[number];
  const std::uint32_t slot = chunk.clean.back();
  CHECK(chunk.slots[slot] == State::kFree);
  chunk.clean.pop_back();
  chunk.slots[slot] = State::kUsed;
  ++chunk.used;
  used_bytes_ += slot_bytes;
  Refile(number);
  return SlotId{number, slot, chunk.generation};
}

SlotMap::Chunk& SlotMap::CarvedChunk(SlotId id, State expected) {
  CHECK(id.chunk < chunks_.size());
  Chunk& chunk = chunks_[id.chunk];
  CHECK(id.generation == chunk.generation);
  CHECK(id.slot < chunk.slots.size());
  CHECK(chunk.slots[id.slot] == expected);
  return chunk;
}

void SlotMap::Free(SlotId id, bool dirty) {
  Chunk& chunk = CarvedChunk(id, State::kUsed);
  --chunk.used;
  used_bytes_ -= chunk.slot_bytes;
  if (dirty) {
    chunk.slots[id.slot] = State::kDirty;
    ++chunk.dirty;
    dirty_bytes_ += chunk.slot_bytes;
  } else {
    chunk.slots[id.slot] = State::kFree;
    chunk.clean.push_back(id.slot);
  }
  Refile(id.chunk);
}

bool SlotMap::Acknowledge(SlotId id) {
  CHECK(id.chunk < chunks_.size());
  if (chunks_[id.chunk].generation != id.generation) return false;
  Chunk& chunk = CarvedChunk(id, State::kDirty);
  chunk.slots[id.slot] = State::kFree;
  chunk.clean.push_back(id.slot);
  --chunk.dirty;
  dirty_bytes_ -= chunk.slot_bytes;
  Refile(id.chunk);
  return true;
}

std::vector<std::uint32_t> SlotMap::PunchableChunks() const {
  return {punchable_.begin(), punchable_.end()};
}

void SlotMap::Adopt(std::uint32_t number, std::uint32_t slot_bytes,
                    std::span<const std::uint32_t> used) {
  CHECK(whole_.contains(number) && !used.empty());
  CHECK(std::has_single_bit(slot_bytes) && slot_bytes >= options_.slot_bytes_min &&
        slot_bytes <= options_.block_bytes);
  Carve(number, slot_bytes);
  Chunk& chunk = chunks_[number];
  chunk.clean.clear();
  chunk.slots.assign(chunk.slots.size(), State::kDirty);
  for (const std::uint32_t slot : used) {
    CHECK(slot < chunk.slots.size() && chunk.slots[slot] == State::kDirty);
    chunk.slots[slot] = State::kUsed;
  }
  chunk.used = static_cast<std::uint32_t>(used.size());
  chunk.dirty = static_cast<std::uint32_t>(chunk.slots.size() - used.size());
  used_bytes_ += std::uint64_t{chunk.used} * slot_bytes;
  dirty_bytes_ += std::uint64_t{chunk.dirty} * slot_bytes;
  Refile(number);
}

void SlotMap::Soil(std::uint32_t number) {
  CHECK(number < chunks_.size() && chunks_[number].slot_bytes != 0);
  Chunk& chunk = chunks_[number];
  for (const std::uint32_t slot : chunk.clean) chunk.slots[slot] = State::kDirty;
  chunk.dirty += static_cast<std::uint32_t>(chunk.clean.size());
  dirty_bytes_ += std::uint64_t{chunk.clean.size()} * chunk.slot_bytes;
  chunk.clean.clear();
  Refile(number);
}

void SlotMap::Withdraw(std::uint32_t number) {
  CHECK(number < chunks_.size() && !withdrawn_.contains(number));
  Chunk& chunk = chunks_[number];
  CHECK(chunk.used == 0);
  dirty_bytes_ -= std::uint64_t{chunk.dirty} * chunk.slot_bytes;
  if (chunk.slot_bytes != 0) with_clean_[ClassOf(chunk.slot_bytes)].erase(number);
  punchable_.erase(number);
  whole_.erase(number);
  withdrawn_.insert(number);
  chunk = Chunk{.generation = chunk.generation + 1, .slots = {}, .clean = {}};
}

void SlotMap::Restore(std::uint32_t number) {
  CHECK(withdrawn_.erase(number) == 1);
  whole_.insert(number);
}

std::vector<SlotId> SlotMap::SlotsInChunk(std::uint32_t number) const {
  CHECK(number < chunks_.size());
  const Chunk& chunk = chunks_[number];
  std::vector<SlotId> used;
  for (std::uint32_t slot = 0; slot < chunk.slots.size(); ++slot) {
    if (chunk.slots[slot] == State::kUsed) used.push_back({number, slot, chunk.generation});
  }
  return used;
}

std::uint32_t SlotMap::SlotBytes(SlotId id) const {
  CHECK(id.chunk < chunks_.size());
  CHECK(id.generation == chunks_[id.chunk].generation && chunks_[id.chunk].slot_bytes != 0);
  return chunks_[id.chunk].slot_bytes;
}

std::uint64_t SlotMap::OffsetInChunk(SlotId id) const {
  return std::uint64_t{id.slot} * SlotBytes(id);
}

void SlotMap::CheckInvariants() const {
  std::uint64_t used_bytes = 0;
  std::uint64_t dirty_bytes = 0;
  for (std::uint32_t number = 0; number < chunk_count(); ++number) {
    const Chunk& chunk = chunks_[number];
    CHECK((whole_.contains(number) || withdrawn_.contains(number)) == chunk.slots.empty());
    CHECK(!whole_.contains(number) || !withdrawn_.contains(number));
    CHECK(chunk.slots.empty() == (chunk.slot_bytes == 0));
    const auto count = [&chunk](State state) {
      return static_cast<std::size_t>(std::count(chunk.slots.begin(), chunk.slots.end(), state));
    };
    CHECK(chunk.used == count(State::kUsed));
    CHECK(chunk.dirty == count(State::kDirty));
    CHECK(chunk.clean.size() == count(State::kFree));
    CHECK(chunk.slots.empty() || chunk.used + chunk.dirty > 0);
    CHECK(punchable_.contains(number) == (chunk.used == 0 && chunk.dirty > 0));
    for (std::size_t size_class = 0; size_class < with_clean_.size(); ++size_class) {
      const bool here = chunk.slot_bytes != 0 && ClassOf(chunk.slot_bytes) == size_class;
      CHECK(with_clean_[size_class].contains(number) == (here && !chunk.clean.empty()));
    }
    used_bytes += std::uint64_t{chunk.used} * chunk.slot_bytes;
    dirty_bytes += std::uint64_t{chunk.dirty} * chunk.slot_bytes;
  }
  CHECK(used_bytes == used_bytes_);
  CHECK(dirty_bytes == dirty_bytes_);
}

}  // namespace forebay
