#include "core/slot_map.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "base/rng.h"

namespace forebay {
namespace {

constexpr std::uint32_t kKiB = 1u << 10;
constexpr std::uint32_t kMiB = 1u << 20;

SlotMap WithChunks(const SlotMapOptions& options, std::uint32_t count) {
  SlotMap map(options);
  for (std::uint32_t i = 0; i < count; ++i) EXPECT_EQ(map.AddChunk(), i);
  return map;
}

// As the store does it, but for the system call.
void Punch(SlotMap& map, std::uint32_t chunk) {
  map.Withdraw(chunk);
  map.Restore(chunk);
}

TEST(SlotMap, AChunkIsAHugePageOrABlock) {
  EXPECT_EQ(SlotMap({.block_bytes = 4 * kMiB}).chunk_bytes(), 4 * kMiB);
  EXPECT_EQ(SlotMap({.block_bytes = 64 * kKiB}).chunk_bytes(), 2 * kMiB);
}

TEST(SlotMap, PicksTheSmallestSlotThatHolds) {
  const SlotMap map({.block_bytes = 4 * kMiB});
  EXPECT_EQ(map.SlotBytesFor(0), 64 * kKiB);
  EXPECT_EQ(map.SlotBytesFor(64 * kKiB), 64 * kKiB);
  EXPECT_EQ(map.SlotBytesFor(64 * kKiB + 1), 128 * kKiB);
  EXPECT_EQ(map.SlotBytesFor(4 * kMiB), 4 * kMiB);
}

TEST(SlotMap, SmallFilesShareAChunk) {
  SlotMap map = WithChunks({.block_bytes = 4 * kMiB}, 2);
  const SlotId first = map.Allocate(100).value();
  for (int i = 1; i < 64; ++i) EXPECT_EQ(map.Allocate(64 * kKiB).value().chunk, first.chunk);
  const SlotId next = map.Allocate(1).value();
  EXPECT_NE(next.chunk, first.chunk);
  EXPECT_EQ(map.OffsetInChunk(first), 0u);
  EXPECT_EQ(map.SlotBytes(next), 64 * kKiB);
  EXPECT_EQ(map.Allocate(4 * kMiB), std::nullopt);
  EXPECT_EQ(map.SlotsInChunk(first.chunk).size(), 64u);
}

TEST(SlotMap, AWholeChunkServesAnyClassAgain) {
  SlotMap map = WithChunks({.block_bytes = 4 * kMiB}, 1);
  const SlotId small = map.Allocate(1).value();
  EXPECT_EQ(map.Allocate(4 * kMiB), std::nullopt);
  map.Free(small, false);
  EXPECT_TRUE(map.Allocate(4 * kMiB).has_value());
}

TEST(SlotMap, ADirtySlotIsNotHandedOut) {
  SlotMap map = WithChunks({.block_bytes = 4 * kMiB}, 1);
  const SlotId id = map.Allocate(4 * kMiB).value();
  map.Free(id, true);
  EXPECT_EQ(map.dirty_bytes(), 4 * kMiB);
  EXPECT_EQ(map.Allocate(4 * kMiB), std::nullopt);
  EXPECT_EQ(map.PunchableChunks(), (std::vector<std::uint32_t>{0}));
  EXPECT_TRUE(map.Acknowledge(id));
  EXPECT_TRUE(map.PunchableChunks().empty());
  EXPECT_TRUE(map.Allocate(4 * kMiB).has_value());
}

TEST(SlotMap, PunchingCleansAChunkOnlyWhenNothingInItIsUsed) {
  SlotMap map = WithChunks({.block_bytes = 2 * kMiB}, 1);
  const SlotId dirty = map.Allocate(1 * kMiB).value();
  const SlotId used = map.Allocate(1 * kMiB).value();
  map.Free(dirty, true);
  EXPECT_TRUE(map.PunchableChunks().empty());
  EXPECT_EQ(map.SlotsInChunk(0), (std::vector<SlotId>{used}));
  map.Free(used, false);
  EXPECT_EQ(map.PunchableChunks(), (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(map.free_bytes(), 1 * kMiB);
  Punch(map, 0);
  EXPECT_EQ(map.free_bytes(), 2 * kMiB);
  EXPECT_TRUE(map.Allocate(2 * kMiB).has_value());
}

TEST(SlotMap, ALateAcknowledgementHitsNobodyElse) {
  SlotMap map = WithChunks({.block_bytes = 2 * kMiB}, 1);
  const SlotId id = map.Allocate(2 * kMiB).value();
  map.Free(id, true);
  Punch(map, 0);
  const SlotId next = map.Allocate(2 * kMiB).value();
  map.Free(next, true);
  EXPECT_FALSE(map.Acknowledge(id));
  EXPECT_EQ(map.Allocate(2 * kMiB), std::nullopt);
}

TEST(SlotMap, AWithdrawnChunkIsNoCapacityUntilRestored) {
  SlotMap map = WithChunks({.block_bytes = 2 * kMiB}, 2);
  const SlotId id = map.Allocate(1).value();
  map.Free(id, true);
  map.Withdraw(0);
  map.CheckInvariants();
  EXPECT_EQ(map.capacity_bytes(), 2 * kMiB);
  EXPECT_EQ(map.dirty_bytes(), 0u);
  EXPECT_TRUE(map.PunchableChunks().empty());
  EXPECT_FALSE(map.Acknowledge(id)) << "too late";
  EXPECT_EQ(map.Allocate(2 * kMiB).value().chunk, 1u);
  EXPECT_EQ(map.Allocate(2 * kMiB), std::nullopt);
  map.Restore(0);
  map.CheckInvariants();
  EXPECT_EQ(map.Allocate(2 * kMiB).value().chunk, 0u);
}

TEST(SlotMap, AnAdoptedChunkGivesNoSlotAwayBeforeItIsPunched) {
  SlotMap map = WithChunks({.block_bytes = 2 * kMiB}, 2);
  map.Adopt(0, 512 * kKiB, std::vector<std::uint32_t>{1, 3});
  map.CheckInvariants();
  EXPECT_EQ(map.used_bytes(), 1 * kMiB);
  EXPECT_EQ(map.dirty_bytes(), 1 * kMiB);
  EXPECT_EQ(map.SlotsInChunk(0), (std::vector<SlotId>{{0, 1, 0}, {0, 3, 0}}));
  EXPECT_EQ(map.OffsetInChunk({0, 3, 0}), 1536 * kKiB);
  EXPECT_EQ(map.Allocate(512 * kKiB).value().chunk, 1u) << "free, but who sends from it?";
  map.Free({0, 1, 0}, true);
  EXPECT_TRUE(map.PunchableChunks().empty());
  map.Free({0, 3, 0}, true);
  EXPECT_EQ(map.PunchableChunks(), (std::vector<std::uint32_t>{0}));
  Punch(map, 0);
  map.CheckInvariants();
  EXPECT_EQ(map.Allocate(2 * kMiB).value().chunk, 0u);
}

TEST(SlotMap, AFullAdoptedChunkHasNothingToGive) {
  SlotMap map = WithChunks({.block_bytes = 2 * kMiB}, 1);
  map.Adopt(0, 1 * kMiB, std::vector<std::uint32_t>{0, 1});
  map.CheckInvariants();
  EXPECT_EQ(map.Allocate(1), std::nullopt);
  EXPECT_EQ(map.free_bytes(), 0u);
}

TEST(SlotMapDeathTest, LosingTrackOfASlotStopsTheProcess) {
  SlotMap map = WithChunks({.block_bytes = 2 * kMiB}, 1);
  const SlotId id = map.Allocate(1).value();
  EXPECT_DEATH((void)map.Acknowledge(id), "expected");
  map.Free(id, true);
  EXPECT_DEATH(map.Free(id, false), "expected");
  EXPECT_DEATH(map.Withdraw(7), "chunks_");
  EXPECT_DEATH((void)map.Allocate(2 * kMiB + 1), "block_bytes");
}

// The obvious model: which bytes of which chunk are used or dirty, byte range by byte range.
struct Model {
  std::map<SlotId, bool> slots;  // Used: false; dirty: true.
  std::set<SlotId> forgotten;    // Dirty slots whose chunk was punched.
};

void ExpectNoOverlap(const SlotMap& map, const Model& model, SlotId fresh) {
  const std::uint64_t begin = map.OffsetInChunk(fresh);
  const std::uint64_t end = begin + map.SlotBytes(fresh);
  ASSERT_LE(end, map.chunk_bytes());
  for (const auto& [id, dirty] : model.slots) {
    if (id.chunk != fresh.chunk || id == fresh) continue;
    const std::uint64_t other = map.OffsetInChunk(id);
    ASSERT_TRUE(other >= end || other + map.SlotBytes(id) <= begin);
  }
}

void Step(SlotMap& map, Model& model, Rng& rng) {
  const std::uint64_t action = rng.Below(10);
  if (action < 5) {
    const auto bytes = static_cast<std::uint32_t>(rng.Below(16 * kKiB) >> rng.Below(6));
    const std::optional<SlotId> id = map.Allocate(bytes);
    if (!id) return;
    ASSERT_GE(map.SlotBytes(*id), bytes);
    ASSERT_TRUE(model.slots.emplace(*id, false).second);
    ExpectNoOverlap(map, model, *id);
  } else if (action < 9 && !model.slots.empty()) {
    const auto slot =
        std::next(model.slots.begin(), static_cast<std::ptrdiff_t>(rng.Below(model.slots.size())));
    if (slot->second) {
      ASSERT_TRUE(map.Acknowledge(slot->first));
      model.slots.erase(slot);
    } else {
      const bool dirty = rng.Chance(1, 2);
      map.Free(slot->first, dirty);
      slot->second = true;
      if (!dirty) model.slots.erase(slot);
    }
  } else if (const auto chunks = map.PunchableChunks(); !chunks.empty()) {
    const std::uint32_t chunk = chunks[rng.Below(chunks.size())];
    Punch(map, chunk);
    std::erase_if(model.slots, [&](const auto& item) {
      if (item.first.chunk != chunk) return false;
      EXPECT_TRUE(item.second) << "a used slot was punched";
      model.forgotten.insert(item.first);
      return true;
    });
  }
}

TEST(SlotMap, AgreesWithAModelUnderRandomUse) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SlotMap map = WithChunks(
        {.block_bytes = 16 * kKiB, .slot_bytes_min = 1 * kKiB, .chunk_bytes_min = 8 * kKiB}, 1);
    Model model;
    Rng rng(seed);
    for (int step = 0; step < 1500 && !testing::Test::HasFailure(); ++step) {
      if (map.chunk_count() < 8 && rng.Chance(1, 50)) map.AddChunk();
      Step(map, model, rng);
      map.CheckInvariants();
      std::uint64_t used = 0;
      std::uint64_t dirty = 0;
      for (const auto& [id, is_dirty] : model.slots) (is_dirty ? dirty : used) += map.SlotBytes(id);
      ASSERT_EQ(map.used_bytes(), used);
      ASSERT_EQ(map.dirty_bytes(), dirty);
    }
    for (const SlotId id : model.forgotten) ASSERT_FALSE(map.Acknowledge(id));
    for (const auto& [id, dirty] : model.slots) {
      if (dirty) {
        ASSERT_TRUE(map.Acknowledge(id));
      } else {
        map.Free(id, false);
      }
    }
    EXPECT_EQ(map.free_bytes(), map.capacity_bytes());
    map.CheckInvariants();
  }
}

}  // namespace
}  // namespace forebay
