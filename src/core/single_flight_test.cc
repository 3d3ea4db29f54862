#include "core/single_flight.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "base/rng.h"
#include "core/ids.h"

namespace forebay {
namespace {

using Flights = SingleFlight<std::uint64_t, int, KeyHash>;

TEST(SingleFlight, OneLeadsAndTheOthersFollow) {
  Flights flights(10, 10);
  EXPECT_EQ(flights.Join(1, 100), Joined::kLead);
  EXPECT_EQ(flights.Join(1, 101), Joined::kFollow);
  EXPECT_EQ(flights.Join(2, 102), Joined::kLead);
  EXPECT_EQ(flights.Finish(1), (std::vector<int>{100, 101}));
  EXPECT_FALSE(flights.Contains(1));
  EXPECT_EQ(flights.Join(1, 103), Joined::kLead);
}

TEST(SingleFlight, WhoLeavesIsNotTold) {
  Flights flights(10, 10);
  (void)flights.Join(1, 100);
  (void)flights.Join(1, 101);
  EXPECT_TRUE(flights.Leave(1, 100));
  EXPECT_FALSE(flights.Leave(1, 100));
  EXPECT_FALSE(flights.Leave(2, 100));
  EXPECT_TRUE(flights.Leave(1, 101));
  EXPECT_TRUE(flights.Contains(1)) << "the work goes on";
  EXPECT_EQ(flights.Join(1, 102), Joined::kFollow);
  EXPECT_EQ(flights.Finish(1), (std::vector<int>{102}));
}

TEST(SingleFlight, IsBoundedBothWays) {
  Flights flights(2, 2);
  EXPECT_EQ(flights.Join(1, 100), Joined::kLead);
  EXPECT_EQ(flights.Join(2, 100), Joined::kLead);
  EXPECT_EQ(flights.Join(3, 100), Joined::kOverloaded);
  EXPECT_EQ(flights.Join(1, 101), Joined::kFollow);
  EXPECT_EQ(flights.Join(1, 102), Joined::kOverloaded);
  EXPECT_EQ(flights.flights(), 2u);
  EXPECT_EQ(flights.waiters(1), 2u);
  EXPECT_EQ(flights.waiters(3), 0u);
}

TEST(SingleFlightDeathTest, FinishingNoFlightStopsTheProcess) {
  Flights flights(2, 2);
  EXPECT_DEATH((void)flights.Finish(1), "found");
}

TEST(SingleFlight, TellsEveryWaiterOnceUnderRandomUse) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Flights flights(5, 8);
    std::map<std::uint64_t, std::vector<int>> model;
    Rng rng(seed);
    for (int step = 0; step < 2000; ++step) {
      const std::uint64_t key = rng.Below(8);
      if (rng.Chance(1, 4)) {
        if (!model.contains(key)) continue;
        ASSERT_EQ(flights.Finish(key), model[key]) << "seed " << seed;
        model.erase(key);
      } else if (rng.Chance(1, 4)) {
        const bool waits = model.contains(key) && !model[key].empty();
        const int waiter = waits ? model[key][rng.Below(model[key].size())] : step;
        ASSERT_EQ(flights.Leave(key, waiter), waits) << "seed " << seed;
        if (waits) std::erase(model[key], waiter);
      } else {
        const Joined joined = flights.Join(key, step);
        const bool known = model.contains(key);
        const bool room = known ? model[key].size() < 8 : model.size() < 5;
        ASSERT_EQ(joined, !room ? Joined::kOverloaded : known ? Joined::kFollow : Joined::kLead);
        if (room) model[key].push_back(step);
      }
    }
  }
}

}  // namespace
}  // namespace forebay
