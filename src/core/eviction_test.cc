#include "core/eviction.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "base/rng.h"

namespace forebay {
namespace {

constexpr std::uint32_t kBlock = 64;

BlockKey Key(std::uint64_t number) {
  BlockKey key;
  key.file.domain.value = number;
  key.index = static_cast<std::uint32_t>(number % 7);
  return key;
}

bool NonePinned(const BlockKey&) {
  return false;
}

// A tier as the store keeps it: above `high` blocks it evicts down to `low`.
class Tier {
 public:
  explicit Tier(std::size_t high, std::size_t low) : high_(high), low_(low) {}
  explicit Tier(std::size_t blocks) : Tier(blocks, blocks) {}

  // True if the block was there. `readers` touch it in step.
  bool Read(std::uint64_t number, int readers = 1) {
    const BlockKey key = Key(number);
    const bool hit = eviction_.Contains(key);
    if (!hit) {
      if (eviction_.size() >= high_) {
        while (eviction_.size() >= low_) {
          eviction_.Removed(eviction_.Victim(NonePinned).value(), Removal::kEvicted);
        }
      }
      eviction_.Inserted(key, kBlock);
    }
    for (int i = hit ? 0 : 1; i < readers; ++i) eviction_.Touched(key);
    return hit;
  }

  std::size_t ReadInOrder(std::uint64_t from, std::uint64_t count, int readers = 1) {
    std::size_t hits = 0;
    for (std::uint64_t i = from; i < from + count; ++i) hits += Read(i, readers) ? 1U : 0U;
    return hits;
  }

  const Eviction& eviction() const { return eviction_; }

 private:
  const std::size_t high_;
  const std::size_t low_;
  Eviction eviction_;
};

TEST(Eviction, OfNothingHasNoVictim) {
  Eviction eviction;
  EXPECT_EQ(eviction.Victim(NonePinned), std::nullopt);
  eviction.Touched(Key(1));
  eviction.Removed(Key(1), Removal::kEvicted);
  EXPECT_EQ(eviction.size(), 0u);
}

TEST(Eviction, TheVictimStaysUntilRemoved) {
  Tier tier(100);
  tier.ReadInOrder(0, 250);
  Eviction eviction = {};
  for (std::uint64_t i = 0; i < 10; ++i) eviction.Inserted(Key(i), kBlock);
  const std::optional<BlockKey> victim = eviction.Victim(NonePinned);
  EXPECT_EQ(victim, Key(0));
  EXPECT_EQ(eviction.Victim(NonePinned), victim);
  EXPECT_TRUE(eviction.Contains(*victim));
  eviction.Removed(*victim, Removal::kEvicted);
  EXPECT_NE(eviction.Victim(NonePinned), victim);
  EXPECT_EQ(eviction.bytes(), 9u * kBlock);
}

TEST(Eviction, AScanDoesNotFlushWhatIsReadAgain) {
  Tier tier(100);
  for (int round = 0; round < 5; ++round) tier.ReadInOrder(0, 60);
  tier.ReadInOrder(1000, 40);
  for (int round = 0; round < 20; ++round) {
    tier.ReadInOrder(10'000 + 100 * static_cast<std::uint64_t>(round), 100);
    EXPECT_GE(tier.ReadInOrder(0, 60), 54u) << "after scan " << round;
  }
}

struct LoopCase {
  std::uint64_t percent_of_capacity;
  std::uint64_t hit_percent_min;
};

// Recency would have no hit at all in any of them. The best possible is 100 % / size.
TEST(Eviction, ALoopOverMoreThanFitsHitsInItsSecondRound) {
  for (const int readers : {1, 100}) {
    for (const auto& [percent, hits_min] :
         {LoopCase{120, 70}, LoopCase{200, 40}, LoopCase{400, 20}, LoopCase{1000, 8}}) {
      Tier tier(400);
      const std::uint64_t count = 4 * percent;
      EXPECT_EQ(tier.ReadInOrder(0, count, readers), 0u);
      for (int round = 2; round < 6; ++round) {
        EXPECT_GE(tier.ReadInOrder(0, count, readers) * 100, hits_min * count)
            << readers << " readers, " << percent << " %, round " << round;
      }
    }
  }
}

TEST(Eviction, ALoopHitsBetweenWatermarksToo) {
  Tier tier(1000, 950);
  EXPECT_EQ(tier.ReadInOrder(0, 4000), 0u);
  for (int round = 0; round < 6; ++round) EXPECT_GE(tier.ReadInOrder(0, 4000), 840u);
}

TEST(Eviction, ALoopHitsInATinyTier) {
  Tier tier(12);
  EXPECT_EQ(tier.ReadInOrder(0, 48), 0u);
  for (int round = 0; round < 4; ++round) EXPECT_GE(tier.ReadInOrder(0, 48), 9u);
}

// The tier is full of another data set that nobody reads any more.
TEST(Eviction, ALoopTakesOverAStaleTier) {
  Tier tier(400);
  for (int round = 0; round < 4; ++round) tier.ReadInOrder(100'000, 380);
  tier.ReadInOrder(0, 1600);
  tier.ReadInOrder(0, 1600);
  for (int round = 3; round < 6; ++round) {
    EXPECT_GE(tier.ReadInOrder(0, 1600), 320u) << "round " << round;
  }
}

TEST(Eviction, AfterALoopRecencyCountsAgain) {
  Tier tier(400);
  for (int round = 0; round < 5; ++round) tier.ReadInOrder(0, 1600, 10);
  // Another working set, that fits: by its fourth round nearly all of it hits.
  for (int round = 0; round < 3; ++round) tier.ReadInOrder(50'000, 300);
  EXPECT_GE(tier.ReadInOrder(50'000, 300), 270u);
}

TEST(Eviction, WhatIsReadThroughoutItsTimeInTheSmallQueueStays) {
  Tier tier(320);
  tier.ReadInOrder(0, 400);
  for (std::uint64_t i = 0; i < 400; ++i) {
    tier.Read(100'000);
    tier.Read(1000 + i);
  }
  EXPECT_TRUE(tier.Read(100'000));
}

std::uint64_t Zipf(Rng& rng, const std::vector<std::uint64_t>& cumulative) {
  const std::uint64_t at = rng.Below(cumulative.back());
  return static_cast<std::uint64_t>(std::upper_bound(cumulative.begin(), cumulative.end(), at) -
                                    cumulative.begin());
}

TEST(Eviction, BeatsFifoWhereSomeBlocksAreMorePopular) {
  std::vector<std::uint64_t> cumulative;
  std::uint64_t sum = 0;
  for (std::uint64_t i = 1; i <= 4000; ++i) cumulative.push_back(sum += 1'000'000 / i);
  Rng rng(7);
  Tier tier(400);
  std::deque<std::uint64_t> fifo;
  std::set<std::uint64_t> in_fifo;
  std::size_t hits = 0;
  std::size_t fifo_hits = 0;
  for (int i = 0; i < 40'000; ++i) {
    const std::uint64_t number = Zipf(rng, cumulative);
    hits += tier.Read(number) ? 1U : 0U;
    if (!in_fifo.insert(number).second) {
      ++fifo_hits;
      continue;
    }
    fifo.push_back(number);
    if (fifo.size() <= 400) continue;
    in_fifo.erase(fifo.front());
    fifo.pop_front();
  }
  EXPECT_GT(hits * 100, fifo_hits * 107) << hits << " against " << fifo_hits;
}

TEST(Eviction, RemembersABoundedNumber) {
  Tier tier(100);
  tier.ReadInOrder(0, 20'000);
  EXPECT_LE(tier.eviction().ghosts(), 1200u);
  EXPECT_GE(tier.eviction().ghosts(), 1000u);
  Tier large(20'000);
  large.ReadInOrder(0, 200'000);
  EXPECT_EQ(large.eviction().ghosts(), Eviction::kGhostsMax);
}

TEST(Eviction, WhatWasDroppedIsForgotten) {
  Eviction eviction;
  eviction.Inserted(Key(1), kBlock);
  eviction.Removed(Key(1), Removal::kDropped);
  EXPECT_EQ(eviction.ghosts(), 0u);
}

struct Choice {
  std::map<BlockKey, std::uint32_t> held;
  std::set<BlockKey> pinned;
};

void ExpectLegalVictim(Eviction& eviction, Choice& model) {
  const auto is_pinned = [&model](const BlockKey& key) { return model.pinned.contains(key); };
  const std::optional<BlockKey> victim = eviction.Victim(is_pinned);
  ASSERT_EQ(victim.has_value(), model.pinned.size() < model.held.size());
  if (!victim) return;
  ASSERT_TRUE(model.held.contains(*victim));
  ASSERT_FALSE(model.pinned.contains(*victim));
  ASSERT_EQ(eviction.Victim(is_pinned), victim);
  eviction.Removed(*victim, Removal::kEvicted);
  model.held.erase(*victim);
}

// Property: it holds exactly what was inserted and not removed, and offers whatever is not pinned.
TEST(Eviction, AgreesWithAModelUnderRandomUse) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Eviction eviction;
    Choice model;
    Rng rng(seed);
    const std::uint64_t keys = 10 + rng.Below(200);
    for (int step = 0; step < 2000 && !testing::Test::HasFailure(); ++step) {
      const BlockKey key = Key(rng.Below(keys));
      const std::uint64_t action = rng.Below(10);
      if (action < 4 && !model.held.contains(key)) {
        const auto bytes = static_cast<std::uint32_t>(1 + rng.Below(100));
        eviction.Inserted(key, bytes);
        model.held[key] = bytes;
      } else if (action < 7) {
        eviction.Touched(key);
        if (action == 4 && model.held.contains(key)) model.pinned.insert(key);
        if (action > 4) model.pinned.erase(key);
      } else if (action == 7) {
        eviction.Removed(key, rng.Chance(1, 2) ? Removal::kDropped : Removal::kEvicted);
        model.held.erase(key);
        model.pinned.erase(key);
      } else {
        ExpectLegalVictim(eviction, model);
      }
      std::uint64_t bytes = 0;
      for (const auto& [held, size] : model.held) bytes += size;
      ASSERT_EQ(eviction.bytes(), bytes);
      ASSERT_EQ(eviction.size(), model.held.size());
    }
  }
}

}  // namespace
}  // namespace forebay
