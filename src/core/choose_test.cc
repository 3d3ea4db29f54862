#include "core/choose.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <vector>

namespace forebay {
namespace {

using std::chrono::milliseconds;

Clock::time_point At(int time_ms) {
  return Clock::time_point(std::chrono::hours(1)) + milliseconds(time_ms);
}

void Fail(Chooser& chooser, std::uint32_t worker, Clock::time_point now) {
  chooser.Sent(worker, now);
  chooser.Failed(worker, now);
}

TEST(Breaker, OpensAfterThreeFailuresInARow) {
  Breaker breaker;
  breaker.Failed(At(0));
  breaker.Failed(At(0));
  breaker.Answered();
  breaker.Failed(At(0));
  breaker.Failed(At(0));
  EXPECT_TRUE(breaker.MayTry(At(0)));
  breaker.Failed(At(0));
  EXPECT_TRUE(breaker.open());
  EXPECT_FALSE(breaker.MayTry(At(999)));
  EXPECT_TRUE(breaker.MayTry(At(1000)));
}

TEST(Breaker, LetsOneProbeThrough) {
  Breaker breaker;
  for (int i = 0; i < 3; ++i) breaker.Failed(At(0));
  breaker.Tried(At(1000));
  EXPECT_FALSE(breaker.MayTry(At(1001)));
  breaker.Answered();
  EXPECT_TRUE(breaker.MayTry(At(1001)));
  EXPECT_FALSE(breaker.open());
}

TEST(Breaker, WaitsLongerAfterEveryFailedProbeUpToTenSeconds) {
  Breaker breaker;
  for (int i = 0; i < 3; ++i) breaker.Failed(At(0));
  int now = 1000;
  for (const int pause : {2000, 4000, 8000, 10'000, 10'000}) {
    breaker.Tried(At(now));
    breaker.Failed(At(now));
    EXPECT_FALSE(breaker.MayTry(At(now + pause - 1)));
    now += pause;
    EXPECT_TRUE(breaker.MayTry(At(now)));
  }
}

TEST(Breaker, ASignOfLifeClosesIt) {
  Breaker breaker;
  for (int i = 0; i < 3; ++i) breaker.Failed(At(10));
  breaker.Heard(At(10));
  EXPECT_FALSE(breaker.MayTry(At(12))) << "that was before";
  breaker.Heard(At(11));
  EXPECT_TRUE(breaker.MayTry(At(12)));
  EXPECT_FALSE(breaker.open());
}

TEST(Breaker, FailuresOfRequestsSentBeforeItOpenedTellNothingNew) {
  Breaker breaker;
  for (int i = 0; i < 20; ++i) breaker.Failed(At(i));
  EXPECT_TRUE(breaker.MayTry(At(1002)));
}

TEST(Chooser, TakesTheLessLoaded) {
  Chooser chooser(1);
  const std::vector<std::uint32_t> holders = {4, 9};
  chooser.Sent(4, At(0));
  EXPECT_EQ(chooser.Choose(holders, At(0)), 1u) << "one of ours is under way at 4";
  chooser.Answered(4, 0, At(0));
  chooser.Sent(9, At(0));
  chooser.Answered(9, 5, At(0));
  EXPECT_EQ(chooser.Choose(holders, At(0)), 0u) << "9 told of a queue";
  EXPECT_EQ(chooser.outstanding(4), 0u);
}

TEST(Chooser, AsksAWorkerThatWasBusyAgain) {
  Chooser chooser(1);
  const std::vector<std::uint32_t> holders = {4, 9};
  chooser.Sent(9, At(0));
  chooser.Answered(9, 5, At(0));
  chooser.Sent(4, At(0));
  EXPECT_EQ(chooser.Choose(holders, At(30)), 0u);
  EXPECT_EQ(chooser.Choose(holders, At(50)), 1u);
}

TEST(Chooser, SpreadsWhatIsEqual) {
  std::map<std::size_t, int> counts;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Chooser chooser(seed);
    ++counts[chooser.Choose(std::vector<std::uint32_t>{0, 1}, At(0)).value()];
  }
  EXPECT_NEAR(counts[0], 200, 50);
  EXPECT_NEAR(counts[1], 200, 50);
}

TEST(Chooser, ComparesTwoOfMany) {
  Chooser chooser(1);
  std::vector<std::uint32_t> holders(20);
  std::iota(holders.begin(), holders.end(), 0u);
  chooser.Sent(7, At(0));
  chooser.Answered(7, 50, At(0));
  std::map<std::size_t, int> counts;
  for (int i = 0; i < 2000; ++i) ++counts[chooser.Choose(holders, At(0)).value()];
  EXPECT_EQ(counts[7], 0) << "whoever it is compared with is better";
  EXPECT_EQ(counts.size(), 20u);  // With the entry for 7 that the line above made.
}

TEST(Chooser, LeavesTheUnwellAlone) {
  Chooser chooser(1);
  const std::vector<std::uint32_t> holders = {0, 1};
  for (int i = 0; i < 3; ++i) Fail(chooser, 0, At(0));
  EXPECT_FALSE(chooser.Well(0, At(10)));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(chooser.Choose(holders, At(10)), 1u);
  for (int i = 0; i < 3; ++i) Fail(chooser, 1, At(10));
  EXPECT_EQ(chooser.Choose(holders, At(20)), std::nullopt);
  EXPECT_EQ(chooser.Choose(holders, At(1005)), 0u) << "the probe";
  chooser.Sent(0, At(1005));
  EXPECT_EQ(chooser.Choose(holders, At(1006)), std::nullopt);
  chooser.Abandoned(0);
  EXPECT_EQ(chooser.outstanding(0), 0u);
}

}  // namespace
}  // namespace forebay
