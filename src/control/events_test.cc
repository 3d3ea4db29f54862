#include "control/events.h"

#include <gtest/gtest.h>

#include "base/task_group.h"
#include "control/fake_registry.h"

namespace forebay {
namespace {

Event Named(const std::string& reason) {
  Event event;
  event.reason = reason;
  event.object = "worker/default-0";
  event.message = "m";
  return event;
}

TEST(EventLog, GivesWhatCameAfter) {
  FakeRegistry registry;
  EventLog log(registry);
  log.Add(Named("A"));
  log.Add(Named("B"));
  const std::vector<Event> all = log.Since(0);
  ASSERT_EQ(all.size(), 2u);
  ASSERT_EQ(log.Since(all[0].sequence).size(), 1u);
  EXPECT_EQ(log.Since(all[0].sequence)[0].reason, "B");
  EXPECT_TRUE(log.Since(all[1].sequence).empty());
}

TEST(EventLog, ARepeatedOneOnlyCounts) {
  FakeRegistry registry;
  EventLog log(registry);
  for (int i = 0; i < 5; ++i) log.Add(Named("A"));
  log.Add(Named("B"));
  const std::vector<Event> all = log.Since(0);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].count, 5u);
}

TEST(EventLog, IsKeptOverARestartAndBounded) {
  FakeRegistry registry;
  {
    EventLog log(registry);
    for (int i = 0; i < 1200; ++i) log.Add(Named("R" + std::to_string(i)));
    EXPECT_EQ(log.Since(0).size(), EventLog::kEventsMax);
  }
  registry.fails = true;  // It goes on in memory.
  EventLog log(registry);
  log.Add(Named("last"));
  EXPECT_EQ(log.Since(0).back().reason, "last");
  EXPECT_GT(log.Since(0).back().sequence, 1200u);
}

TEST(EventLog, AwaitReturnsWhenOneComesAndWhenToldToStop) {
  FakeRegistry registry;
  EventLog log(registry);
  TaskGroup adder;
  adder.Run("adder", [&log](std::stop_token) { log.Add(Named("A")); });
  EXPECT_EQ(log.Await(0, Clock::now() + std::chrono::seconds(30), {}).size(), 1u);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(log.Await(1, Clock::now() + std::chrono::hours(1), stop.get_token()).empty());
}

}  // namespace
}  // namespace forebay
