#include "sim/world.h"

#include <fmt/format.h>

#include <charconv>

#include "sim/reader.h"
#include "sim/worker.h"

namespace forebay::sim {
namespace {

// A run that is not over by then hangs.
constexpr std::uint64_t kEventsMax = 3'000'000;
// How long a worker is dead before the others know.
constexpr std::chrono::milliseconds kDetection{10};

}  // namespace

World::World(const Config& config)
    : config_(config),
      rng_(Mix64(config.seed + 0x5eed)),
      scheduler_(1 + config.workers + config.readers),
      store_(config_, rng_, scheduler_),
      network_(config_, rng_, scheduler_, [this](const Message& message) { Deliver(message); }) {
  for (NodeId worker = 1; worker <= config.workers; ++worker) members_.insert(worker);
  std::vector<RingMember> members;
  for (const NodeId member : members_) members.push_back({NameOf(member), 1});
  ring_ = Ring::Create(++epoch_, std::move(members)).value();
  Publish();
  for (NodeId id = 1; id <= config.workers; ++id) {
    workers_.push_back(std::make_unique<SimWorker>(id, *this));
  }
  for (std::uint32_t i = 0; i < config.readers; ++i) {
    readers_.push_back(std::make_unique<SimReader>(1 + config.workers + i, i, *this));
  }
}

World::~World() = default;

NodeId World::NodeOf(std::string_view name) {
  NodeId node = 0;
  std::from_chars(name.data() + 2, name.data() + name.size(), node);
  return node;
}

void World::Violate(const std::string& what) {
  if (!outcome_.violation.empty()) return;
  outcome_.violation = fmt::format(
      "at {} us: {}",
      std::chrono::duration_cast<std::chrono::microseconds>(now().time_since_epoch()).count() -
          3'600'000'000,
      what);
}

void World::Deliver(const Message& message) {
  if (message.to == kWorld) {
    const bool asked = std::holds_alternative<MapRequest>(message.body);
    if (asked) Send({kWorld, message.from, newest_map(), MapNotice{}});
    return;
  }
  if (message.to <= config_.workers) {
    workers_[message.to - 1]->Receive(message);
  } else {
    readers_[message.to - 1 - config_.workers]->Receive(message);
  }
}

// Makes the placement that follows from rings and masks the newest, and tells everybody, if the
// network lets it.
void World::Publish() {
  const std::vector<std::string> masked(masked_.begin(), masked_.end());
  maps_.push_back(Placement::Create(ring_, previous_ring_, masked).value());
  previous_rings_.push_back(previous_ring_);
  for (NodeId node = 1; node <= config_.workers + config_.readers; ++node) {
    Notify(node);
  }
}

void World::Notify(NodeId node) {
  if (healed_ || !rng_.Chance(config_.deaf, 1000)) {
    Send({kWorld, node, newest_map(), MapNotice{}});
  } else if (node <= config_.workers) {
    const std::chrono::microseconds half = config_.hand_over / 2;
    const std::chrono::microseconds late(rng_.Below(static_cast<std::uint64_t>(half.count())));
    scheduler_.After(late, kWorld,
                     [this, node, map = newest_map()] { Send({kWorld, node, map, MapNotice{}}); });
  }
}

Outcome World::Run() {
  for (const auto& reader : readers_) {
    scheduler_.After(std::chrono::microseconds(rng_.Below(2000)),
                     static_cast<NodeId>(1 + config_.workers + (&reader - readers_.data())),
                     [&reader] { reader->Start(); });
  }
  scheduler_.After({}, kWorld, [this] { Mischief(); });
  scheduler_.After(std::chrono::milliseconds(300 + rng_.Below(1500)), kWorld, [this] { Heal(); });
  while (outcome_.violation.empty() && scheduler_.RunOne()) {
    if (scheduler_.events_run() > kEventsMax) Violate("it does not come to rest");
  }
  if (outcome_.violation.empty()) CheckEnd();
  outcome_.digest = scheduler_.digest();
  outcome_.events = scheduler_.events_run();
  return outcome_;
}

// Breaks something now and then.
void World::Mischief() {
  if (healed_) return;
  switch (rng_.Below(6)) {
    case 0:
      if (config_.crashes) CrashOne();
      break;
    case 1:
      if (config_.pauses) {
        scheduler_.Pause(AnyWorker(), now() + std::chrono::milliseconds(1 + rng_.Below(200)));
      }
      break;
    case 2:
      if (config_.cuts) network_.Cut(AnyWorker(), AnyWorker());
      break;
    case 3: network_.Join(); break;
    case 4:
      if (config_.ring_changes) ChangeRing();
      break;
    default:
      if (config_.overwrites)
        store_.Overwrite(static_cast<std::uint32_t>(rng_.Below(config_.files)));
      break;
  }
  scheduler_.After(std::chrono::milliseconds(1 + rng_.Below(20)), kWorld, [this] { Mischief(); });
}

void World::CrashOne() {
  const NodeId worker = AnyWorker();
  if (!scheduler_.up(worker)) return;
  ++crashes_;
  scheduler_.Crash(worker);
  scheduler_.After(kDetection, kWorld, [this, worker] {
    if (!scheduler_.up(worker)) SetMask(worker, true);
  });
  scheduler_.After(std::chrono::milliseconds(2 + rng_.Below(300)), kWorld,
                   [this, worker] { Revive(worker); });
}

void World::Revive(NodeId worker) {
  if (!scheduler_.up(worker)) {
    scheduler_.Restart(worker);
    workers_[worker - 1]->Restart();
  }
  SetMask(worker, false);
}

void World::SetMask(NodeId worker, bool masked) {
  const bool changed =
      masked ? masked_.insert(NameOf(worker)).second : masked_.erase(NameOf(worker)) > 0;
  if (changed) Publish();
}

// One worker joins or leaves; the ring before stays in force until the next.
void World::ChangeRing() {
  if (rings_made_ > 0 && now() < ring_made_at_ + config_.hand_over) return;
  if (config_.rings_max > 0 && rings_made_ >= config_.rings_max) return;
  const NodeId worker = AnyWorker();
  if (members_.erase(worker) == 0) members_.insert(worker);
  std::vector<RingMember> members;
  for (const NodeId member : members_) members.push_back({NameOf(member), 1});
  previous_ring_ = std::move(ring_);
  ring_ = Ring::Create(++epoch_, std::move(members)).value();
  ++rings_made_;
  ring_made_at_ = now();
  Publish();
}

void World::Heal() {
  healed_ = true;
  network_.Heal();
  store_.Heal();
  for (NodeId worker = 1; worker <= config_.workers; ++worker) {
    scheduler_.Pause(worker, now());
    Revive(worker);
  }
  Publish();
}

void World::ReadDirect(std::size_t map) {
  ++outcome_.direct;
  if (maps_[map].ring().size() == 0) return;
  if (config_.messages_arrive() && config_.roomy() && config_.store_fails == 0) {
    Violate("a reader goes to the store though all workers are well");
  }
}

void World::Fetched(NodeId worker, const BlockName& name, std::size_t map_number,
                    const Asked& asked) {
  ++outcome_.fetches;
  const bool calm = config_.messages_arrive() && config_.roomy() && config_.store_fails == 0;
  if (calm && (asked.before_failed || asked.holder_silent)) {
    Violate(fmt::format("worker {} was not answered though all are well", worker));
  }
  // Who was asked and could not say cannot be the reason for a read twice.
  if (asked.before_failed || asked.holder_silent) ++allowed_[name];
  const std::uint64_t count = ++fetches_[name];
  CheckCount(name, count);
  const std::uint64_t hash = KeyOf(name).Hash64();
  const Placement& placement = maps_[map_number];
  const auto home = placement.Home(hash);
  const bool is_home = home && NodeOf(placement.ring().name(*home)) == worker;
  if (!is_home && !asked.holder_silent) {
    Violate(fmt::format("worker {} is not the home of what it fetches", worker));
  }
  const std::optional<Ring>& previous = previous_rings_[map_number];
  std::uint32_t place = 0;
  if (!previous || !config_.messages_arrive() || asked.before_failed) return;
  if (previous->Holders(hash, {&place, 1}).empty()) return;
  const NodeId before = NodeOf(previous->name(place));
  if (before != worker && workers_[before - 1]->Holds(name, now() - config_.hand_over)) {
    Violate(fmt::format("worker {} fetches what worker {}, home before it, holds", worker, before));
  }
}

// A block is read once. Once more where it was evicted, its reading failed, or nobody who knew of
// it answered; where whoever had it died; and where the ring changed twice: one hop back is not
// two.
void World::CheckCount(const BlockName& name, std::uint64_t count) {
  std::uint64_t legal = 1 + allowed_[name] + crashes_ + rings_made_ / 2;
  if (!config_.prompt()) legal += maps_.size() - 1;
  if (count <= legal) return;
  Violate(fmt::format("block {}.{}.{} was fetched {} times, {} are explained", name.path,
                      name.version, name.index, count, legal));
}

void World::Arrived(NodeId at, const BlockName& name, const Words& words) {
  if (words == ContentOf(name, store_.BlockWordsAt(name))) return;
  Violate(fmt::format("node {} got wrong bytes for block {}.{}.{}", at, name.path, name.version,
                      name.index));
}

void World::Opened(NodeId reader, std::uint32_t path, std::uint32_t version,
                   Clock::time_point opened) {
  const Clock::time_point from =
      config_.bound().pinned() ? Clock::time_point() : opened - config_.staleness;
  if (store_.CurrentSince(path, version, from)) return;
  Violate(fmt::format("reader {} opened version {} of {}, replaced longer ago than the bound",
                      reader, version, path));
}

void World::WentStale(std::uint32_t path, std::uint32_t version) {
  if (store_.Current(path) == version) Violate("a version was called gone that is current");
}

void World::CheckEnd() {
  for (const auto& reader : readers_) {
    const std::string what = reader->CheckAtRest();
    if (!what.empty()) Violate("at the end, at a reader: " + what);
  }
  for (const auto& worker : workers_) {
    const std::string what = worker->CheckAtRest();
    if (!what.empty()) Violate("at the end, at a worker: " + what);
  }
}

}  // namespace forebay::sim
