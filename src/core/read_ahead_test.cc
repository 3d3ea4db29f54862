#include "core/read_ahead.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace forebay {
namespace {

constexpr std::uint32_t kBlock = 100;

TEST(ReadAhead, LooksFurtherAheadWithEveryReadInOrder) {
  ReadAhead ahead(10'000, kBlock, 800);
  EXPECT_EQ(ahead.Read(0, 50), (ByteRange{100, 100}));
  EXPECT_EQ(ahead.Read(50, 50), (ByteRange{200, 100}));
  EXPECT_EQ(ahead.Read(100, 50), (ByteRange{300, 300}));
  EXPECT_EQ(ahead.Read(150, 50), (ByteRange{600, 400}));
  EXPECT_EQ(ahead.Read(200, 50), (ByteRange{1000, 100})) << "800 bytes is the most";
  EXPECT_EQ(ahead.Read(250, 10).length, 0u);
}

TEST(ReadAhead, StopsAtTheEndOfTheFile) {
  ReadAhead ahead(250, kBlock, 800);
  EXPECT_EQ(ahead.Read(0, 100), (ByteRange{100, 100}));
  EXPECT_EQ(ahead.Read(100, 100), (ByteRange{200, 50}));
  EXPECT_EQ(ahead.Read(200, 100).length, 0u);
  EXPECT_EQ(ahead.Read(250, 100).length, 0u);
  EXPECT_EQ(ahead.Read(9'000, 100).length, 0u);
}

TEST(ReadAhead, DoesNothingForRandomReads) {
  ReadAhead ahead(1u << 30, kBlock, 800);
  Rng rng(1);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(ahead.Read(1000 + rng.Below(1u << 29), 50).length, 0u);
  }
}

TEST(ReadAhead, ForgivesASmallGapAndForgetsAfterAJump) {
  ReadAhead ahead(100'000, kBlock, 800);
  EXPECT_EQ(ahead.Read(5000, 100).length, 0u) << "one read tells nothing";
  EXPECT_EQ(ahead.Read(5150, 50), (ByteRange{5200, 100}));
  EXPECT_EQ(ahead.Read(0, 100).length, 0u);
  EXPECT_EQ(ahead.Read(100, 100), (ByteRange{200, 100})) << "from the beginning again";
}

// Property: a run asks for every block once, and never for one before what was read.
TEST(ReadAhead, NeverAsksTwice) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Rng rng(seed);
    ReadAhead ahead(20'000, kBlock, 100 * rng.Below(20));
    std::uint64_t at = 0;
    std::uint64_t asked_until = 0;
    while (at < 20'000) {
      const std::uint64_t length = 1 + rng.Below(300);
      const ByteRange range = ahead.Read(at, length);
      at += length;
      if (range.length == 0) continue;
      ASSERT_GE(range.offset, asked_until) << "seed " << seed;
      ASSERT_GE(range.offset, std::min<std::uint64_t>(at, 20'000)) << "seed " << seed;
      ASSERT_LE(range.offset + range.length, 20'000u) << "seed " << seed;
      asked_until = range.offset + range.length;
    }
  }
}

}  // namespace
}  // namespace forebay
