#include "sim/worker.h"

#include <fmt/format.h>

#include <algorithm>

namespace forebay::sim {
namespace {

// Until it asks for the map again.
constexpr std::chrono::milliseconds kMapTimeout{20};

// The directory of a path: every file has one of its own here.
std::uint64_t DirectoryHash(std::uint32_t path) {
  return Mix64(0x5354'4154 + std::uint64_t{path});
}

}  // namespace

SimWorker::State::State(const Config& config)
    : slots({.block_bytes = kBlockBytes,
             .slot_bytes_min = kSlotBytesMin,
             .chunk_bytes_min = kChunkBytes}),
      flights(config.flights_max, config.waiters_max),
      order({.places = config.places, .waiting_max = config.waiting_max}),
      hot({.members = config.workers,
           .capacity_bytes = std::uint64_t{config.chunks} * kChunkBytes,
           .window = std::chrono::milliseconds(200),
           .files_max = 4}),
      checks(config.flights_max, config.waiters_max) {
  for (std::uint32_t i = 0; i < config.chunks; ++i) {
    slots.AddChunk();
    pages.push_back(std::make_shared<Words>(kChunkBytes / kWordBytes));
  }
}

SimWorker::SimWorker(NodeId id, World& world) : id_(id), name_(World::NameOf(id)), world_(world) {
  Restart();
  state_->returned = false;
}

void SimWorker::Restart() {
  state_ = std::make_unique<State>(world_.config());
  state_->map = state_->newest_map = world_.newest_map();
  state_->returned = true;
}

bool SimWorker::IsHome(std::uint64_t hash) const {
  const std::optional<std::uint32_t> home = map().Home(hash);
  return home && map().ring().name(*home) == name_;
}

void SimWorker::Receive(const Message& message) {
  state_->newest_map = std::max(state_->newest_map, message.map);
  if (message.CarriesMap()) Adopt(message.map);
  if (const auto* read = std::get_if<ReadRequest>(&message.body)) OnRead(message, *read);
  if (const auto* reply = std::get_if<ReadReply>(&message.body)) OnReply(message, *reply);
  if (const auto* ack = std::get_if<Acknowledgement>(&message.body)) OnAcknowledgement(ack->send);
  if (const auto* cancel = std::get_if<Cancel>(&message.body)) OnCancel(message.from, cancel->id);
  if (const auto* stat = std::get_if<StatRequest>(&message.body)) OnStat(message, *stat);
}

// A newer map: what waited for it is decided anew.
void SimWorker::Adopt(std::size_t number) {
  if (number <= state_->map) return;
  state_->map = number;
  const Ring& ring = map().ring();
  const std::optional<std::uint32_t> self = ring.Find(name_);
  if (self && map().masked(*self)) state_->returned = true;
  state_->hot.SetMembers(std::max<std::uint32_t>(1, static_cast<std::uint32_t>(ring.size())));
  std::vector<BlockKey> waiting;
  for (auto& [key, fill] : state_->fills) {
    fill.peers.clear();
    if (fill.at == FillAction::kRefreshFirst) waiting.push_back(key);
  }
  for (const BlockKey& key : waiting) Advance(key);
  for (const Message& message : std::exchange(state_->parked, {})) {
    if (const auto* read = std::get_if<ReadRequest>(&message.body)) AnswerRead(message, *read);
    if (const auto* stat = std::get_if<StatRequest>(&message.body)) OnStat(message, *stat);
  }
}

// Asks control until the newest map is here.
void SimWorker::Refresh() {
  if (state_->map >= state_->newest_map) return;
  Send(kWorld, MapRequest{});
  world_.scheduler().After(kMapTimeout, id_, [this] { Refresh(); });
}

void SimWorker::Park(const Message& message) {
  state_->parked.push_back(message);
  Refresh();
}

FillView SimWorker::View() const {
  return {map(), state_->map, state_->newest_map, name_, state_->returned};
}

FillStep SimWorker::NextStep(const FillQuestion& question, const std::set<NodeId>& asked) const {
  return NextFillStep(View(), question, [&asked](std::string_view peer) {
    return !asked.contains(World::NodeOf(peer));
  });
}

void SimWorker::OnRead(const Message& message, const ReadRequest& request) {
  ++state_->unanswered[request.id];
  AnswerRead(message, request);
}

void SimWorker::AnswerRead(const Message& message, const ReadRequest& request) {
  const BlockKey key = KeyOf(request.name);
  const FillQuestion question{key.Hash64(), request.asker, message.map};
  std::uint32_t holders = 1;
  if (request.asker == FillAsker::kReader) {
    holders = state_->hot.Read(key.file, message.from,
                               std::uint64_t{request.file_words} * kWordBytes, world_.now());
  }
  const SendClass send_class =
      request.asker == FillAsker::kReader ? SendClass::kClient : SendClass::kPeer;
  const Waiter waiter{message.from, request.id, send_class, request.tenant};
  const auto block = state_->blocks.find(key);
  if (block != state_->blocks.end() && block->second.filled) {
    Serve(key, waiter);
    return;
  }
  const auto fill = state_->fills.find(key);
  const bool joins = fill != state_->fills.end() && MayJoinFill(View(), question, fill->second.at);
  const FillStep step = NextStep(question, {});
  if (!joins && step.action == FillAction::kRefreshFirst) {
    Park(message);
  } else if (!joins && step.action == FillAction::kStale) {
    Refuse(waiter, Code::kStale, holders);
  } else if (!joins && (step.action == FillAction::kNotHere || fill != state_->fills.end())) {
    Refuse(waiter, Code::kNotHere);
  } else {
    switch (state_->flights.Join(key, waiter)) {
      case Joined::kLead: StartFill(question, request); break;
      case Joined::kFollow: break;
      case Joined::kOverloaded: Refuse(waiter, Code::kOverloaded, holders); break;
    }
  }
}

void SimWorker::StartFill(const FillQuestion& question, const ReadRequest& request) {
  const BlockKey key = KeyOf(request.name);
  const std::optional<SlotId> slot = MakeRoom(request.words * kWordBytes);
  if (!slot) {
    for (const Waiter& waiter : state_->flights.Finish(key)) Refuse(waiter, Code::kOverloaded);
    return;
  }
  state_->blocks.emplace(key, Block{request.name, *slot, request.words, false, 0, {}});
  state_->fills.emplace(key, Fill{question, {}, {}, {}});
  Advance(key);
}

// Takes the next step of a fill.
void SimWorker::Advance(const BlockKey& key) {
  Fill& fill = state_->fills.at(key);
  const FillStep step = NextStep(fill.question, fill.peers);
  fill.at = step.action;
  switch (step.action) {
    case FillAction::kAskHolder:
    case FillAction::kAskBefore: {
      const NodeId peer = World::NodeOf(step.peer);
      fill.peers.insert(peer);
      AskPeer(state_->blocks.at(key), peer,
              step.action == FillAction::kAskHolder ? FillAsker::kHolder : FillAsker::kNewHome);
      return;
    }
    case FillAction::kUpstream: FillFromUpstream(key); return;
    case FillAction::kRefreshFirst: Refresh(); return;
    case FillAction::kStale: FillFailed(key, Code::kStale); return;
    case FillAction::kNotHere: FillFailed(key, Code::kNotHere); return;
  }
}

void SimWorker::AskPeer(const Block& block, NodeId peer, FillAsker asker) {
  const std::uint64_t request = world_.NewId();
  state_->calls.emplace(request, KeyOf(block.name));
  Send(peer, ReadRequest{request, asker, block.name, block.words, 0, 0});
  world_.scheduler().After(world_.config().peer_patience(), id_, [this, request, peer] {
    const auto call = state_->calls.find(request);
    if (call == state_->calls.end()) return;
    const BlockKey key = call->second;
    state_->calls.erase(call);
    Send(peer, Cancel{request});
    AfterPeer(key, Code::kDeadlineExceeded);
  });
}

void SimWorker::OnReply(const Message& message, const ReadReply& reply) {
  if (!reply.error) {
    world_.Arrived(id_, reply.name, reply.payload->Take());
    Send(message.from, Acknowledgement{reply.send});
  }
  const auto call = state_->calls.find(reply.id);
  if (call == state_->calls.end()) return;  // Late: nobody waits for it.
  const BlockKey key = call->second;
  state_->calls.erase(call);
  if (reply.error) {
    AfterPeer(key, *reply.error);
  } else {
    Filled(key, reply.payload->Take());
  }
}

// A peer did not give the block.
void SimWorker::AfterPeer(const BlockKey& key, Code code) {
  Fill& fill = state_->fills.at(key);
  const bool silent = code == Code::kDeadlineExceeded;
  const bool lacks = code == Code::kNotHere || code == Code::kStale;
  if (code == Code::kChanged ||
      (fill.at == FillAction::kAskHolder && !silent && code != Code::kStale)) {
    FillFailed(key, code);
    return;
  }
  fill.asked.holder_silent |= fill.at == FillAction::kAskHolder && silent;
  fill.asked.before_failed |= fill.at == FillAction::kAskBefore && !lacks;
  Advance(key);
}

void SimWorker::FillFromUpstream(const BlockKey& key) {
  WithUpstream([this, key] {
    // The ring may have changed while the request waited for its turn.
    const Fill& fill = state_->fills.at(key);
    if (NextStep(fill.question, fill.peers).action != FillAction::kUpstream) {
      UpstreamDone();
      Advance(key);
      return;
    }
    const BlockName name = state_->blocks.at(key).name;
    if (state_->map < state_->newest_map) world_.Violate("the store is read by an old map");
    world_.Fetched(id_, name, state_->map, fill.asked);
    world_.store().Read(id_, name, [this, key, name](const Result<Words>& words) {
      UpstreamDone();
      if (words.ok()) {
        Filled(key, words.value());
      } else {
        world_.FetchFailed(name);
        FillFailed(key, words.error().code());
      }
    });
  });
}

void SimWorker::Filled(const BlockKey& key, const Words& words) {
  Block& block = state_->blocks.at(key);
  const std::size_t first = state_->slots.OffsetInChunk(block.slot) / kWordBytes;
  std::copy(words.begin(), words.end(),
            state_->pages[block.slot.chunk]->begin() + static_cast<std::ptrdiff_t>(first));
  block.filled = true;
  block.filled_at = world_.now();
  state_->eviction.Inserted(key, state_->slots.SlotBytes(block.slot));
  state_->fills.erase(key);
  for (const Waiter& waiter : state_->flights.Finish(key)) Serve(key, waiter);
}

void SimWorker::FillFailed(const BlockKey& key, Code code) {
  const auto block = state_->blocks.find(key);
  state_->slots.Free(block->second.slot, false);
  state_->blocks.erase(block);
  state_->fills.erase(key);
  for (const Waiter& waiter : state_->flights.Finish(key)) Refuse(waiter, code);
}

void SimWorker::Refuse(const Waiter& waiter, Code code, std::uint32_t holders) {
  Answered(waiter.request);
  ReadReply reply;
  reply.id = waiter.request;
  reply.error = code;
  reply.depth = static_cast<std::uint32_t>(state_->order.waiting());
  reply.holders = holders;
  Send(waiter.node, reply);
}

// Every request is answered or cancelled once; twice if the network doubled it.
void SimWorker::Answered(std::uint64_t request) {
  const auto found = state_->unanswered.find(request);
  if (found == state_->unanswered.end()) {
    world_.Violate("a request was answered that nobody made");
  } else if (--found->second == 0) {
    state_->unanswered.erase(found);
  }
}

void SimWorker::Serve(const BlockKey& key, const Waiter& waiter) {
  const auto ticket = state_->order.Arrive(waiter.send_class, DomainId{waiter.tenant});
  if (!ticket) {
    Refuse(waiter, Code::kOverloaded);
    return;
  }
  state_->eviction.Touched(key);
  ++state_->blocks.at(key).pins;
  state_->sending.emplace(*ticket, Sending{waiter, key});
  Pump();
}

void SimWorker::Pump() {
  for (const SendOrder::Ticket ticket : state_->order.Grant()) {
    const std::chrono::microseconds takes(50 + world_.rng().Below(200));
    world_.scheduler().After(takes, id_, [this, ticket] { Sent(ticket); });
  }
}

void SimWorker::Sent(SendOrder::Ticket ticket) {
  const auto found = state_->sending.find(ticket);
  if (found == state_->sending.end()) return;  // Cancelled meanwhile.
  if (world_.rng().Chance(world_.config().stall, 1000)) {
    state_->order.Yield(ticket);
    Pump();
    return;
  }
  const Sending sending = found->second;
  state_->sending.erase(found);
  Answered(sending.to.request);
  state_->order.Leave(ticket);
  Block& block = state_->blocks.at(sending.key);
  --block.pins;
  ReadReply reply;
  reply.id = sending.to.request;
  reply.name = block.name;
  reply.send = world_.NewId();
  reply.payload =
      std::make_shared<Payload>(state_->pages[block.slot.chunk],
                                state_->slots.OffsetInChunk(block.slot) / kWordBytes, block.words);
  reply.depth = static_cast<std::uint32_t>(state_->order.waiting());
  if (sending.to.send_class == SendClass::kClient) {
    reply.holders =
        state_->hot.Read(sending.key.file, sending.to.node,
                         world_.store().FileWords(block.name.path) * kWordBytes, world_.now());
  }
  state_->sends.emplace(reply.send, block.slot);
  ++state_->unacked[block.slot];
  Send(sending.to.node, reply);
  Pump();
}

void SimWorker::OnAcknowledgement(std::uint64_t send) {
  const auto found = state_->sends.find(send);
  if (found == state_->sends.end()) return;  // A duplicate, or of before a crash.
  const SlotId slot = found->second;
  state_->sends.erase(found);
  if (--state_->unacked.at(slot) > 0) return;
  state_->unacked.erase(slot);
  if (state_->dirty.erase(slot) > 0) (void)state_->slots.Acknowledge(slot);
}

void SimWorker::OnCancel(NodeId from, std::uint64_t request) {
  for (auto it = state_->sending.begin(); it != state_->sending.end(); ++it) {
    if (it->second.to.node != from || it->second.to.request != request) continue;
    --state_->blocks.at(it->second.key).pins;
    state_->order.Cancel(it->first);
    state_->sending.erase(it);
    Answered(request);
    Pump();
    return;
  }
  const auto is_it = [from, request](const Message& message) {
    const auto* read = std::get_if<ReadRequest>(&message.body);
    return read != nullptr && message.from == from && read->id == request;
  };
  const auto parked = std::find_if(state_->parked.begin(), state_->parked.end(), is_it);
  if (parked != state_->parked.end()) {
    state_->parked.erase(parked);
    Answered(request);
    return;
  }
  for (const auto& [key, block] : state_->blocks) {
    if (block.filled) continue;
    for (const SendClass send_class : {SendClass::kClient, SendClass::kPeer}) {
      for (std::uint32_t tenant = 0; tenant < world_.config().tenants; ++tenant) {
        if (!state_->flights.Leave(key, {from, request, send_class, tenant})) continue;
        Answered(request);
        return;
      }
    }
  }
}

std::optional<SlotId> SimWorker::MakeRoom(std::uint32_t bytes) {
  const auto is_pinned = [this](const BlockKey& key) { return state_->blocks.at(key).pins > 0; };
  for (;;) {
    if (const auto slot = state_->slots.Allocate(bytes)) return slot;
    if (!state_->slots.PunchableChunks().empty()) {
      PunchAll();
      continue;
    }
    const std::optional<BlockKey> victim = state_->eviction.Victim(is_pinned);
    if (!victim) return std::nullopt;
    if (is_pinned(*victim)) world_.Violate("a pinned block is to be evicted");
    Evict(*victim);
  }
}

void SimWorker::Evict(const BlockKey& key) {
  const auto block = state_->blocks.find(key);
  if (block == state_->blocks.end() || !block->second.filled) {
    world_.Violate("what is not in the tier is to be evicted");
    return;
  }
  state_->eviction.Removed(key, Removal::kEvicted);
  world_.Evicted(block->second.name);
  FreeSlot(block->second.slot);
  state_->blocks.erase(block);
}

void SimWorker::FreeSlot(SlotId slot) {
  const bool dirty = state_->unacked.contains(slot);
  state_->slots.Free(slot, dirty);
  if (dirty) state_->dirty.insert(slot);
}

// What still refers to the old pages keeps them, as a socket's queue does.
void SimWorker::PunchAll() {
  for (const std::uint32_t chunk : state_->slots.PunchableChunks()) {
    state_->slots.Withdraw(chunk);
    state_->pages[chunk] = std::make_shared<Words>(kChunkBytes / kWordBytes);
    state_->slots.Restore(chunk);
  }
}

void SimWorker::WithUpstream(std::function<void()> call) {
  if (state_->upstream_busy >= world_.config().upstream_max) {
    state_->upstream.push_back(std::move(call));
    return;
  }
  ++state_->upstream_busy;
  call();
}

void SimWorker::UpstreamDone() {
  --state_->upstream_busy;
  if (state_->upstream.empty()) return;
  const std::function<void()> next = std::move(state_->upstream.front());
  state_->upstream.pop_front();
  WithUpstream(next);
}

void SimWorker::ReplyStat(const StatWaiter& waiter, const Known& known) {
  Send(waiter.node,
       StatReply{waiter.request, {}, known.version, AgeMilliseconds(known.asked_at, world_.now())});
}

void SimWorker::OnStat(const Message& message, const StatRequest& request) {
  const NodeId from = message.from;
  const StatWaiter waiter{from, request.id};
  if (state_->map < state_->newest_map) {
    Park(message);
    return;
  }
  if (!IsHome(DirectoryHash(request.path))) {
    Send(from, StatReply{request.id, Code::kStale, 0, 0});
    return;
  }
  const StalenessBound bound =
      request.fresh ? StalenessBound(std::chrono::milliseconds(0)) : world_.config().bound();
  Known& known = state_->known[request.path];
  if (known.version != 0 && bound.Usable(known.asked_at, world_.now())) {
    ReplyStat(waiter, known);
    return;
  }
  const bool join = known.check != 0 && bound.MayJoin(known.check_sent_at, world_.now());
  const std::uint64_t check = join ? known.check : world_.NewId();
  switch (state_->checks.Join(check, waiter)) {
    case Joined::kFollow: return;
    case Joined::kOverloaded: Send(from, StatReply{request.id, Code::kOverloaded, 0, 0}); return;
    case Joined::kLead: break;
  }
  known.check = check;
  known.check_sent_at.reset();
  WithUpstream([this, path = request.path, check] {
    const Clock::time_point asked_at = world_.now();
    Known& entry = state_->known[path];
    if (entry.check == check) entry.check_sent_at = asked_at;
    world_.store().Stat(id_, path, [this, path, check, asked_at](const auto& version) {
      UpstreamDone();
      Checked(path, check, version, asked_at);
    });
  });
}

void SimWorker::Checked(std::uint32_t path, std::uint64_t check,
                        const Result<std::uint32_t>& version, Clock::time_point asked_at) {
  Known& known = state_->known[path];
  if (known.check == check) known.check = 0;
  const std::vector<StatWaiter> waiters = state_->checks.Finish(check);
  if (!version.ok()) {
    for (const StatWaiter& waiter : waiters) {
      Send(waiter.node, StatReply{waiter.request, version.error().code(), 0, 0});
    }
    return;
  }
  Known answer = known;
  answer.version = version.value();
  answer.asked_at = asked_at;
  if (known.version == 0 || known.asked_at < asked_at) {
    known.version = answer.version;
    known.asked_at = asked_at;
  }
  for (const StatWaiter& waiter : waiters) ReplyStat(waiter, answer);
}

bool SimWorker::Holds(const BlockName& name, Clock::time_point since) const {
  const auto block = state_->blocks.find(KeyOf(name));
  return block != state_->blocks.end() && block->second.filled && block->second.filled_at <= since;
}

std::string SimWorker::CheckAtRest() {
  if (state_->flights.flights() != 0) return "fills are under way";
  if (!state_->fills.empty() || !state_->parked.empty()) return "requests wait for a map";
  if (state_->checks.flights() != 0) return "checks are under way";
  if (state_->order.waiting() + state_->order.granted() != 0) return "sends are under way";
  if (!state_->sending.empty() || !state_->calls.empty()) return "calls are under way";
  if (!state_->unanswered.empty()) return "a request was never answered";
  if (state_->upstream_busy != 0 || !state_->upstream.empty()) return "upstream calls are left";
  if (state_->eviction.size() != state_->blocks.size()) return "eviction lost count";
  state_->slots.CheckInvariants();
  while (!state_->blocks.empty()) {
    if (state_->blocks.begin()->second.pins != 0) return "a block is still pinned";
    Evict(state_->blocks.begin()->first);
  }
  PunchAll();
  state_->slots.CheckInvariants();
  if (state_->slots.free_bytes() != state_->slots.capacity_bytes()) return "slots are lost";
  return {};
}

}  // namespace forebay::sim
