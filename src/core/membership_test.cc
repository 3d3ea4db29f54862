#include "core/membership.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "base/rng.h"

namespace forebay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t Generation(std::uint32_t generation) {
  return std::uint64_t{generation} << 32;
}

MemberReport ReportOf(const std::string& name, const std::string& instance = "1") {
  return {name, instance, name + ":7000", 1, 0};
}

// A control with workers that beat every 500 ms unless told otherwise.
struct Group {
  explicit Group(MembershipOptions options = {}, std::uint32_t generation = 1)
      : membership(options, generation, now) {}

  void Beat(const std::string& name, const std::string& instance = "1") {
    beating[name] = instance;
    EXPECT_TRUE(membership.Heard(ReportOf(name, instance), now).ok());
  }
  void Silence(const std::string& name) { beating.erase(name); }

  // Lets time pass in steps of 100 ms. How often the map changed.
  int Run(milliseconds time) {
    int changes = 0;
    for (const Clock::time_point end = now + time; now < end;) {
      now += milliseconds(100);
      if ((now - start) % milliseconds(500) == milliseconds(0)) {
        for (const auto& [name, instance] : beating) {
          EXPECT_TRUE(membership.Heard(ReportOf(name, instance), now).ok());
        }
      }
      if (membership.Step(now)) ++changes;
    }
    return changes;
  }

  // A ring of these is in force, and free to change.
  void Settle(std::initializer_list<std::string> names) {
    for (const std::string& name : names) Beat(name);
    Run(seconds(15));
    EXPECT_EQ(Ring(), std::vector<std::string>(names));
  }

  static std::vector<std::string> NamesOf(const MapRing& ring) {
    std::vector<std::string> names;
    for (const RingMember& member : ring.members) names.push_back(member.name);
    return names;
  }
  std::vector<std::string> Ring() const { return NamesOf(membership.map().ring); }
  std::vector<std::string> Masked() const {
    std::vector<std::string> names;
    for (const MapMember& member : membership.map().members) {
      if (member.masked) names.push_back(member.name);
    }
    return names;
  }
  std::string State(const std::string& name) const {
    for (const MemberStatus& member : membership.members()) {
      if (member.name == name) return std::string(MemberStateName(member.state));
    }
    return "none";
  }

  const Clock::time_point start{seconds(1000)};
  Clock::time_point now = start;
  std::map<std::string, std::string> beating;
  Membership membership;
};

using Names = std::vector<std::string>;

TEST(Membership, PublishesNothingWhileItLearns) {
  Group group;
  group.Beat("a");
  EXPECT_EQ(group.Run(milliseconds(1900)), 0);
  EXPECT_TRUE(group.membership.learning());
  EXPECT_EQ(group.membership.map().epoch, 0u);
  EXPECT_EQ(group.Run(milliseconds(100)), 1);
  EXPECT_FALSE(group.membership.learning());
  EXPECT_EQ(group.membership.map().epoch, Generation(1) + 1);
  EXPECT_EQ(group.Ring(), Names({"a"}));
}

TEST(Membership, ExpectedMembersMakeARingAtOnce) {
  Group group({.learning = milliseconds(0)});
  group.membership.SetExpected({"a", "b"});
  group.Beat("a");
  group.Run(milliseconds(200));
  EXPECT_EQ(group.State("a"), "Joining");
  EXPECT_EQ(group.Ring(), Names());
  group.Beat("b");
  EXPECT_EQ(group.Run(milliseconds(100)), 1);
  EXPECT_EQ(group.Ring(), Names({"a", "b"}));
  EXPECT_EQ(group.State("a"), "Ready");
  EXPECT_EQ(group.membership.map().ring.epoch, group.membership.map().epoch);
  EXPECT_FALSE(group.membership.map().previous);
}

TEST(Membership, ARingWaitsForTheExpectedButNotForEver) {
  Group group({.learning = milliseconds(0)});
  group.membership.SetExpected({"a", "b", "c"});
  group.Beat("a");
  group.Run(milliseconds(800));
  group.Beat("b");
  group.Run(milliseconds(900));
  EXPECT_EQ(group.Ring(), Names());
  group.Run(milliseconds(100));
  EXPECT_EQ(group.Ring(), Names({"a", "b"}));
}

TEST(Membership, JoinsAreBatchedButNotForEver) {
  Group group({.learning = milliseconds(0)});
  Names joined;
  for (int i = 0; i < 9; ++i) {
    group.Beat("m" + std::to_string(i));
    joined.push_back("m" + std::to_string(i));
    EXPECT_EQ(group.Ring(), Names()) << i;
    group.Run(milliseconds(600));
  }
  EXPECT_EQ(group.Ring(), joined);  // 5 s after the first.
}

TEST(Membership, ADeathMasksAndMakesNoRing) {
  Group group;
  group.Settle({"a", "b", "c"});
  const GroupMap before = group.membership.map();
  group.Silence("b");
  EXPECT_EQ(group.Run(milliseconds(1400)), 0);
  EXPECT_EQ(group.Run(milliseconds(700)), 1);
  EXPECT_EQ(group.Masked(), Names({"b"}));
  EXPECT_EQ(group.State("b"), "Suspect");
  EXPECT_EQ(group.membership.map().ring, before.ring);
  EXPECT_EQ(group.membership.map().epoch, before.epoch + 1);
  EXPECT_EQ(group.Run(seconds(11)), 0);
  EXPECT_EQ(group.State("b"), "Dead");
  EXPECT_EQ(group.Ring(), Names({"a", "b", "c"}));
  group.Beat("b");  // The same process: it was only away.
  EXPECT_EQ(group.Run(milliseconds(100)), 1);
  EXPECT_EQ(group.Masked(), Names());
  EXPECT_EQ(group.State("b"), "Ready");
  EXPECT_EQ(group.membership.map().ring, before.ring);
}

TEST(Membership, AnExitMasksAtOnceAndARestartUnmasksAtOnce) {
  Group group;
  group.Settle({"a", "b"});
  group.Silence("b");
  group.membership.Exited("b", "1", group.now);
  EXPECT_EQ(group.Run(milliseconds(100)), 1);
  EXPECT_EQ(group.Masked(), Names({"b"}));
  // A heartbeat that it sent before it died.
  const Status late = group.membership.Heard(ReportOf("b", "1"), group.now);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code(), Code::kDenied);
  group.Beat("b", "2");
  group.membership.Exited("b", "1", group.now);  // Seen again.
  EXPECT_EQ(group.Run(milliseconds(100)), 1);
  EXPECT_EQ(group.Masked(), Names());
  EXPECT_EQ(group.membership.map().previous, std::nullopt);
}

TEST(Membership, RefusesASecondProcessOfAName) {
  Group group;
  group.Settle({"a"});
  MemberReport second = ReportOf("a", "2");
  second.address = "elsewhere:1";
  const Status refused = group.membership.Heard(second, group.now);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kDenied);
  EXPECT_EQ(refused.error().message(),
            "member 'a' is process 1 at a:7000, which lives; process 2 at elsewhere:1 needs "
            "another name");
  EXPECT_EQ(group.Run(seconds(1)), 0);
  // When the lease of the first is over, it is the second's.
  group.Silence("a");
  group.Run(seconds(2));
  EXPECT_TRUE(group.membership.Heard(second, group.now).ok());
  EXPECT_FALSE(group.membership.Heard(ReportOf("a", "1"), group.now).ok());
}

TEST(Membership, RefusesWhatIsNoReport) {
  Group group;
  const auto code = [&group](const MemberReport& report) {
    const Status status = group.membership.Heard(report, group.now);
    return status.ok() ? 0 : static_cast<int>(status.error().code());
  };
  const int invalid = static_cast<int>(Code::kInvalidArgument);
  EXPECT_EQ(code({"", "1", "a:1", 1, 0}), invalid);
  EXPECT_EQ(code({"a", "", "a:1", 1, 0}), invalid);
  EXPECT_EQ(code({"a", "1", "", 1, 0}), invalid);
  EXPECT_EQ(code({"a", "1", "a:1", 0, 0}), invalid);
  EXPECT_EQ(code({"a", "1", "a:1", 1001, 0}), invalid);
  EXPECT_EQ(code({"a", "1", "a:1", 1, UINT64_MAX}), invalid);
  for (std::size_t i = 0; i < Ring::kMembersMax; ++i) {
    EXPECT_EQ(code(ReportOf("m" + std::to_string(i))), 0);
  }
  EXPECT_EQ(code(ReportOf("one more")), static_cast<int>(Code::kOverloaded));
}

TEST(Membership, RingsAreMadeNoSoonerThanTheInterval) {
  Group group({.learning = milliseconds(0)});
  group.Beat("a");
  group.Run(milliseconds(1100));
  ASSERT_EQ(group.Ring(), Names({"a"}));
  group.Beat("b");
  group.Run(milliseconds(9800));
  EXPECT_EQ(group.Ring(), Names({"a"}));
  EXPECT_EQ(group.State("b"), "Joining");
  group.Run(milliseconds(300));
  EXPECT_EQ(group.Ring(), Names({"a", "b"}));
  EXPECT_EQ(Group::NamesOf(*group.membership.map().previous), Names({"a"}));
}

TEST(Membership, ARingOfTheDeadDoesNotWait) {
  Group group({.learning = milliseconds(0)});
  group.Beat("a");
  group.Run(milliseconds(1100));
  ASSERT_EQ(group.Ring(), Names({"a"}));
  group.membership.Exited("a", "1", group.now);
  group.Silence("a");
  group.Beat("b");
  group.Run(milliseconds(1100));
  EXPECT_EQ(group.Ring(), Names({"a", "b"}));
  EXPECT_EQ(group.Masked(), Names({"a"}));
}

TEST(Membership, WhoLeftIsTakenOutByTheNextRing) {
  Group group;
  group.Settle({"a", "b", "c"});
  group.membership.Left("c", group.now);
  group.Run(milliseconds(500));
  EXPECT_EQ(group.State("c"), "Draining");
  EXPECT_EQ(group.Masked(), Names());
  group.Run(milliseconds(600));
  EXPECT_EQ(group.Ring(), Names({"a", "b"}));
  EXPECT_EQ(group.Masked(), Names());  // The previous ring's home can still be asked.
  group.Silence("c");
  group.membership.Exited("c", "1", group.now);
  group.Run(milliseconds(100));
  EXPECT_EQ(group.Masked(), Names({"c"}));
  EXPECT_EQ(group.State("c"), "none");
  // It comes back as another process, and joins like anybody.
  group.Beat("c", "2");
  group.Run(milliseconds(100));
  EXPECT_EQ(group.State("c"), "Joining");
  EXPECT_EQ(group.Masked(), Names());
  group.Run(seconds(10));
  EXPECT_EQ(group.Ring(), Names({"a", "b", "c"}));
}

TEST(Membership, ScalingInNeedsOneRing) {
  Group group;
  group.membership.SetExpected({"a", "b", "c"});
  group.Settle({"a", "b", "c"});
  group.membership.SetExpected({"a"});
  group.membership.Left("b", group.now);
  group.membership.Left("c", group.now);
  EXPECT_EQ(group.Run(milliseconds(100)), 1);
  EXPECT_EQ(group.Ring(), Names({"a"}));
}

TEST(Membership, OnlyAnUnexpectedMemberIsGivenUpForBeingDead) {
  Group group;
  group.membership.SetExpected({"a", "b"});
  group.Settle({"a", "b", "x"});
  group.Silence("b");
  group.Silence("x");
  group.Run(seconds(598));
  EXPECT_EQ(group.Ring(), Names({"a", "b", "x"}));
  group.Run(seconds(10));
  EXPECT_EQ(group.Ring(), Names({"a", "b"}));
  EXPECT_EQ(group.Masked(), Names({"b", "x"}));
  EXPECT_EQ(group.State("x"), "none");
  EXPECT_EQ(group.State("b"), "Dead");
}

TEST(Membership, AnotherWeightIsAnotherRing) {
  Group group;
  group.Settle({"a", "b"});
  group.Silence("b");
  MemberReport heavy = ReportOf("b");
  heavy.weight = 3;
  EXPECT_TRUE(group.membership.Heard(heavy, group.now).ok());
  group.Run(milliseconds(1000));
  EXPECT_EQ(group.membership.map().ring.members[1].weight, 3u);
  EXPECT_EQ(group.membership.map().previous->members[1].weight, 1u);
}

TEST(Membership, ANewControlAdoptsTheNewestMapThatWorkersKnow) {
  Group old;
  old.Settle({"a", "b", "c"});
  const GroupMap older = old.membership.map();
  old.Beat("d");
  old.Run(seconds(2));
  const GroupMap known = old.membership.map();
  ASSERT_EQ(known.ring.members.size(), 4u);

  Group group({}, 2);
  group.Beat("a");
  group.Beat("b");
  EXPECT_TRUE(group.membership.HeardMap(older, group.now).ok());
  EXPECT_TRUE(group.membership.HeardMap(known, group.now).ok());
  EXPECT_TRUE(group.membership.HeardMap(older, group.now).ok());
  EXPECT_EQ(group.Run(seconds(2)), 1);
  EXPECT_EQ(group.membership.map().epoch, Generation(2) + 1);
  EXPECT_EQ(group.membership.map().ring, known.ring);
  EXPECT_EQ(group.membership.map().previous, known.previous);
  EXPECT_EQ(group.Masked(), Names({"c", "d"}));
  EXPECT_EQ(group.State("c"), "Suspect");
  EXPECT_EQ(group.membership.members()[2].address, "c:7000");
  group.Beat("c", "2");
  EXPECT_EQ(group.Run(milliseconds(100)), 1);
  EXPECT_EQ(group.Masked(), Names({"d"}));
  EXPECT_EQ(group.membership.map().ring, known.ring);
  // Once it has published, it learns no more.
  GroupMap foreign = known;
  foreign.epoch = Generation(2) + 50;
  foreign.ring.members.pop_back();
  EXPECT_TRUE(group.membership.HeardMap(foreign, group.now).ok());
  EXPECT_EQ(group.Run(milliseconds(100)), 1);
  EXPECT_EQ(group.membership.map().epoch, Generation(2) + 51);
  EXPECT_EQ(group.membership.map().ring, known.ring);
}

TEST(Membership, EpochsExceedWhatAnyWorkerKnows) {
  Group group;
  MemberReport report = ReportOf("a");
  report.known_epoch = Generation(7) + 3;  // Of a control whose state was lost.
  EXPECT_TRUE(group.membership.Heard(report, group.now).ok());
  group.Run(seconds(2));
  EXPECT_EQ(group.membership.map().epoch, Generation(7) + 4);
}

TEST(Membership, RefusesWhatIsNoMap) {
  Group group;
  GroupMap map{5, {6, {{"a", 1}}}, std::nullopt, {}};
  const auto refused = [&group](const GroupMap& no_map) {
    const Status status = group.membership.HeardMap(no_map, group.now);
    return !status.ok() && status.error().code() == Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused(map));
  map.ring.epoch = 4;
  EXPECT_FALSE(refused(map));
  map.previous = MapRing{4, {{"a", 1}}};
  EXPECT_TRUE(refused(map));
  map.previous->epoch = 3;
  EXPECT_FALSE(refused(map));
  map.previous->members.push_back({"a", 1});
  EXPECT_TRUE(refused(map));
  map.previous.reset();
  map.epoch = UINT64_MAX;
  EXPECT_TRUE(refused(map));
}

TEST(Membership, ItsOwnAbsenceKillsNobody) {
  Group group;
  group.Settle({"a", "b"});
  group.now += seconds(60);  // Control was stopped; heartbeats wait in its sockets.
  EXPECT_FALSE(group.membership.Step(group.now));
  EXPECT_EQ(group.State("a"), "Ready");
  group.Silence("b");
  group.Run(milliseconds(2100));
  EXPECT_EQ(group.Masked(), Names({"b"}));
}

TEST(Membership, ItsOwnAbsenceProlongsLearning) {
  Group group;
  group.now += seconds(60);
  EXPECT_FALSE(group.membership.Step(group.now));
  EXPECT_EQ(group.Run(milliseconds(1900)), 0);
  EXPECT_EQ(group.Run(milliseconds(100)), 1);
}

TEST(Membership, MakesThePlacementThatAMapMeans) {
  GroupMap map{9,
               {8, {{"a", 1}, {"b", 1}, {"c", 1}}},
               MapRing{4, {{"a", 1}, {"x", 1}}},
               {{"a", "a:1", false}, {"b", "b:1", true}, {"x", "x:1", false}}};
  const Result<Placement> made = MakePlacement(map);
  ASSERT_TRUE(made.ok());
  bool asks_x = false;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::uint64_t hash = Mix64(i);
    EXPECT_EQ(made.value().ring().name(*made.value().Home(hash)), "a");  // b, c: masked, unknown.
    asks_x = asks_x || made.value().PreviousHome(hash) == "x";
  }
  EXPECT_TRUE(asks_x);
}

}  // namespace
}  // namespace forebay
