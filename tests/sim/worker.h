// SimWorker: a worker made of the decisions of src/core, and nothing else: what src/worker does
// with threads, sockets and tmpfs, here in one thread with vectors.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "core/eviction.h"
#include "core/hot_files.h"
#include "core/send_order.h"
#include "core/single_flight.h"
#include "core/slot_map.h"
#include "sim/messages.h"
#include "sim/world.h"

namespace forebay::sim {

class SimWorker {
 public:
  SimWorker(NodeId id, World& world);

  void Receive(const Message& message);
  // Its process died: nothing is left of it.
  void Restart();

  bool Holds(const BlockName& name, Clock::time_point since) const;
  // Everything at rest, and every slot accounted for; says what is not.
  std::string CheckAtRest();

 private:
  struct Waiter {
    NodeId node = kWorld;
    std::uint64_t request = 0;
    SendClass send_class = SendClass::kClient;
    std::uint32_t tenant = 0;
    bool operator==(const Waiter&) const = default;
  };
  struct Block {
    BlockName name;
    SlotId slot;
    std::uint32_t words = 0;
    bool filled = false;
    std::uint32_t pins = 0;  // Sends that wait or are under way.
    Clock::time_point filled_at;
  };
  struct Sending {
    Waiter to;
    BlockKey key;
  };
  // A fill under way: at which of the steps of core/fill_plan.h.
  struct Fill {
    FillQuestion question;
    FillAction at = FillAction::kRefreshFirst;
    std::set<NodeId> peers;  // Those asked by this map.
    Asked asked;
  };
  struct StatWaiter {
    NodeId node = kWorld;
    std::uint64_t request = 0;
    bool operator==(const StatWaiter&) const = default;
  };
  struct Known {
    std::uint32_t version = 0;
    Clock::time_point asked_at;
    std::uint64_t check = 0;  // The newest check, 0: none is under way.
    std::optional<Clock::time_point> check_sent_at;
  };
  // What a crash takes away.
  struct State {
    explicit State(const Config& config);
    std::size_t map = 0;
    std::size_t newest_map = 0;   // The newest that anybody told of.
    bool returned = false;        // Others may have acted as home in its place.
    std::vector<Message> parked;  // Requests that wait for that map.
    SlotMap slots;
    std::vector<std::shared_ptr<Words>> pages;  // Of each chunk.
    Eviction eviction;
    SingleFlight<BlockKey, Waiter, KeyHash> flights;
    SendOrder order;
    HotFiles hot;
    std::map<BlockKey, Block> blocks;
    std::map<std::uint64_t, std::uint32_t> unanswered;  // How often, by request.
    std::map<SendOrder::Ticket, Sending> sending;
    std::map<std::uint64_t, SlotId> sends;    // Not acknowledged, by send.
    std::map<SlotId, std::uint32_t> unacked;  // How many of a slot are not.
    std::set<SlotId> dirty;                   // Freed before they were.
    std::map<BlockKey, Fill> fills;           // Of the flights.
    std::map<std::uint64_t, BlockKey> calls;  // To other workers, by request.
    SingleFlight<std::uint64_t, StatWaiter, KeyHash> checks;
    std::map<std::uint32_t, Known> known;        // By path.
    std::deque<std::function<void()>> upstream;  // Wait for a connection to the store.
    std::uint32_t upstream_busy = 0;
  };

  template <typename Body>
  void Send(NodeId to, Body body) {
    world_.Send({id_, to, state_->map, std::move(body)});
  }
  const Placement& map() const { return world_.map(state_->map); }
  bool IsHome(std::uint64_t hash) const;

  void OnRead(const Message& message, const ReadRequest& request);
  void OnReply(const Message& message, const ReadReply& reply);
  void OnAcknowledgement(std::uint64_t send);
  void OnCancel(NodeId from, std::uint64_t request);
  void OnStat(const Message& message, const StatRequest& request);

  void Adopt(std::size_t map);
  void Refresh();
  void Park(const Message& message);
  FillView View() const;
  FillStep NextStep(const FillQuestion& question, const std::set<NodeId>& asked) const;
  void AnswerRead(const Message& message, const ReadRequest& request);
  void StartFill(const FillQuestion& question, const ReadRequest& request);
  void Advance(const BlockKey& key);
  void AskPeer(const Block& block, NodeId peer, FillAsker asker);
  void AfterPeer(const BlockKey& key, Code code);
  void FillFromUpstream(const BlockKey& key);
  void Filled(const BlockKey& key, const Words& words);
  void FillFailed(const BlockKey& key, Code code);
  void Refuse(const Waiter& waiter, Code code, std::uint32_t holders = 1);
  void Answered(std::uint64_t request);
  void Serve(const BlockKey& key, const Waiter& waiter);
  void Pump();
  void Sent(SendOrder::Ticket ticket);
  std::optional<SlotId> MakeRoom(std::uint32_t bytes);
  void Evict(const BlockKey& key);
  void FreeSlot(SlotId slot);
  void PunchAll();
  void WithUpstream(std::function<void()> call);
  void UpstreamDone();
  void Checked(std::uint32_t path, std::uint64_t check, const Result<std::uint32_t>& version,
               Clock::time_point asked_at);
  void ReplyStat(const StatWaiter& waiter, const Known& known);

  const NodeId id_;
  const std::string name_;
  World& world_;
  std::unique_ptr<State> state_;
};

}  // namespace forebay::sim
