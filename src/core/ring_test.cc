#include "core/ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/rng.h"

namespace forebay {
namespace {

std::vector<RingMember> Members(std::uint32_t count) {
  std::vector<RingMember> members;
  for (std::uint32_t i = 0; i < count; ++i) members.push_back({"default-" + std::to_string(i), 1});
  return members;
}

Ring MakeRing(std::vector<RingMember> members, std::uint64_t epoch = 1) {
  Result<Ring> ring = Ring::Create(epoch, std::move(members));
  EXPECT_TRUE(ring.ok());
  return std::move(ring).value();
}

std::vector<std::string> Names(const Ring& ring, std::uint64_t hash, std::size_t count) {
  std::vector<std::uint32_t> out(count);
  std::vector<std::string> names;
  for (const std::uint32_t member : ring.Holders(hash, out)) names.push_back(ring.name(member));
  return names;
}

std::string HomeName(const Ring& ring, std::uint64_t hash) {
  return Names(ring, hash, 1).at(0);
}

void ExpectRefused(std::vector<RingMember> members, const std::string& message) {
  const Result<Ring> ring = Ring::Create(1, std::move(members));
  ASSERT_FALSE(ring.ok());
  EXPECT_EQ(ring.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(ring.error().message(), message);
}

TEST(Ring, RefusesWhatIsNoRing) {
  ExpectRefused({{"b", 1}, {"a", 1}, {"b", 2}}, "ring: member 'b' repeats");
  ExpectRefused({{"", 1}}, "ring: a member has no name");
  ExpectRefused({{"a", 0}}, "ring: member 'a' has weight 0, must be 1 to 1000");
  ExpectRefused({{"a", 1001}}, "ring: member 'a' has weight 1001, must be 1 to 1000");
  ExpectRefused(Members(4097), "ring: 4097 members, at most 4096");
  EXPECT_TRUE(Ring::Create(1, Members(4096)).ok());
}

TEST(Ring, NumbersMembersByName) {
  const Ring ring = MakeRing({{"c", 3}, {"a", 1}, {"b", 2}}, 7);
  EXPECT_EQ(ring.epoch(), 7u);
  ASSERT_EQ(ring.size(), 3u);
  EXPECT_EQ(ring.name(0), "a");
  EXPECT_EQ(ring.weight(2), 3u);
  EXPECT_EQ(ring.Find("b"), 1u);
  EXPECT_EQ(ring.Find("bb"), std::nullopt);
}

TEST(Ring, WithoutMembersHasNoHolders) {
  EXPECT_TRUE(Names(Ring(), 5, 3).empty());
  EXPECT_TRUE(Names(MakeRing({}), 5, 3).empty());
}

TEST(Ring, GivesAsManyHoldersAsThereAreAndNoneTwice) {
  const Ring ring = MakeRing(Members(100));
  EXPECT_EQ(Names(MakeRing(Members(2)), 9, 5).size(), 2u);
  EXPECT_EQ(Names(ring, 9, 100).size(), Ring::kHoldersMax);
  std::vector<std::string> names = Names(ring, 9, 64);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

// Pinned: changing one of these answers moves data in every running cluster. The values were worked
// out by other code, the weighted ones with 60 decimal digits.
TEST(Ring, AnswersAreTheSameForEver) {
  const Ring ring = MakeRing(Members(10));
  EXPECT_EQ(Names(ring, 0, 3), (std::vector<std::string>{"default-3", "default-8", "default-5"}));
  EXPECT_EQ(Names(ring, 1, 3), (std::vector<std::string>{"default-1", "default-5", "default-6"}));
  EXPECT_EQ(Names(ring, UINT64_MAX, 3),
            (std::vector<std::string>{"default-1", "default-3", "default-5"}));
}

TEST(Ring, WeightedAnswersAreTheSameForEver) {
  const Ring ring = MakeRing({{"a", 1}, {"b", 2}, {"c", 3}, {"d", 10}});
  std::string homes;
  for (std::uint64_t i = 0; i < 16; ++i) homes += HomeName(ring, Mix64(i));
  EXPECT_EQ(homes, "dddddbbadadcddcd");
  EXPECT_EQ(Names(ring, 1, 4), (std::vector<std::string>{"a", "d", "c", "b"}));
}

// Property: taking away a member changes the home of a block only if that member was the home, and
// leaves the order of the others alone.
TEST(Ring, LosingAMemberMovesOnlyItsOwnBlocks) {
  for (const bool weighted : {false, true}) {
    std::vector<RingMember> members = Members(8);
    if (weighted) members[3].weight = 5;
    const Ring whole = MakeRing(members);
    for (const RingMember& lost : members) {
      std::vector<RingMember> rest = members;
      std::erase_if(rest, [&lost](const RingMember& m) { return m.name == lost.name; });
      const Ring smaller = MakeRing(std::move(rest));
      for (std::uint64_t i = 0; i < 1000; ++i) {
        std::vector<std::string> before = Names(whole, Mix64(i), 8);
        std::erase(before, lost.name);
        ASSERT_EQ(Names(smaller, Mix64(i), 8), before) << "hash of " << i << ", lost " << lost.name;
      }
    }
  }
}

// Property: a member whose weight grows wins blocks and loses none. The first step also goes from
// the arithmetic for equal weights to that for unequal ones.
TEST(Ring, AGrowingWeightOnlyWins) {
  std::vector<RingMember> members = Members(6);
  Ring before = MakeRing(members);
  for (const std::uint32_t weight : {2u, 3u, 10u, 1000u}) {
    members[2].weight = weight;
    const Ring after = MakeRing(members);
    std::uint32_t won = 0;
    for (std::uint64_t i = 0; i < 5000; ++i) {
      const std::string was = HomeName(before, Mix64(i));
      const std::string is = HomeName(after, Mix64(i));
      if (was == is) continue;
      ASSERT_EQ(is, members[2].name) << "hash of " << i << ", weight " << weight;
      ++won;
    }
    EXPECT_GT(won, 100u);
    before = after;
  }
}

TEST(Ring, SharesFollowWeights) {
  const Ring ring = MakeRing({{"a", 1}, {"b", 2}, {"c", 5}, {"d", 12}});
  std::vector<std::uint32_t> counts(4);
  for (std::uint64_t i = 0; i < 40'000; ++i) {
    std::uint32_t home = 0;
    (void)ring.Holders(Mix64(i), {&home, 1});
    ++counts[home];
  }
  // Four standard deviations of the binomial distribution, about.
  EXPECT_NEAR(counts[0], 2000, 180);
  EXPECT_NEAR(counts[1], 4000, 240);
  EXPECT_NEAR(counts[2], 10'000, 350);
  EXPECT_NEAR(counts[3], 24'000, 400);
}

TEST(Ring, SharesAreEvenWithEqualWeights) {
  const Ring ring = MakeRing(Members(10));
  std::vector<std::uint32_t> counts(10);
  for (std::uint64_t i = 0; i < 40'000; ++i) {
    std::uint32_t home = 0;
    (void)ring.Holders(Mix64(i), {&home, 1});
    ++counts[home];
  }
  for (const std::uint32_t count : counts) EXPECT_NEAR(count, 4000, 240);
}

Placement MakePlacement(Ring current, std::optional<Ring> previous,
                        const std::vector<std::string>& masked) {
  Result<Placement> placement = Placement::Create(std::move(current), std::move(previous), masked);
  EXPECT_TRUE(placement.ok());
  return std::move(placement).value();
}

TEST(Placement, OfNobodyHasNoHome) {
  EXPECT_EQ(Placement().Home(1), std::nullopt);
  EXPECT_EQ(Placement().PreviousHome(1), std::nullopt);
  const Placement dead = MakePlacement(MakeRing(Members(2)), {}, {"default-0", "default-1"});
  EXPECT_EQ(dead.Home(1), std::nullopt);
}

TEST(Placement, RefusesAPreviousRingThatIsNotOlder) {
  const Result<Placement> placement =
      Placement::Create(MakeRing(Members(2), 4), MakeRing(Members(3), 4), {});
  ASSERT_FALSE(placement.ok());
  EXPECT_EQ(placement.error().message(),
            "placement: the previous ring has epoch 4, the current one 4");
}

TEST(Placement, ADeathPassesTheHomeToTheNextHolder) {
  const Ring ring = MakeRing(Members(5));
  const Placement placement = MakePlacement(ring, {}, {"default-2", "not-there"});
  EXPECT_TRUE(placement.masked(2));
  EXPECT_FALSE(placement.masked(1));
  for (std::uint64_t i = 0; i < 1000; ++i) {
    std::vector<std::string> living = Names(ring, Mix64(i), 5);
    std::erase(living, "default-2");
    std::vector<std::uint32_t> out(5);
    std::vector<std::string> holders;
    for (const std::uint32_t h : placement.Holders(Mix64(i), out)) holders.push_back(ring.name(h));
    ASSERT_EQ(holders, living) << "hash of " << i;
    ASSERT_EQ(ring.name(placement.Home(Mix64(i)).value()), living.front());
  }
}

TEST(Placement, ThePreviousHomeIsAskedOnlyIfItIsAnotherAndLives) {
  const Ring old_ring = MakeRing(Members(4), 1);
  const Ring new_ring = MakeRing(Members(5), 2);
  const Placement placement = MakePlacement(new_ring, old_ring, {});
  const Placement masked = MakePlacement(new_ring, old_ring, {"default-1"});
  std::uint32_t moved = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const std::string was = HomeName(old_ring, Mix64(i));
    const std::string is = HomeName(new_ring, Mix64(i));
    const std::optional<std::string_view> asked = placement.PreviousHome(Mix64(i));
    ASSERT_EQ(asked.has_value(), was != is);
    if (!asked) continue;
    ++moved;
    ASSERT_EQ(*asked, was);
    ASSERT_EQ(is, "default-4") << "only the newcomer takes blocks";
    const std::optional<std::string_view> living = masked.PreviousHome(Mix64(i));
    ASSERT_NE(living, "default-1");
    if (was == "default-1") {
      ASSERT_EQ(living, Names(old_ring, Mix64(i), 2).at(1));
    }
  }
  EXPECT_NEAR(moved, 400, 80);
}

}  // namespace
}  // namespace forebay
