// Membership: who is in a cache group, and the map of it that everybody places blocks by.
//
// Control's decision, and nothing else: it is told what was heard and what time it is, and says
// which map is in force. It is level-triggered: Step works out the map from what is known now,
// however that came about, so nothing is lost if an event is missed or seen twice.
//
// Invariants: the epoch never goes back, across restarts of control too; at most two rings are in
// force; a dead member is masked, which re-homes nothing but its own blocks, and stays in the ring,
// so that nothing is re-homed for good when it comes back under its name.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "core/ring.h"

namespace forebay {

// A ring as it travels. `epoch` is that of the map that first had it; 0: no ring was ever made.
struct MapRing {
  std::uint64_t epoch = 0;
  std::vector<RingMember> members;  // By name.
  bool operator==(const MapRing&) const = default;
};

struct MapMember {
  std::string name;
  std::string address;
  bool masked = false;  // Dead, or suspected to be.
  bool operator==(const MapMember&) const = default;
};

// What control publishes. Any change of it has a greater epoch.
struct GroupMap {
  std::uint64_t epoch = 0;  // (generation of control << 32 | count); 0: none was published.
  MapRing ring;
  std::optional<MapRing> previous;
  std::vector<MapMember> members;  // Of both rings, by name.
  bool operator==(const GroupMap&) const = default;
};

// The placement that a map means. A member of a ring that `members` does not name is masked.
//
// Errors: kInvalidArgument if the map, which may come from another process, is none.
Result<Placement> MakePlacement(const GroupMap& map);

// What a worker says of itself with every heartbeat.
struct MemberReport {
  std::string name;
  std::string instance;  // Random, one for each start of a worker's process.
  std::string address;
  std::uint32_t weight = 1;
  std::uint64_t known_epoch = 0;  // Of the newest map that it knows; 0: none.
};

enum class MemberState : std::uint8_t {
  kJoining,   // Lives; waits for the next ring.
  kReady,     // Lives, and is in the ring.
  kDraining,  // Lives, and leaves for good: the next ring is without it.
  kSuspect,   // Dead, masked. Its blocks are expected back.
  kDead,      // The same for longer.
};

// "Joining", "Ready", ...: as status shows them.
std::string_view MemberStateName(MemberState state);

struct MemberStatus {
  std::string name;
  std::string instance;  // The last one heard; empty if this control never heard it.
  std::string address;
  std::uint32_t weight = 1;
  MemberState state = MemberState::kJoining;
  Clock::time_point since;  // Of the state.
};

struct MembershipOptions {
  std::chrono::milliseconds lease{2000};  // A member that is silent for this long is dead.
  std::chrono::milliseconds suspect_for{10'000};
  // A ring lives at least this long, unless nobody in it does: so blocks have time to move.
  std::chrono::milliseconds ring_interval_min{10'000};
  // A ring waits until nobody joined or left for this long, ...
  std::chrono::milliseconds join_batch{1000};
  // ... but not longer than this since the first who did.
  std::chrono::milliseconds join_batch_max{5000};
  // A dead member that nobody expects stays in the ring for this long.
  std::chrono::milliseconds given_up_after{600'000};
  // Nothing is published for this long after the start: whoever lives will be heard by then.
  // 0 only if no control ran before.
  std::chrono::milliseconds learning{2000};
};

// Thread safety: none; control guards it. `now` never goes back.
class Membership {
 public:
  // `generation` is greater than that of any control of this group before.
  Membership(const MembershipOptions& options, std::uint32_t generation, Clock::time_point now);

  // A heartbeat. A dead member that is heard again is unmasked by the next Step, whether it was
  // away or its process is a new one.
  //
  // Errors: kDenied if another process of this name lives, or the launcher saw this one exit;
  // kInvalidArgument if the report is none; kOverloaded if the group is full.
  Status Heard(const MemberReport& report, Clock::time_point now);

  // The map that a worker knows. While learning, the newest is adopted: its rings stay in force.
  // Errors: kInvalidArgument if it is no map.
  Status HeardMap(const GroupMap& map, Clock::time_point now);

  // The launcher saw this process of the member end.
  void Exited(const std::string& name, const std::string& instance, Clock::time_point now);

  // This member leaves in order, or is given up: it is not to come back. It is taken out by the
  // next ring, and may serve until then. Another process of the name joins anew.
  void Left(const std::string& name, Clock::time_point now);

  // The names that the launcher starts. A ring that all of them can be in waits for nobody else,
  // and none of them is given up for being dead.
  void SetExpected(std::set<std::string> names) { expected_ = std::move(names); }

  // Works out what is in force at `now`; true if the map changed. Call it at least every quarter of
  // a lease: if it is not called for half a lease, then control itself was away (stopped, starved),
  // and nobody's lease ran meanwhile.
  bool Step(Clock::time_point now);

  // As of the last Step. While learning: the map with epoch 0, which must not be handed out.
  const GroupMap& map() const { return map_; }
  bool learning() const { return map_.epoch == 0; }
  // Members of the ring, and those who live or died lately; by name.
  std::vector<MemberStatus> members() const;

 private:
  struct Record {
    std::string instance;
    std::string address;
    std::uint32_t weight = 1;
    Clock::time_point heard_at;
    std::optional<Clock::time_point> ended_at;  // Not by its lease: exit seen, or never heard.
    std::string exited_instance;                // What it says now is late.
    bool leaving = false;
    Clock::time_point changed_at;  // When it began to want another ring than there is.
    MemberState state = MemberState::kJoining;
    Clock::time_point since;
  };
  using Records = std::map<std::string, Record, std::less<>>;

  bool Lives(const Record& record, Clock::time_point now) const {
    return !record.ended_at && now < record.heard_at + options_.lease;
  }
  Clock::time_point DiedAt(const Record& record) const {
    return record.ended_at ? *record.ended_at : record.heard_at + options_.lease;
  }
  MemberState StateOf(const std::string& name, const Record& record, Clock::time_point now) const;
  void AdoptMembers(const MapRing& ring);
  void ForgiveOwnAbsence(Clock::time_point now);
  void GiveUpTheLongDead(Clock::time_point now);
  bool WantsAnotherRing(const std::string& name, const Record& record, Clock::time_point now) const;
  bool ExpectedAreThere(Clock::time_point now) const;
  bool RingIsDue(Clock::time_point now) const;
  void MakeRing(Clock::time_point now, std::uint64_t epoch);
  void DropTheGone(Clock::time_point now);
  std::vector<MapMember> MapMembers(Clock::time_point now) const;

  const MembershipOptions options_;
  Clock::time_point learning_until_;
  Clock::time_point stepped_at_;
  std::uint64_t epoch_floor_;  // The next epoch is greater.
  std::uint64_t adopted_epoch_ = 0;
  std::set<std::string> expected_;
  Records records_;  // At least the members of both rings.
  MapRing ring_;
  std::optional<MapRing> previous_;
  std::optional<Clock::time_point> ring_made_at_;
  GroupMap map_;
};

}  // namespace forebay
