#include "core/group_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"

namespace forebay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Clock::time_point kNow{seconds(5000)};

ObservedProcess Running(const std::string& name) {
  return {name, true, kNow - seconds(10), std::nullopt, 0};
}

// Ran for `ran`, and ended `ago`.
ObservedProcess Ended(const std::string& name, seconds ran, milliseconds ago,
                      std::uint32_t restarts = 0) {
  return {name, false, kNow - ago - ran, kNow - ago, restarts};
}

using Names = std::vector<std::string>;

TEST(GroupPlan, NamesWorkers) {
  EXPECT_EQ(WorkerNames("default", 3), Names({"default-0", "default-1", "default-2"}));
  EXPECT_EQ(WorkerNames("default", 0), Names());
}

TEST(GroupPlan, StartsWhatIsMissingAndStopsWhatIsUnknown) {
  const GroupPlan plan =
      PlanGroup(WorkerNames("g", 3), {Running("g-1"), Running("g-7"), Running("x")}, kNow);
  EXPECT_EQ(plan.start, Names({"g-0", "g-2"}));
  EXPECT_EQ(plan.stop, Names({"g-7", "x"}));
  EXPECT_EQ(plan.next, std::nullopt);
}

TEST(GroupPlan, StopsTheHighestOrdinalsFirst) {
  std::vector<ObservedProcess> processes;
  for (const std::string& name : WorkerNames("g", 12)) processes.push_back(Running(name));
  const GroupPlan plan = PlanGroup(WorkerNames("g", 8), processes, kNow);
  EXPECT_EQ(plan.start, Names());
  EXPECT_EQ(plan.stop, Names({"g-11", "g-10", "g-9", "g-8"}));
}

TEST(GroupPlan, StartsTheLowestOrdinalsFirst) {
  EXPECT_EQ(PlanGroup({"g-10", "g-9", "g-0"}, {}, kNow).start, Names({"g-0", "g-9", "g-10"}));
}

TEST(GroupPlan, RestartsAtOnceThenEverLater) {
  const std::vector<int> seconds_of = {0, 1, 2, 4, 8, 16, 30, 30, 30};
  for (std::uint32_t restarts = 0; restarts < seconds_of.size(); ++restarts) {
    EXPECT_EQ(RestartDelay(Ended("g-0", seconds(1), milliseconds(0), restarts)),
              seconds(seconds_of[restarts]))
        << restarts;
  }
  EXPECT_EQ(RestartDelay(Ended("g-0", seconds(1), milliseconds(0), UINT32_MAX - 1)), seconds(30));
}

TEST(GroupPlan, HealthResetsTheRestarts) {
  const ObservedProcess healthy = Ended("g-0", seconds(60), milliseconds(0), 9);
  EXPECT_EQ(RestartsInARow(healthy), 0u);
  EXPECT_EQ(PlanGroup({"g-0"}, {healthy}, kNow).start, Names({"g-0"}));
  EXPECT_EQ(RestartsInARow(Ended("g-0", seconds(59), milliseconds(0), 9)), 10u);
}

TEST(GroupPlan, SaysWhenTheNextRestartIsDue) {
  const std::vector<ObservedProcess> processes = {Ended("g-0", seconds(1), milliseconds(500), 3),
                                                  Ended("g-1", seconds(1), milliseconds(500), 2)};
  const GroupPlan plan = PlanGroup({"g-0", "g-1"}, processes, kNow);
  EXPECT_EQ(plan.start, Names());
  EXPECT_EQ(plan.next, kNow + milliseconds(1500));
  EXPECT_EQ(PlanGroup({"g-0", "g-1"}, processes, *plan.next).start, Names({"g-1"}));
}

TEST(GroupPlan, AnExitInTheFutureDoesNotHoldARestartForEver) {
  const GroupPlan plan =
      PlanGroup({"g-0"}, {Ended("g-0", seconds(1), milliseconds(-3'600'000), 9)}, kNow);
  EXPECT_EQ(plan.next, kNow + seconds(30));
}

// Whatever state is found: doing what the plan says, when it says so, leads to exactly the desired
// processes, and in a quiet state it says nothing.
void RunRandomGroup(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  Clock::time_point now = kNow;
  std::map<std::string, ObservedProcess> processes;
  for (const std::string& name : WorkerNames("g", 6)) {
    if (rng.Chance(1, 2)) continue;
    ObservedProcess process = Running(name);
    process.running = rng.Chance(1, 2);
    if (!process.running) process.exited_at = now - milliseconds(rng.Below(5000));
    process.restarts = static_cast<std::uint32_t>(rng.Below(9));
    processes[name] = process;
  }
  const Names desired = WorkerNames("g", static_cast<std::uint32_t>(rng.Below(7)));
  for (int round = 0; round < 20; ++round) {
    std::vector<ObservedProcess> observed;
    for (const auto& [name, process] : processes) observed.push_back(process);
    const GroupPlan plan = PlanGroup(desired, observed, now);
    for (const std::string& name : plan.start) {
      ASSERT_FALSE(processes.contains(name) && processes[name].running) << name;
      processes[name] = {name, true, now, std::nullopt, RestartsInARow(processes[name])};
      // Some die at once again.
      if (round >= 10 || !rng.Chance(1, 2)) continue;
      processes[name].running = false;
      processes[name].exited_at = now;
    }
    for (const std::string& name : plan.stop) {
      ASSERT_TRUE(processes.at(name).running) << name;
      processes.erase(name);
    }
    if (plan.next) {
      ASSERT_GT(*plan.next, now);
    }
    now = plan.next ? *plan.next : now + seconds(1);
  }
  std::set<std::string> running;
  for (const auto& [name, process] : processes) {
    if (process.running) running.insert(name);
  }
  EXPECT_EQ(running, std::set<std::string>(desired.begin(), desired.end()));
}

TEST(GroupPlan, MendsAnyState) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) RunRandomGroup(seed);
}

}  // namespace
}  // namespace forebay
