#include "control/members.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

constexpr std::uint32_t kGeneration = 1;

MembershipOptions NothingToLearn() {
  return {.join_batch = std::chrono::milliseconds(0), .learning = std::chrono::milliseconds(0)};
}

Heartbeat From(const std::string& name) {
  Heartbeat heartbeat;
  heartbeat.name = name;
  heartbeat.instance = name + " once";
  heartbeat.address = "unix:/" + name;
  heartbeat.role = "worker";
  heartbeat.pid = 7;
  return heartbeat;
}

TEST(Members, NobodyIsToldOfAStepBeforeItIsPublished) {
  Members members(NothingToLearn(), kGeneration);
  ASSERT_TRUE(members.Heard(From("a")).ok());
  const Members::Stepped first = members.Step();
  ASSERT_TRUE(first.map_changed);
  EXPECT_EQ(members.map(), nullptr);
  EXPECT_TRUE(members.All().empty());
  members.Publish(first);
  ASSERT_EQ(members.map(), first.map);
  ASSERT_EQ(members.All().size(), 1u);
  EXPECT_EQ(members.All()[0].status.state, MemberState::kReady);

  members.Exited("a");
  const Members::Stepped second = members.Step();
  ASSERT_TRUE(second.map_changed);
  EXPECT_GT(second.map->epoch, first.map->epoch);
  EXPECT_EQ(members.map(), first.map);
  EXPECT_EQ(members.All()[0].status.state, MemberState::kReady);
  members.Publish(second);
  EXPECT_TRUE(members.map()->members[0].masked);
  EXPECT_EQ(members.All()[0].status.state, MemberState::kSuspect);
}

TEST(Members, FiguresOfAWorkerHeardDuringAStepAreKept) {
  Members members(NothingToLearn(), kGeneration);
  members.Publish(members.Step());
  const Members::Stepped before = members.Step();
  ASSERT_TRUE(members.Heard(From("a")).ok());
  members.Publish(before);
  members.Publish(members.Step());
  ASSERT_EQ(members.All().size(), 1u);
  EXPECT_EQ(members.All()[0].pid, 7);
}

TEST(Members, NothingIsHandedOutWhileLearning) {
  Members members(MembershipOptions{}, kGeneration);
  ASSERT_TRUE(members.Heard(From("a")).ok());
  members.Publish(members.Step());
  EXPECT_EQ(members.map(), nullptr);
}

}  // namespace
}  // namespace forebay
