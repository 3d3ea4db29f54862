#include "core/membership.h"

#include <algorithm>

namespace forebay {
namespace {

// No epoch of ours comes near; one above it is an error of whoever says it.
constexpr std::uint64_t kEpochMax = std::uint64_t{1} << 63;

const RingMember* FindIn(const MapRing& ring, std::string_view name) {
  const auto found = std::lower_bound(
      ring.members.begin(), ring.members.end(), name,
      [](const RingMember& member, std::string_view n) { return member.name < n; });
  return found == ring.members.end() || found->name != name ? nullptr : &*found;
}

MapRing Sorted(MapRing ring) {
  std::sort(ring.members.begin(), ring.members.end(),
            [](const RingMember& a, const RingMember& b) { return a.name < b.name; });
  return ring;
}

Status CheckReport(const MemberReport& report, std::uint64_t epoch) {
  const auto invalid = [](const std::string& what) {
    return Error(Code::kInvalidArgument, "heartbeat: " + what);
  };
  if (report.name.empty()) return invalid("no name");
  if (report.instance.empty()) return invalid("member '" + report.name + "' has no instance");
  if (report.address.empty()) return invalid("member '" + report.name + "' has no address");
  if (report.weight < 1 || report.weight > Ring::kWeightMax) {
    return invalid("member '" + report.name + "' has weight " + std::to_string(report.weight) +
                   ", must be 1 to " + std::to_string(Ring::kWeightMax));
  }
  if (report.known_epoch > std::max(epoch, kEpochMax)) {
    return invalid("member '" + report.name + "' knows epoch " +
                   std::to_string(report.known_epoch) + ", which cannot be");
  }
  return {};
}

}  // namespace

Result<Placement> MakePlacement(const GroupMap& map) {
  if (map.ring.epoch > map.epoch) {
    return Error(Code::kInvalidArgument, "map: epoch " + std::to_string(map.epoch) +
                                             " has the ring of epoch " +
                                             std::to_string(map.ring.epoch));
  }
  std::set<std::string_view> living;
  for (const MapMember& member : map.members) {
    if (!member.masked) living.insert(member.name);
  }
  std::vector<std::string> masked;
  const auto mask = [&living, &masked](const MapRing& ring) {
    for (const RingMember& member : ring.members) {
      if (!living.contains(member.name)) masked.push_back(member.name);
    }
  };
  Result<Ring> current = Ring::Create(map.ring.epoch, map.ring.members);
  if (!current.ok()) return std::move(current).error();
  mask(map.ring);
  std::optional<Ring> previous;
  if (map.previous) {
    Result<Ring> ring = Ring::Create(map.previous->epoch, map.previous->members);
    if (!ring.ok()) return std::move(ring).error();
    previous = std::move(ring).value();
    mask(*map.previous);
  }
  return Placement::Create(std::move(current).value(), std::move(previous), masked);
}

std::string_view MemberStateName(MemberState state) {
  switch (state) {
    case MemberState::kJoining: return "Joining";
    case MemberState::kReady: return "Ready";
    case MemberState::kDraining: return "Draining";
    case MemberState::kSuspect: return "Suspect";
    case MemberState::kDead: return "Dead";
  }
  CHECK(false);
}

Membership::Membership(const MembershipOptions& options, std::uint32_t generation,
                       Clock::time_point now)
    : options_(options),
      learning_until_(now + options.learning),
      stepped_at_(now),
      epoch_floor_(std::uint64_t{generation} << 32) {}

Status Membership::Heard(const MemberReport& report, Clock::time_point now) {
  Status valid = CheckReport(report, map_.epoch);
  if (!valid.ok()) return valid;
  const auto found = records_.find(report.name);
  if (found == records_.end() && records_.size() >= Ring::kMembersMax) {
    return Error(Code::kOverloaded, "the group has " + std::to_string(records_.size()) +
                                        " members, and no place for '" + report.name + "'");
  }
  if (found != records_.end()) {
    const Record& known = found->second;
    if (known.exited_instance == report.instance) {
      return Error(Code::kDenied, "member '" + report.name + "': process " + report.instance +
                                      " was seen to exit");
    }
    if (known.instance != report.instance && Lives(known, now)) {
      return Error(Code::kDenied, "member '" + report.name + "' is process " + known.instance +
                                      " at " + known.address + ", which lives; process " +
                                      report.instance + " at " + report.address +
                                      " needs another name");
    }
  }
  Record& record = records_[report.name];
  const bool another = record.instance != report.instance;
  if (!Lives(record, now) || another || record.weight != report.weight) record.changed_at = now;
  if (another) record.leaving = false;
  record.instance = report.instance;
  record.address = report.address;
  record.weight = report.weight;
  record.heard_at = now;
  record.ended_at.reset();
  epoch_floor_ = std::max(epoch_floor_, report.known_epoch);
  return {};
}

Status Membership::HeardMap(const GroupMap& map, Clock::time_point now) {
  if (map.epoch > std::max(map_.epoch, kEpochMax)) {
    return Error(Code::kInvalidArgument, "map: epoch " + std::to_string(map.epoch) + " cannot be");
  }
  const Result<Placement> placement = MakePlacement(map);
  if (!placement.ok()) return placement.error();
  epoch_floor_ = std::max(epoch_floor_, map.epoch);
  if (!learning() || map.epoch <= adopted_epoch_) return {};
  adopted_epoch_ = map.epoch;
  ring_ = Sorted(map.ring);
  previous_.reset();
  if (map.previous) previous_ = Sorted(*map.previous);
  ring_made_at_ = now;
  AdoptMembers(ring_);
  if (previous_) AdoptMembers(*previous_);
  for (const MapMember& member : map.members) {
    const auto record = records_.find(member.name);
    if (record == records_.end() || !record->second.address.empty()) continue;
    record->second.address = member.address;
  }
  return {};
}

void Membership::AdoptMembers(const MapRing& ring) {
  for (const RingMember& member : ring.members) {
    const auto [record, added] = records_.try_emplace(member.name);
    if (!added) continue;
    record->second.weight = member.weight;
    record->second.ended_at = learning_until_;  // Unless it is heard until then.
  }
}

void Membership::Exited(const std::string& name, const std::string& instance,
                        Clock::time_point now) {
  const auto found = records_.find(name);
  if (found == records_.end() || found->second.instance != instance) return;
  Record& record = found->second;
  if (Lives(record, now)) record.ended_at = now;
  record.exited_instance = instance;
}

void Membership::Left(const std::string& name, Clock::time_point now) {
  const auto found = records_.find(name);
  if (found == records_.end() || found->second.leaving) return;
  found->second.leaving = true;
  found->second.changed_at = now;
}

bool Membership::Step(Clock::time_point now) {
  ForgiveOwnAbsence(now);
  if (now < learning_until_) return false;
  GiveUpTheLongDead(now);
  const std::uint64_t next = std::max(epoch_floor_, map_.epoch) + 1;
  if (RingIsDue(now)) MakeRing(now, next);
  DropTheGone(now);
  for (auto& [name, record] : records_) {
    const MemberState state = StateOf(name, record, now);
    if (state != record.state || record.since == Clock::time_point()) record.since = now;
    record.state = state;
  }
  GroupMap map{map_.epoch, ring_, previous_, MapMembers(now)};
  if (map == map_ && map_.epoch != 0 && map_.epoch >= epoch_floor_) return false;
  map.epoch = next;
  map_ = std::move(map);
  return true;
}

// What is not heard while we do not listen is not silence.
void Membership::ForgiveOwnAbsence(Clock::time_point now) {
  const Clock::duration away = now - stepped_at_;
  stepped_at_ = now;
  if (away <= options_.lease / 2) return;
  if (learning()) learning_until_ += away;
  for (auto& [name, record] : records_) {
    if (now - away < record.heard_at + options_.lease) {
      record.heard_at = std::min(now, record.heard_at + away);
    }
  }
}

void Membership::GiveUpTheLongDead(Clock::time_point now) {
  for (auto& [name, record] : records_) {
    if (Lives(record, now) || expected_.contains(name)) continue;
    if (now - DiedAt(record) >= options_.given_up_after) Left(name, now);
  }
}

bool Membership::WantsAnotherRing(const std::string& name, const Record& record,
                                  Clock::time_point now) const {
  const RingMember* member = FindIn(ring_, name);
  if (record.leaving) return member != nullptr;
  if (!Lives(record, now)) return false;
  return member == nullptr || member->weight != record.weight;
}

bool Membership::ExpectedAreThere(Clock::time_point now) const {
  return std::all_of(expected_.begin(), expected_.end(), [this, now](const std::string& name) {
    const auto found = records_.find(name);
    return found != records_.end() && Lives(found->second, now) && !found->second.leaving;
  });
}

bool Membership::RingIsDue(Clock::time_point now) const {
  std::optional<Clock::time_point> newest;
  Clock::time_point oldest;
  bool all_expected = true;
  for (const auto& [name, record] : records_) {
    if (!WantsAnotherRing(name, record, now)) continue;
    oldest = newest ? std::min(oldest, record.changed_at) : record.changed_at;
    newest = std::max(newest.value_or(record.changed_at), record.changed_at);
    all_expected = all_expected && (record.leaving || expected_.contains(name));
  }
  if (!newest) return false;
  const bool nobody_serves = std::none_of(
      ring_.members.begin(), ring_.members.end(),
      [this, now](const RingMember& m) { return Lives(records_.find(m.name)->second, now); });
  if (!nobody_serves && now < *ring_made_at_ + options_.ring_interval_min) return false;
  if (all_expected && !expected_.empty() && ExpectedAreThere(now)) return true;
  return now >= *newest + options_.join_batch || now >= oldest + options_.join_batch_max;
}

// The ring of everybody who lives or is to come back.
void Membership::MakeRing(Clock::time_point now, std::uint64_t epoch) {
  MapRing ring{epoch, {}};
  for (const auto& [name, record] : records_) {
    if (record.leaving) continue;
    const RingMember* member = FindIn(ring_, name);
    if (Lives(record, now)) {
      ring.members.push_back({name, record.weight});
    } else if (member != nullptr) {
      ring.members.push_back(*member);
    }
  }
  previous_.reset();
  if (!ring_.members.empty()) previous_ = std::move(ring_);
  ring_ = std::move(ring);
  ring_made_at_ = now;
}

// Forgets who is dead and in no ring.
void Membership::DropTheGone(Clock::time_point now) {
  std::erase_if(records_, [this, now](const auto& entry) {
    const auto& [name, record] = entry;
    if (Lives(record, now)) return false;
    if (FindIn(ring_, name) != nullptr) return false;
    if (previous_ && FindIn(*previous_, name) != nullptr) return false;
    return record.leaving || now - DiedAt(record) >= options_.suspect_for;
  });
}

MemberState Membership::StateOf(const std::string& name, const Record& record,
                                Clock::time_point now) const {
  if (!Lives(record, now)) {
    return now - DiedAt(record) < options_.suspect_for ? MemberState::kSuspect : MemberState::kDead;
  }
  if (record.leaving) return MemberState::kDraining;
  return FindIn(ring_, name) != nullptr ? MemberState::kReady : MemberState::kJoining;
}

std::vector<MapMember> Membership::MapMembers(Clock::time_point now) const {
  std::vector<MapMember> members;
  for (const auto& [name, record] : records_) {
    const bool in_a_ring =
        FindIn(ring_, name) != nullptr || (previous_ && FindIn(*previous_, name) != nullptr);
    if (in_a_ring) members.push_back({name, record.address, !Lives(record, now)});
  }
  return members;
}

std::vector<MemberStatus> Membership::members() const {
  std::vector<MemberStatus> members;
  for (const auto& [name, record] : records_) {
    const bool dead = record.state == MemberState::kDead ||
                      (record.leaving && record.state == MemberState::kSuspect);
    if (dead && FindIn(ring_, name) == nullptr) continue;
    members.push_back(
        {name, record.instance, record.address, record.weight, record.state, record.since});
  }
  return members;
}

}  // namespace forebay
