#include "core/aimd.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

Clock::time_point At(int milliseconds) {
  return Clock::time_point(std::chrono::hours(1)) + std::chrono::milliseconds(milliseconds);
}

void SucceedRound(Aimd& aimd, Clock::time_point started, Clock::time_point now) {
  const std::uint32_t limit = aimd.limit();
  for (std::uint32_t i = 0; i < limit; ++i) aimd.Started();
  for (std::uint32_t i = 0; i < limit; ++i) aimd.Succeeded(started, now);
}

TEST(Aimd, StartsSmallAndGrowsByOneARoundUpToItsCap) {
  Aimd aimd({.start = 4, .cap = 6});
  EXPECT_EQ(aimd.limit(), 4u);
  SucceedRound(aimd, At(0), At(10));
  EXPECT_EQ(aimd.limit(), 5u);
  for (int i = 0; i < 5; ++i) SucceedRound(aimd, At(0), At(10));
  EXPECT_EQ(aimd.limit(), 6u);
  EXPECT_EQ(Aimd({.start = 4, .cap = 1}).limit(), 1u);
}

TEST(Aimd, HoldsBackWhatWouldBeTooMany) {
  Aimd aimd({.start = 2, .cap = 8});
  EXPECT_TRUE(aimd.MayStart());
  aimd.Started();
  aimd.Started();
  EXPECT_FALSE(aimd.MayStart());
  aimd.Ended();
  EXPECT_TRUE(aimd.MayStart());
  EXPECT_EQ(aimd.outstanding(), 1u);
}

TEST(Aimd, HalvesOnceForAllRequestsThatWereOutTogether) {
  Aimd aimd({.start = 16, .cap = 64});
  for (int i = 0; i < 4; ++i) aimd.Started();
  for (int i = 0; i < 3; ++i) aimd.Throttled(At(0), At(100 + i));
  EXPECT_EQ(aimd.limit(), 8u);
  aimd.Throttled(At(200), At(300));
  EXPECT_EQ(aimd.limit(), 4u);
}

TEST(Aimd, NeverStopsAltogether) {
  Aimd aimd({.start = 4, .cap = 64});
  for (int i = 0; i < 10; ++i) {
    aimd.Started();
    aimd.Throttled(At(1000 * i), At(1000 * i + 10));
  }
  EXPECT_EQ(aimd.limit(), 1u);
  EXPECT_TRUE(aimd.MayStart());
}

TEST(Aimd, TakesLatencyAsThrottling) {
  Aimd aimd({.start = 8, .cap = 64, .slow = std::chrono::milliseconds(500)});
  SucceedRound(aimd, At(0), At(100));
  EXPECT_EQ(aimd.limit(), 9u);
  aimd.Started();
  aimd.Succeeded(At(1000), At(1390));
  EXPECT_EQ(aimd.limit(), 9u) << "longer than usual, but not slow";
  aimd.Started();
  aimd.Succeeded(At(2000), At(2600));
  EXPECT_EQ(aimd.limit(), 4u);
}

// A store that is always that slow is not overloaded.
TEST(Aimd, DoesNotTakeASlowStoreForABusyOne) {
  Aimd aimd({.start = 8, .cap = 64, .slow = std::chrono::milliseconds(500)});
  SucceedRound(aimd, At(0), At(3000));
  EXPECT_EQ(aimd.limit(), 9u);
}

}  // namespace
}  // namespace forebay
