// SimReader: a client made of the decisions of src/core: opens files, reads some of their blocks,
// takes the next holder when one fails, and the upstream when none is any good.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>

#include "core/aimd.h"
#include "core/choose.h"
#include "core/holder_counts.h"
#include "sim/messages.h"
#include "sim/world.h"

namespace forebay::sim {

class SimReader {
 public:
  SimReader(NodeId id, std::uint32_t number, World& world);

  void Start() { Next(); }
  void Receive(const Message& message);

  bool done() const { return opens_left_ == 0; }
  // Everything at rest; says what is not.
  std::string CheckAtRest() const;

 private:
  struct Fetch {
    std::uint32_t attempts = 0;
  };
  struct Call {
    std::uint32_t block = 0;
    NodeId worker = kWorld;
    Clock::time_point sent_at;
  };
  struct Known {
    std::uint32_t version = 0;
    Clock::time_point asked_at;
  };

  template <typename Body>
  void Send(NodeId to, Body body) {
    world_.Send({id_, to, map_, std::move(body)});
  }
  void After(Clock::duration delay, std::function<void()> run) {
    world_.scheduler().After(delay, id_, std::move(run));
  }
  const Placement& map() const { return world_.map(map_); }

  void Next();
  void Stat(bool fresh);
  void StatDirect();
  void OnStat(const StatReply& reply);
  void Bind(std::uint32_t version, Clock::time_point asked_at);
  void Continue();
  void Read(std::uint32_t block);
  void OnRead(const Message& message, const ReadReply& reply);
  void EndCall(std::uint64_t id, std::optional<std::uint32_t> depth, bool failed);
  void AbandonCalls();
  void ReadDirect(std::uint32_t block);
  void StartDirect();
  void Got(std::uint32_t block, const Words& words);
  void Changed();
  void Finish();

  const NodeId id_;
  const std::uint32_t number_;
  World& world_;
  std::size_t map_ = 0;
  Chooser chooser_;
  Aimd aimd_;
  std::map<std::uint32_t, Known> known_;  // Attributes, by path.
  HolderCounts holders_;

  // The open file.
  std::uint32_t opens_left_;
  std::uint64_t open_ = 0;  // Its number: what belongs to an earlier one is late.
  std::uint32_t path_ = 0;
  std::uint32_t version_ = 0;
  Clock::time_point opened_at_;  // Or bound anew.
  std::uint64_t stat_ = 0;       // The check that is waited for; 0: none.
  std::uint32_t stat_attempts_ = 0;
  bool stat_fresh_ = false;
  Clock::time_point stat_sent_at_;
  std::deque<std::uint32_t> to_read_;
  std::map<std::uint32_t, Fetch> reading_;  // By block.
  std::uint32_t returned_ = 0;              // Blocks given to the program.
  std::map<std::uint64_t, Call> calls_;     // By request.
  std::deque<std::pair<std::uint64_t, std::uint32_t>>
      direct_;  // (open, block): wait for their turn.
};

}  // namespace forebay::sim
