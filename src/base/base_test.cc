// The small ones: result, check, deadline, rng, secret, wall clock.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/check.h"
#include "base/deadline.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/wall_clock.h"

namespace forebay {
namespace {

TEST(Result, HoldsAValueOrAnError) {
  Result<std::unique_ptr<int>> value = std::make_unique<int>(7);
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(*std::move(value).value(), 7);
  const Result<int> error = Error(Code::kCorrupt, "short");
  ASSERT_FALSE(error.ok());
  EXPECT_EQ(error.error().code(), Code::kCorrupt);
  EXPECT_TRUE(Status().ok());
}

TEST(Result, WithinAddsTheOutermostFirst) {
  const Error error = Error(Code::kNotFound, "no such key").Within("stat").Within("fill");
  EXPECT_EQ(error.message(), "fill: stat: no such key");
  EXPECT_EQ(error.code(), Code::kNotFound);
}

TEST(ResultDeathTest, TheWrongSideStopsTheProcess) {
  const Result<int> error = Error(Code::kCorrupt, "short");
  EXPECT_DEATH(static_cast<void>(error.value()), "broken invariant");
  EXPECT_DEATH(static_cast<void>(Result<int>(1).error()), "broken invariant");
  EXPECT_DEATH(static_cast<void>(Status().error()), "broken invariant");
}

// Pinned: the numbers travel on the wire.
TEST(Result, CodesKeepTheirNumbersAndNames) {
  constexpr const char* kNames[] = {
      "NotHere",    "NotFound", "InvalidArgument", "Unavailable", "DeadlineExceeded", "Changed",
      "Overloaded", "Corrupt",  "Denied",          "Stale",       "Cancelled",        "Internal"};
  unsigned char number = 0;
  for (const char* name : kNames) EXPECT_EQ(CodeName(static_cast<Code>(++number)), name);
  EXPECT_EQ(CodeName(static_cast<Code>(13)), "Unknown");
}

TEST(CheckDeathTest, SaysWhereAndWhat) {
  EXPECT_DEATH(CHECK(1 + 1 == 3), "broken invariant at .*base_test.cc:[0-9]+: 1 \\+ 1 == 3");
}

TEST(Deadline, MillisecondsLeftRoundUpAndFitPoll) {
  const Deadline now = Clock::now();
  EXPECT_EQ(MillisecondsUntil(now - std::chrono::hours(1)), 0);
  EXPECT_EQ(MillisecondsUntil(Deadline::min() + std::chrono::hours(1)), 0);
  EXPECT_GT(MillisecondsUntil(now + std::chrono::hours(1)), 3'500'000);
  EXPECT_LE(MillisecondsUntil(now + std::chrono::hours(1)), 3'600'000);
  EXPECT_GT(MillisecondsUntil(Deadline::max()), 0);
  EXPECT_TRUE(Passed(now));
  EXPECT_FALSE(Passed(now + std::chrono::hours(1)));
}

// Pinned: placement and simulations rest on these. Source: the reference SplitMix64 for seed 0.
TEST(Rng, AnswersAreTheSameForEver) {
  Rng rng(0);
  EXPECT_EQ(rng.Next(), 0xe220a8397b1dcdafu);
  EXPECT_EQ(rng.Next(), 0x6e789e6aa1b965f4u);
  EXPECT_EQ(rng.Next(), 0x06c45d188009454fu);
  EXPECT_EQ(Mix64(0), 0u);
}

TEST(Rng, BelowCoversItsRangeAndNoMore) {
  Rng rng(1);
  int counts[10] = {};
  for (int i = 0; i < 10'000; ++i) ++counts[rng.Below(10)];
  for (const int count : counts) EXPECT_NEAR(count, 1'000, 150);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(rng.Below(1), 0u);
    EXPECT_TRUE(rng.Chance(1, 1));
    EXPECT_FALSE(rng.Chance(0, 1));
  }
}

TEST(Secret, NoFormatterPrintsIt) {
  const Secret secret("hunter2");
  static_assert(!fmt::is_formattable<Secret>::value);
  EXPECT_EQ(secret.Reveal(), "hunter2");
  EXPECT_TRUE(Secret().empty());
}

TEST(WallClock, Rfc3339CutsToTheSecond) {
  EXPECT_EQ(Rfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(Rfc3339(1'767'225'599'999'999'999), "2025-12-31T23:59:59Z");
  EXPECT_EQ(Rfc3339(-1), "1969-12-31T23:59:59Z");
  EXPECT_GT(WallClockNanoseconds(), 1'700'000'000'000'000'000);
}

}  // namespace
}  // namespace forebay
