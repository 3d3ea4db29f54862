// Network: carries messages, and loses, doubles, delays and reorders them as the world has it.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <utility>

#include "base/rng.h"
#include "sim/config.h"
#include "sim/messages.h"
#include "sim/scheduler.h"

namespace forebay::sim {

class Network {
 public:
  Network(const Config& config, Rng& rng, Scheduler& scheduler,
          std::function<void(const Message&)> deliver)
      : config_(config), rng_(rng), scheduler_(scheduler), deliver_(std::move(deliver)) {}

  void Send(const Message& message);

  // Nothing gets from `from` to `to` until Heal. One way: the worst kind of cut.
  void Cut(NodeId from, NodeId to) { cut_.insert({from, to}); }
  void Join() { cut_.clear(); }
  void Heal() {
    cut_.clear();
    faulty_ = false;
  }

 private:
  void DeliverLater(const Message& message);

  const Config& config_;
  Rng& rng_;
  Scheduler& scheduler_;
  std::function<void(const Message&)> deliver_;
  std::set<std::pair<NodeId, NodeId>> cut_;
  bool faulty_ = true;
};

}  // namespace forebay::sim
