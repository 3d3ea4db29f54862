#include "sim/reader.h"

#include <algorithm>
#include <array>

namespace forebay::sim {
namespace {

constexpr std::uint32_t kOutstandingMax = 3;
constexpr std::uint32_t kAttemptsMax = 4;

std::uint64_t DirectoryHash(std::uint32_t path) {
  return Mix64(0x5354'4154 + std::uint64_t{path});
}

}  // namespace

SimReader::SimReader(NodeId id, std::uint32_t number, World& world)
    : id_(id),
      number_(number),
      world_(world),
      chooser_(Mix64(world.config().seed ^ id)),
      aimd_({.start = 2, .cap = 4}),
      opens_left_(world.config().opens) {}

void SimReader::Receive(const Message& message) {
  if (message.CarriesMap()) map_ = std::max(map_, message.map);
  if (const auto* read = std::get_if<ReadReply>(&message.body)) OnRead(message, *read);
  if (const auto* stat = std::get_if<StatReply>(&message.body)) OnStat(*stat);
}

// Opens the next file.
void SimReader::Next() {
  const Config& config = world_.config();
  ++open_;
  path_ = config.in_order ? static_cast<std::uint32_t>(open_) % config.files
                          : static_cast<std::uint32_t>(world_.rng().Below(config.files));
  opened_at_ = world_.now();
  returned_ = 0;
  const std::uint32_t count = world_.store().BlockCount(path_);
  const auto first = static_cast<std::uint32_t>(world_.rng().Below(count));
  const auto last = first + static_cast<std::uint32_t>(world_.rng().Below(count - first));
  to_read_.clear();
  for (std::uint32_t block = first; block <= last; ++block) to_read_.push_back(block);
  const auto known = known_.find(path_);
  if (known != known_.end() &&
      world_.config().bound().Usable(known->second.asked_at, world_.now())) {
    Bind(known->second.version, known->second.asked_at);
  } else {
    Stat(false);
  }
}

void SimReader::Stat(bool fresh) {
  stat_fresh_ = fresh;
  const std::optional<std::uint32_t> home = map().Home(DirectoryHash(path_));
  if (!home || ++stat_attempts_ > kAttemptsMax) {
    StatDirect();
    return;
  }
  stat_ = world_.NewId();
  stat_sent_at_ = world_.now();
  Send(World::NodeOf(map().ring().name(*home)), StatRequest{stat_, path_, fresh});
  After(world_.config().reader_patience(), [this, stat = stat_] {
    if (stat_ == stat) Stat(stat_fresh_);
  });
}

void SimReader::StatDirect() {
  stat_ = world_.NewId();
  world_.store().Stat(id_, path_,
                      [this, stat = stat_, sent_at = world_.now()](const auto& version) {
                        if (stat_ != stat) return;
                        if (version.ok()) {
                          Bind(version.value(), sent_at);
                        } else {
                          StatDirect();
                        }
                      });
}

void SimReader::OnStat(const StatReply& reply) {
  if (reply.id != stat_) return;  // Late.
  if (reply.error) {
    // Overloaded and Unavailable: some time later; Stale: with the newer map at once.
    stat_ = 0;
    After(
        *reply.error == Code::kStale ? std::chrono::milliseconds(0) : std::chrono::milliseconds(5),
        [this, open = open_] {
          if (open_ == open && stat_ == 0) Stat(stat_fresh_);
        });
    return;
  }
  // How long the reply took is unknown, so the age counts from when the request was sent.
  Bind(reply.version, stat_sent_at_ - std::chrono::milliseconds(reply.age_ms));
}

void SimReader::Bind(std::uint32_t version, Clock::time_point asked_at) {
  stat_ = 0;
  stat_attempts_ = 0;
  known_[path_] = {version, asked_at};
  version_ = version;
  world_.Opened(id_, path_, version, opened_at_);
  Continue();
}

void SimReader::Continue() {
  while (reading_.size() < kOutstandingMax && !to_read_.empty()) {
    const std::uint32_t block = to_read_.front();
    to_read_.pop_front();
    reading_.emplace(block, Fetch{});
    Read(block);
  }
  if (reading_.empty() && to_read_.empty()) Finish();
}

void SimReader::Read(std::uint32_t block) {
  const BlockName name{path_, version_, block};
  std::array<std::uint32_t, Ring::kHoldersMax> places;
  const BlockKey key = KeyOf(name);
  const std::size_t wanted = holders_.Of(key.file, world_.now());
  const std::span<const std::uint32_t> members =
      map().Holders(key.Hash64(), std::span(places).first(std::min(wanted, places.size())));
  std::vector<std::uint32_t> nodes;
  for (const std::uint32_t member : members) {
    nodes.push_back(World::NodeOf(map().ring().name(member)));
  }
  const std::optional<std::size_t> chosen = chooser_.Choose(nodes, world_.now());
  if (!chosen || ++reading_.at(block).attempts > kAttemptsMax) {
    ReadDirect(block);
    return;
  }
  const std::uint64_t id = world_.NewId();
  const NodeId worker = nodes[*chosen];
  calls_.emplace(id, Call{block, worker, world_.now()});
  chooser_.Sent(worker, world_.now());
  Send(worker, ReadRequest{id, FillAsker::kReader, name, world_.store().BlockWordsAt(name),
                           world_.store().FileWords(path_), number_ % world_.config().tenants});
  After(world_.config().reader_patience(), [this, id, worker, block] {
    if (!calls_.contains(id)) return;
    Send(worker, Cancel{id});
    EndCall(id, {}, true);
    Read(block);
  });
}

void SimReader::EndCall(std::uint64_t id, std::optional<std::uint32_t> depth, bool failed) {
  const NodeId worker = calls_.at(id).worker;
  calls_.erase(id);
  if (depth) {
    chooser_.Answered(worker, *depth, world_.now());
  } else if (failed) {
    chooser_.Failed(worker, world_.now());
  } else {
    chooser_.Abandoned(worker);
  }
}

void SimReader::OnRead(const Message& message, const ReadReply& reply) {
  if (!reply.error) {
    world_.Arrived(id_, reply.name, reply.payload->Take());
    Send(message.from, Acknowledgement{reply.send});
  }
  const auto call = calls_.find(reply.id);
  if (call == calls_.end()) return;  // Late: its buffer has another owner now.
  const std::uint32_t block = call->second.block;
  EndCall(reply.id, reply.depth, false);
  holders_.Told(KeyOf(reply.name).file, static_cast<std::uint16_t>(reply.holders), world_.now());
  if (!reply.error) {
    Got(block, reply.payload->Take());
  } else if (*reply.error == Code::kChanged) {
    Changed();
  } else if (*reply.error == Code::kStale) {
    Read(block);
  } else {
    After(std::chrono::milliseconds(2), [this, open = open_, version = version_, block] {
      if (open_ == open && version_ == version && reading_.contains(block)) Read(block);
    });
  }
}

void SimReader::ReadDirect(std::uint32_t block) {
  direct_.emplace_back(open_, block);
  StartDirect();
}

void SimReader::StartDirect() {
  while (!direct_.empty() && aimd_.MayStart()) {
    const auto [open, block] = direct_.front();
    direct_.pop_front();
    if (open != open_ || !reading_.contains(block)) continue;
    aimd_.Started();
    world_.ReadDirect(map_);
    const BlockName name{path_, version_, block};
    const Clock::time_point started = world_.now();
    world_.store().Read(id_, name, [this, open, name, started](const Result<Words>& words) {
      const bool late = open != open_ || version_ != name.version || !reading_.contains(name.index);
      if (words.ok()) {
        aimd_.Succeeded(started, world_.now());
        if (!late) Got(name.index, words.value());
      } else if (words.error().code() == Code::kChanged) {
        aimd_.Ended();
        if (!late) Changed();
      } else {
        aimd_.Throttled(started, world_.now());
        if (!late) direct_.emplace_back(open, name.index);
      }
      StartDirect();
    });
  }
}

void SimReader::Got(std::uint32_t block, const Words& words) {
  reading_.erase(block);
  ++returned_;
  world_.Returned(id_, {path_, version_, block}, words);
  Continue();
}

// The version that this file was opened with is gone.
void SimReader::Changed() {
  AbandonCalls();
  if (returned_ > 0) {
    world_.WentStale(path_, version_);
    reading_.clear();
    to_read_.clear();
    Finish();
    return;
  }
  for (const auto& [block, fetch] : reading_) to_read_.push_back(block);
  std::sort(to_read_.begin(), to_read_.end());
  reading_.clear();
  known_.erase(path_);
  opened_at_ = world_.now();
  Stat(true);
}

void SimReader::AbandonCalls() {
  while (!calls_.empty()) {
    const auto [id, call] = *calls_.begin();
    Send(call.worker, Cancel{id});
    EndCall(id, {}, false);
  }
}

void SimReader::Finish() {
  stat_ = 0;
  if (--opens_left_ == 0) return;
  const std::chrono::microseconds pause(world_.rng().Below(20'000));
  After(pause, [this] { Next(); });
}

std::string SimReader::CheckAtRest() const {
  if (!done()) return std::to_string(opens_left_) + " opens are left";
  if (!calls_.empty() || !reading_.empty() || !direct_.empty()) return "calls are under way";
  if (aimd_.outstanding() != 0) return "upstream requests are under way";
  for (NodeId worker = 1; worker <= world_.config().workers; ++worker) {
    if (chooser_.outstanding(worker) != 0) return "the chooser lost count";
  }
  return {};
}

}  // namespace forebay::sim
