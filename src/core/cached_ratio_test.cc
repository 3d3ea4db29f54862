#include "core/cached_ratio.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "base/rng.h"

namespace forebay {
namespace {

using Holders = std::vector<std::uint8_t>;
constexpr std::uint32_t kBlock = 100;

TEST(CachedRatio, TheLastBlockIsShort) {
  EXPECT_EQ(HeldBytes(250, kBlock, Holders{0, 0, 0}), 0u);
  EXPECT_EQ(HeldBytes(250, kBlock, Holders{1, 0, 1}), 150u);
  EXPECT_EQ(HeldBytes(200, kBlock, Holders{0, 1}), 100u);
  EXPECT_EQ(HeldBytes(0, kBlock, Holders{}), 0u);
}

TEST(CachedRatio, ABlockOnManyHoldersCountsOnce) {
  EXPECT_EQ(HeldBytes(400, kBlock, Holders{2, 0, 255, 0}), 200u);
}

TEST(CachedRatio, RatioOfWhatHasNoBytesIsOne) {
  EXPECT_EQ(CacheCount().Ratio(), 1.0);
  EXPECT_EQ((CacheCount{0, 100}).Ratio(), 0.0);
  EXPECT_EQ((CacheCount{200, 400}).Ratio(), 0.5);
}

TEST(CachedRatio, OneMissingByteIsNotOne) {
  const CacheCount count{UINT64_MAX - 1, UINT64_MAX};
  EXPECT_LT(count.Ratio(), 1.0);
  EXPECT_FALSE(count.Reaches(1.0));
  EXPECT_TRUE((CacheCount{UINT64_MAX, UINT64_MAX}).Reaches(1.0));
}

TEST(CachedRatioDeathTest, MoreCachedThanThereIsStops) {
  EXPECT_DEATH(static_cast<void>((CacheCount{101, 100}).Ratio()), "cached_bytes");
  EXPECT_DEATH(static_cast<void>(HeldBytes(100, kBlock, Holders{1, 1})), "start");
}

// Property: what is held and what is not add up to the file, whoever holds it.
TEST(CachedRatio, HeldAndMissingMakeTheFile) {
  Rng rng(7);
  for (int round = 0; round < 1000; ++round) {
    const std::uint64_t size = 1 + rng.Below(5000);
    const std::size_t blocks = (size + kBlock - 1) / kBlock;
    Holders held(blocks);
    Holders missing(blocks);
    for (std::size_t i = 0; i < blocks; ++i) {
      held[i] = static_cast<std::uint8_t>(rng.Below(4));
      missing[i] = held[i] == 0 ? 1 : 0;
    }
    ASSERT_EQ(HeldBytes(size, kBlock, held) + HeldBytes(size, kBlock, missing), size);
  }
}

}  // namespace
}  // namespace forebay
