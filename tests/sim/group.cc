#include "sim/group.h"

#include <fmt/format.h>

#include <algorithm>

namespace forebay::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kTick{100};
constexpr milliseconds kBeat{500};
constexpr std::uint64_t kHashes = 40;

bool IsMasked(const GroupMap& map, std::string_view name) {
  return std::none_of(map.members.begin(), map.members.end(), [name](const MapMember& member) {
    return member.name == name && !member.masked;
  });
}

bool IsIn(const MapRing& ring, std::string_view name) {
  return std::any_of(ring.members.begin(), ring.members.end(),
                     [name](const RingMember& member) { return member.name == name; });
}

// Small enough that everything happens in a minute.
MembershipOptions DrawOptions(Rng rng) {
  MembershipOptions options;
  options.suspect_for = milliseconds(1000 + rng.Below(10'000));
  options.ring_interval_min = milliseconds(500 + rng.Below(10'000));
  options.given_up_after = seconds(20);
  return options;
}

}  // namespace

Group::Group(std::uint64_t seed) : options_(DrawOptions(Rng(seed))), rng_(Mix64(seed)) {
  const std::uint64_t count = 1 + rng_.Below(7);
  for (std::uint64_t i = 0; i < count; ++i) {
    Worker worker;
    worker.name = "m-" + std::to_string(i);
    worker.local = rng_.Chance(2, 3);
    workers_.push_back(std::move(worker));
  }
  for (Worker& worker : workers_) {
    if (rng_.Chance(3, 4)) Start(worker);
  }
  StartControl();
}

Group::~Group() = default;

void Group::Violate(const std::string& what) {
  if (violation_.empty())
    violation_ =
        fmt::format("at {} ms: {}", now_.time_since_epoch() / milliseconds(1) - 3'600'000, what);
}

void Group::Later(milliseconds delay, std::function<void()> run) {
  later_.emplace(now_ + delay, std::move(run));
}

// Most messages are prompt; some come when their sender is long dead, or control another one.
milliseconds Group::Delay() {
  if (healed_ || rng_.Chance(9, 10)) return milliseconds(rng_.Below(20));
  return milliseconds(rng_.Below(3000));
}

std::string Group::Run() {
  const Clock::time_point heals = now_ + seconds(60);
  const Clock::time_point ends = heals + seconds(60);
  while (now_ < ends && violation_.empty()) {
    if (!healed_ && now_ >= heals) Heal();
    Tick();
  }
  if (violation_.empty()) CheckQuiet();
  return violation_;
}

void Group::Tick() {
  now_ += kTick;
  if (now_.time_since_epoch() % kBeat == milliseconds(0)) BeatAll();
  if (!healed_ && rng_.Chance(1, 10)) Mischief();
  if (!control_ && now_ >= control_returns_) StartControl();
  while (!later_.empty() && later_.begin()->first <= now_) {
    const std::function<void()> run = std::move(later_.begin()->second);
    later_.erase(later_.begin());
    run();
  }
  if (control_) CheckMap(control_->Step(now_));
}

void Group::BeatAll() {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const Worker& worker = workers_[i];
    if (!worker.running || worker.paused_until > now_ || worker.cut_until > now_) continue;
    Beat beat{
        {worker.name, std::to_string(worker.instance), worker.name + ":1", 1, worker.known.epoch},
        worker.known};
    Later(Delay(), [this, beat = std::move(beat), i] { Deliver(beat, i); });
  }
}

void Group::Deliver(const Beat& beat, std::size_t i) {
  if (!control_) return;
  const bool heard = control_->Heard(beat.report, now_).ok();
  const bool map_is_one = control_->HeardMap(beat.map, now_).ok();
  if (!map_is_one) Violate("a published map is refused");
  if (control_->learning() && beat.map.epoch > heard_.epoch) heard_ = beat.map;
  const Worker& sender = workers_[i];
  if (beat.report.instance != std::to_string(sender.instance)) return;
  if (!heard && sender.running && now_ > settled_at_) Violate(sender.name + " is refused");
  if (control_->learning()) return;
  Later(Delay(), [this, i, instance = sender.instance, map = control_->map()] {
    Worker& worker = workers_[i];
    if (worker.instance == instance && worker.known.epoch < map.epoch) worker.known = map;
  });
}

void Group::Mischief() {
  Worker& worker = workers_[rng_.Below(workers_.size())];
  switch (rng_.Below(6)) {
    case 0: End(worker); break;
    case 1: worker.paused_until = now_ + milliseconds(rng_.Below(6000)); break;
    case 2: worker.cut_until = now_ + milliseconds(rng_.Below(6000)); break;
    case 3: Leave(worker); break;
    case 4:
      if (!worker.running) Start(worker);
      break;
    default:
      if (!control_ || rng_.Chance(2, 3)) break;
      control_.reset();
      control_returns_ = now_ + milliseconds(rng_.Below(5000));
      break;
  }
}

void Group::End(Worker& worker) {
  if (!worker.running) return;
  worker.running = false;
  worker.known = GroupMap();
  if (!worker.local) return;
  Later(milliseconds(rng_.Below(300)), [this, &worker, instance = worker.instance] {
    if (control_) control_->Exited(worker.name, std::to_string(instance), now_);
  });
}

void Group::Start(Worker& worker) {
  worker.running = true;
  worker.leaving = false;
  ++worker.instance;
  worker.paused_until = worker.cut_until = now_;
  Expect();
}

void Group::Leave(Worker& worker) {
  if (!worker.running || !control_) return;
  worker.leaving = true;
  ever_left_.insert(worker.name);
  control_->Left(worker.name, now_);
  Expect();
  Later(milliseconds(rng_.Below(4000)), [this, &worker, instance = worker.instance] {
    if (worker.instance == instance) End(worker);
  });
}

// What a launcher wants: its own that are not to leave.
void Group::Expect() {
  if (!control_) return;
  std::set<std::string> expected;
  for (const Worker& worker : workers_) {
    if (worker.local && worker.instance > 0 && !worker.leaving) expected.insert(worker.name);
  }
  control_->SetExpected(std::move(expected));
}

void Group::StartControl() {
  control_ = std::make_unique<Membership>(options_, ++generation_, now_);
  heard_ = GroupMap();
  ring_made_at_.reset();
  ever_left_.clear();
  for (const Worker& worker : workers_) {
    if (worker.leaving) ever_left_.insert(worker.name);
  }
  Expect();
}

void Group::Heal() {
  healed_ = true;
  settled_at_ = now_ + seconds(6);  // Late messages are here, leases of the dead over.
  if (!control_) StartControl();
  for (Worker& worker : workers_) {
    worker.paused_until = worker.cut_until = now_;
    if (!worker.running && rng_.Chance(1, 2)) Start(worker);
  }
}

void Group::CheckMap(bool changed) {
  const GroupMap& map = control_->map();
  if (!changed) {
    if (map.epoch != 0 && map != last_) Violate("the map changed unsaid");
    return;
  }
  ++maps_;
  if (map.epoch <= last_.epoch) Violate("the epoch went back");
  const Result<Placement> placement = MakePlacement(map);
  if (!placement.ok()) {
    Violate(placement.error().message());
    return;
  }
  if (map.epoch >> 32 != last_.epoch >> 32) CheckAdopted(map);
  CheckHomes(map, placement.value());
  CheckRing(map);
  last_ = map;
  last_placement_ = placement.value();
}

// The ring of the newest map that a new control heard of is one of the two in force.
void Group::CheckAdopted(const GroupMap& map) {
  if (heard_.ring.members.empty() || map.ring == heard_.ring) return;
  if (map.previous == heard_.ring) return;
  Violate("a ring that workers knew was not adopted");
}

// A home is never masked, and changes only if one was masked or unmasked, or by a new ring.
void Group::CheckHomes(const GroupMap& map, const Placement& placement) {
  for (std::uint64_t i = 0; i < kHashes; ++i) {
    const std::uint64_t hash = Mix64(i);
    const auto home = placement.Home(hash);
    const std::string name = home ? placement.ring().name(*home) : "";
    if (home && IsMasked(map, name)) Violate("the home is masked");
    const auto last_home = last_placement_.Home(hash);
    if (map.ring.epoch != last_.ring.epoch || !last_home) continue;
    const std::string& last_name = last_placement_.ring().name(*last_home);
    if (name == last_name || IsMasked(map, last_name)) continue;
    if (!IsMasked(last_, name)) Violate("a block was re-homed for nothing");
  }
}

// A ring lives for a while, and the next keeps the launcher's members, alive or dead, that did not
// leave.
void Group::CheckRing(const GroupMap& map) {
  if (map.ring.epoch != map.epoch) return;
  ++rings_;
  const bool anybody = std::any_of(last_.ring.members.begin(), last_.ring.members.end(),
                                   [&map](const RingMember& m) { return !IsMasked(map, m.name); });
  if (ring_made_at_ && anybody && now_ - *ring_made_at_ < options_.ring_interval_min) {
    Violate("a ring lived too short");
  }
  ring_made_at_ = now_;
  if (!map.previous) return;
  for (const Worker& worker : workers_) {
    if (!worker.local || ever_left_.contains(worker.name)) continue;
    if (IsIn(*map.previous, worker.name) && !IsIn(map.ring, worker.name)) {
      Violate(worker.name + " was taken out of the ring for being dead");
    }
  }
}

// The map has exactly those who live, and those whom the launcher wants back.
void Group::CheckQuiet() {
  const GroupMap& map = control_->map();
  for (const Worker& worker : workers_) {
    const bool in_ring = IsIn(map.ring, worker.name);
    if (worker.running && (!in_ring || IsMasked(map, worker.name))) {
      Violate(worker.name + " lives and does not serve");
    }
    if (worker.running && worker.known != map) Violate(worker.name + " does not know the map");
    if (!worker.running && !IsMasked(map, worker.name)) Violate(worker.name + " is dead, and home");
    const bool expected = worker.local && worker.instance > 0 && !worker.leaving;
    if (!worker.running && !expected && in_ring) Violate(worker.name + " is gone, and in the ring");
  }
}

}  // namespace forebay::sim
