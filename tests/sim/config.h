// Config: which world a seed makes. Swarm testing: every seed draws which faults there are and how
// strong, and constants so small that limits are met all the time.
//
// Source: Groce et al., Swarm testing, ISSTA 2012.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "core/staleness.h"

namespace forebay::sim {

struct Config {
  std::uint64_t seed = 0;

  std::uint32_t workers = 3;
  std::uint32_t readers = 3;
  std::uint32_t files = 5;
  std::uint32_t blocks_max = 4;  // Of a file.
  std::uint32_t opens = 30;      // By each reader.
  std::uint32_t tenants = 1;
  bool in_order = false;  // Readers take the files in the same order; else at random.

  std::uint32_t chunks = 12;  // Of a worker: two blocks each.
  std::uint32_t places = 3;
  std::uint32_t waiting_max = 64;
  std::uint32_t flights_max = 64;
  std::uint32_t waiters_max = 64;
  std::uint32_t upstream_max = 4;          // Requests of a worker to the store at once.
  std::chrono::milliseconds staleness{0};  // max(): pinned.

  // Faults, each in thousandths of the chances for it; 0: this world does not know it.
  std::uint32_t lose = 0;
  std::uint32_t duplicate = 0;
  std::uint32_t late = 0;   // A message takes up to a second.
  std::uint32_t stall = 0;  // A send makes no progress.
  std::uint32_t store_fails = 0;
  // Things that happen now and then until the world heals.
  bool crashes = false;
  bool pauses = false;
  bool cuts = false;
  bool ring_changes = false;
  bool overwrites = false;
  std::uint32_t rings_max = 0;               // Changes of the ring; 0: any number.
  std::chrono::milliseconds hand_over{100};  // Between two; a worker knows one by half of it.
  std::uint32_t deaf = 0;  // Map notices to readers that are lost; workers get them late.

  StalenessBound bound() const { return StalenessBound(staleness); }
  // Whoever lives is heard.
  bool prompt() const { return lose == 0 && late == 0 && !pauses && !cuts; }
  bool messages_arrive() const { return prompt() && !crashes; }
  // Nobody is ever refused for lack of room.
  bool roomy() const {
    return waiting_max >= 64 && flights_max >= 64 && waiters_max >= 64 && chunks >= 8 && stall == 0;
  }
  // In a prompt world silence means death, however long the store takes.
  std::chrono::milliseconds peer_patience() const {
    return std::chrono::milliseconds(prompt() ? 1000 : 40);
  }
  std::chrono::milliseconds reader_patience() const {
    return std::chrono::milliseconds(prompt() ? 5000 : 60);
  }
};

Config DrawConfig(std::uint64_t seed);

// One line, for whoever looks into a failure.
std::string Describe(const Config& config);

}  // namespace forebay::sim
