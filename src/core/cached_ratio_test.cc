#include "core/cached_ratio.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace forebay {
namespace {

constexpr std::uint32_t kBlock = 100;

BlockBitmap Held(std::uint64_t blocks, std::initializer_list<std::uint64_t> set) {
  BlockBitmap held(blocks);
  for (const std::uint64_t block : set) held.Set(block);
  return held;
}

TEST(CachedRatio, CountsBlocks) {
  EXPECT_EQ(BlockCount(0, kBlock), 0u);
  EXPECT_EQ(BlockCount(1, kBlock), 1u);
  EXPECT_EQ(BlockCount(100, kBlock), 1u);
  EXPECT_EQ(BlockCount(101, kBlock), 2u);
  EXPECT_EQ(BlockCount(UINT64_MAX, 1u << 26), std::uint64_t{1} << 38);
}

TEST(CachedRatio, TheLastBlockIsShort) {
  EXPECT_EQ(CachedBytes(250, kBlock, Held(3, {})), 0u);
  EXPECT_EQ(CachedBytes(250, kBlock, Held(3, {0, 2})), 150u);
  EXPECT_EQ(CachedBytes(200, kBlock, Held(2, {1})), 100u);
  EXPECT_EQ(CachedBytes(0, kBlock, Held(0, {})), 0u);
}

TEST(CachedRatio, ABlockOnTwoHoldersCountsOnce) {
  BlockBitmap held = Held(130, {0, 64, 129});
  held.Or(Held(130, {0, 65}));
  EXPECT_EQ(CachedBytes(130 * kBlock, kBlock, held), 4u * kBlock);
}

TEST(CachedRatio, RatioOfWhatHasNoBytesIsOne) {
  EXPECT_EQ(Census().total().Ratio(), 1.0);
  Census census({"empty"});
  census.Add("empty/file", 0, kBlock, Held(0, {}));
  census.Add("full", 100, kBlock, Held(1, {}));
  EXPECT_EQ(census.Below("empty").Ratio(), 1.0);
  EXPECT_EQ(census.total().Ratio(), 0.0);
}

TEST(CachedRatio, HalfIsHalf) {
  Census census;
  census.Add("a", 400, kBlock, Held(4, {1, 3}));
  EXPECT_EQ(census.total().Ratio(), 0.5);
  EXPECT_EQ(census.total(), (CacheCount{200, 400}));
  EXPECT_EQ(census.files(), 1u);
}

TEST(CachedRatio, OneMissingByteIsNotOne) {
  const CacheCount count{UINT64_MAX - 1, UINT64_MAX};
  EXPECT_LT(count.Ratio(), 1.0);
  EXPECT_FALSE(count.Reaches(1.0));
  EXPECT_TRUE((CacheCount{UINT64_MAX, UINT64_MAX}).Reaches(1.0));
}

TEST(CachedRatioDeathTest, MoreCachedThanThereIsStopsTheProcess) {
  EXPECT_DEATH((void)(CacheCount{2, 1}).Ratio(), "cached_bytes <= total_bytes");
  EXPECT_DEATH((void)CachedBytes(100, kBlock, Held(2, {})), "held.blocks");
}

TEST(CachedRatio, PrefixesEndAtSlashes) {
  Census census({"", "train", "train/", "train/a", "train/a/x", "none"});
  census.Add("train/a/x", 100, kBlock, Held(1, {0}));
  census.Add("train/ab", 300, kBlock, Held(3, {}));
  census.Add("training", 1000, kBlock, Held(10, {0}));
  EXPECT_EQ(census.Below(""), census.total());
  EXPECT_EQ(census.total(), (CacheCount{200, 1400}));
  EXPECT_EQ(census.Below("train"), (CacheCount{100, 400}));
  EXPECT_EQ(census.Below("train/"), (CacheCount{100, 400}));
  EXPECT_EQ(census.Below("train/a"), (CacheCount{100, 100}));
  EXPECT_EQ(census.Below("train/a/x"), (CacheCount{100, 100}));
  EXPECT_EQ(census.Below("none").Ratio(), 1.0);
}

TEST(CachedRatio, AGateOpensOnWhatIsKnownInFull) {
  const CacheCount count{80, 100};
  EXPECT_TRUE(GateOpens(count, 0.8, true, true));
  EXPECT_FALSE(GateOpens(count, 0.81, true, true));
  EXPECT_FALSE(GateOpens(count, 0.8, false, true));
  EXPECT_FALSE(GateOpens(count, 0.8, true, false));
}

// Against a count byte by byte.
TEST(CachedRatio, AgreesWithAPlainCount) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    const std::uint64_t size = rng.Below(2000);
    const auto block_bytes = static_cast<std::uint32_t>(1 + rng.Below(300));
    BlockBitmap held(BlockCount(size, block_bytes));
    for (std::uint64_t block = 0; block < held.blocks(); ++block) {
      if (rng.Chance(1, 2)) held.Set(block);
    }
    std::uint64_t expected = 0;
    for (std::uint64_t byte = 0; byte < size; ++byte) {
      if (held.Has(byte / block_bytes)) ++expected;
    }
    EXPECT_EQ(CachedBytes(size, block_bytes, held), expected);
  }
}

}  // namespace
}  // namespace forebay
