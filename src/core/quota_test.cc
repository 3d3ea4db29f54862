#include "core/quota.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace forebay {
namespace {

constexpr std::uint64_t kKiB = 1u << 10;
constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::uint64_t kGiB = 1u << 30;

TEST(Quota, CountsTheIndexAndThePagesOfTheFiles) {
  const TierLayout layout = LayoutFor(kGiB, 4u << 20);
  EXPECT_EQ(layout.chunk_bytes, 4 * kMiB);
  EXPECT_EQ(layout.index_bytes, 12 * kKiB) << "64 slots of 128 bytes and 64 checksums of 4";
  EXPECT_EQ(layout.chunks_per_segment, 16u);
  EXPECT_EQ(layout.chunks, 255u);
  EXPECT_EQ(layout.segments(), 16u);
  EXPECT_LE(layout.CostOf(layout.chunks), kGiB);
}

TEST(Quota, SmallBlocksShareHugePages) {
  const TierLayout layout = LayoutFor(kGiB, 64u << 10);
  EXPECT_EQ(layout.chunk_bytes, 2 * kMiB);
  EXPECT_EQ(layout.index_bytes, 8 * kKiB);
}

TEST(Quota, OneBlockAndItsOverheadFitOnce) {
  for (const std::uint32_t block : {64u << 10, 1u << 20, 4u << 20, 64u << 20}) {
    const std::uint64_t least = QuotaMin(block);
    EXPECT_EQ(ChunksFor(least, block), 1u) << block;
    EXPECT_EQ(ChunksFor(least - 1, block), 0u) << block;
    EXPECT_EQ(ChunksFor(0, block), 0u) << block;
  }
  EXPECT_EQ(QuotaMin(4u << 20), 4 * kMiB + 16 * kKiB);
  EXPECT_EQ(LayoutFor(0, 4u << 20).segments(), 0u);
}

// Property: what fits costs no more than the quota, and one chunk more would.
TEST(Quota, IsUsedUpAndNeverExceeded) {
  Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t quota = rng.Below(std::uint64_t{1} << (20 + rng.Below(20)));
    const auto block = static_cast<std::uint32_t>(64 * kKiB << rng.Below(11));
    const TierLayout layout = LayoutFor(quota, block);
    ASSERT_LE(layout.CostOf(layout.chunks), quota) << "quota " << quota << ", block " << block;
    ASSERT_GT(layout.CostOf(layout.chunks + 1), quota) << "quota " << quota << ", block " << block;
  }
}

TEST(Watermarks, EvictFromHighDownToLow) {
  const Watermarks marks{.high_percent = 90, .low_percent = 80};
  EXPECT_EQ(BytesToEvict(0, 1000, marks), 0u);
  EXPECT_EQ(BytesToEvict(900, 1000, marks), 0u);
  EXPECT_EQ(BytesToEvict(901, 1000, marks), 101u);
  EXPECT_EQ(BytesToEvict(1000, 1000, marks), 200u);
  EXPECT_EQ(BytesToEvict(0, 0, marks), 0u);
  EXPECT_EQ(BytesToEvict(UINT64_MAX, UINT64_MAX, marks), UINT64_MAX / 5);
}

}  // namespace
}  // namespace forebay
