#include "core/staleness.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

Clock::time_point At(microseconds time) {
  return Clock::time_point(std::chrono::hours(1)) + time;
}

TEST(Staleness, AnEntryServesUntilItsBound) {
  const StalenessBound bound(milliseconds(1000));
  EXPECT_TRUE(bound.Usable(At(milliseconds(0)), At(milliseconds(1000))));
  EXPECT_FALSE(bound.Usable(At(milliseconds(0)), At(microseconds(1'000'001))));
}

TEST(Staleness, PinnedNeverExpires) {
  const StalenessBound bound = StalenessBound::Pinned();
  EXPECT_TRUE(bound.pinned());
  EXPECT_TRUE(bound.Usable(At(milliseconds(0)), At(std::chrono::hours(24 * 365))));
  EXPECT_FALSE(StalenessBound(milliseconds(60'000)).pinned());
}

TEST(Staleness, WithBoundZeroOnlyACheckNotYetSentCanBeJoined) {
  const StalenessBound bound(milliseconds(0));
  EXPECT_TRUE(bound.MayJoin(std::nullopt, At(milliseconds(5))));
  EXPECT_TRUE(bound.MayJoin(At(milliseconds(5)), At(milliseconds(5))));
  EXPECT_FALSE(bound.MayJoin(At(microseconds(4999)), At(milliseconds(5))));
  EXPECT_FALSE(bound.Usable(At(microseconds(4999)), At(milliseconds(5))));
}

TEST(Staleness, WithALongerBoundACheckUnderWayCanBeJoined) {
  const StalenessBound bound(milliseconds(1000));
  EXPECT_TRUE(bound.MayJoin(At(milliseconds(0)), At(milliseconds(999))));
  EXPECT_FALSE(bound.MayJoin(At(milliseconds(0)), At(milliseconds(1001))));
}

// Three caches in a row, each of which hands on the age in whole milliseconds.
TEST(Staleness, HopsNeverMakeAnEntryYounger) {
  EXPECT_EQ(AgeMilliseconds(At(microseconds(0)), At(microseconds(1))), 1u);
  EXPECT_EQ(AgeMilliseconds(At(microseconds(0)), At(microseconds(3000))), 3u);
  EXPECT_EQ(AgeMilliseconds(At(microseconds(5)), At(microseconds(0))), 0u);
  Clock::time_point asked = At(microseconds(123));
  for (int hop = 1; hop <= 3; ++hop) {
    const Clock::time_point now = At(microseconds(10'007 * hop));
    asked = now - milliseconds(AgeMilliseconds(asked, now));
    EXPECT_LE(asked, At(microseconds(123)));
    EXPECT_GE(asked, At(microseconds(123)) - milliseconds(hop));
  }
}

TEST(ListingRule, AWholeListingAfterThirtyTwoLookups) {
  ListingRule rule;
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t i = 1; i < ListingRule::kLookups; ++i) {
      EXPECT_FALSE(rule.Looked(7, At(milliseconds(i))));
      EXPECT_FALSE(rule.Looked(8 + i, At(milliseconds(i)))) << "other directories do not count";
    }
    EXPECT_TRUE(rule.Looked(7, At(milliseconds(50))));
  }
}

TEST(ListingRule, FewLookupsNowAndThenDoNotAddUp) {
  ListingRule rule;
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(rule.Looked(7, At(std::chrono::seconds(3 * i))));
}

TEST(ListingRule, ADirectoryThatIsTooLargeIsNotListedAgainForAnHour) {
  ListingRule rule;
  for (std::uint32_t i = 1; i < ListingRule::kLookups; ++i) (void)rule.Looked(7, At({}));
  EXPECT_TRUE(rule.Looked(7, At({})));
  rule.TooLarge(7, At({}));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(rule.Looked(7, At(std::chrono::seconds(i))));
  int listings = 0;
  for (int i = 0; i < 32; ++i) listings += rule.Looked(7, At(std::chrono::hours(1))) ? 1 : 0;
  EXPECT_EQ(listings, 1);
}

TEST(ListingRule, ForgetsDirectoriesRatherThanGrow) {
  ListingRule rule;
  for (std::uint32_t i = 1; i < ListingRule::kLookups; ++i) (void)rule.Looked(7, At({}));
  for (std::uint64_t other = 100; other < 100 + ListingRule::kDirectoriesMax; ++other) {
    (void)rule.Looked(other, At({}));
  }
  EXPECT_FALSE(rule.Looked(7, At({}))) << "its count is gone";
}

}  // namespace
}  // namespace forebay
