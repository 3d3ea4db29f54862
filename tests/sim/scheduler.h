// Scheduler: virtual time. Everything that happens in the simulation is an event of some node, and
// the order of events follows from the seed alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/deadline.h"
#include "base/rng.h"

namespace forebay::sim {

using NodeId = std::uint32_t;
inline constexpr NodeId kWorld = 0;  // The store, control and whoever breaks things: never fails.

class Scheduler {
 public:
  explicit Scheduler(std::size_t nodes) : nodes_(nodes) {}

  Clock::time_point now() const { return now_; }

  // Runs `run` as an event of `node` after `delay`; not at all if the node crashed meanwhile, later
  // if it is paused then.
  void After(Clock::duration delay, NodeId node, std::function<void()> run) {
    Push({now_ + delay, next_++, node, nodes_[node].incarnation, std::move(run)});
  }

  // False if nothing is left to happen.
  bool RunOne() {
    if (events_.empty()) return false;
    std::pop_heap(events_.begin(), events_.end());
    Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.time;
    const Node& node = nodes_[event.node];
    if (!node.up || node.incarnation != event.incarnation) return true;
    if (node.paused_until > now_) {
      event.time = node.paused_until;
      event.serial = next_++;
      Push(std::move(event));
      return true;
    }
    ++events_run_;
    digest_ = Mix64(digest_ ^ static_cast<std::uint64_t>(now_.time_since_epoch().count()));
    digest_ = Mix64(digest_ ^ event.serial << 16 ^ event.node);
    event.run();
    return true;
  }

  void Crash(NodeId node) {
    nodes_[node].up = false;
    ++nodes_[node].incarnation;
  }
  void Restart(NodeId node) { nodes_[node].up = true; }
  void Pause(NodeId node, Clock::time_point until) { nodes_[node].paused_until = until; }
  bool up(NodeId node) const { return nodes_[node].up; }
  // Differs before and after a crash: who waited before is not there to get an answer after.
  std::uint32_t incarnation(NodeId node) const { return nodes_[node].incarnation; }
  bool paused(NodeId node) const { return nodes_[node].paused_until > now_; }

  // Of every event that ran: (time, serial, node). Equal for two runs of a seed.
  std::uint64_t digest() const { return digest_; }
  std::uint64_t events_run() const { return events_run_; }

 private:
  struct Event {
    Clock::time_point time;
    std::uint64_t serial = 0;
    NodeId node = kWorld;
    std::uint32_t incarnation = 0;
    std::function<void()> run;
    bool operator<(const Event& other) const {  // For std::push_heap: the latest is least.
      return time != other.time ? time > other.time : serial > other.serial;
    }
  };
  struct Node {
    bool up = true;
    std::uint32_t incarnation = 0;
    Clock::time_point paused_until;
  };

  void Push(Event event) {
    events_.push_back(std::move(event));
    std::push_heap(events_.begin(), events_.end());
  }

  Clock::time_point now_{std::chrono::hours(1)};
  std::vector<Event> events_;  // A heap.
  std::vector<Node> nodes_;
  std::uint64_t next_ = 0;
  std::uint64_t digest_ = 0;
  std::uint64_t events_run_ = 0;
};

}  // namespace forebay::sim
