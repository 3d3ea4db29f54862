// World: one run of the simulation. Makes the nodes, breaks things, heals them, and holds what must
// always be true (oracles).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/ring.h"
#include "sim/config.h"
#include "sim/network.h"
#include "sim/scheduler.h"
#include "sim/store.h"

namespace forebay::sim {

class SimWorker;
class SimReader;

// What became of a worker's questions before it went to the upstream.
struct Asked {
  bool before_failed = false;  // One who might have the block did not answer, or could not.
  bool holder_silent = false;  // One who fills before it did not answer.
};

struct Outcome {
  std::string violation;  // Empty: everything held.
  std::uint64_t digest = 0;
  std::uint64_t events = 0;
  std::uint64_t blocks_read = 0;
  std::uint64_t fetches = 0;  // From the upstream, by workers.
  std::uint64_t direct = 0;   // From the upstream, by readers.
};

class World {
 public:
  explicit World(const Config& config);
  ~World();

  Outcome Run();

  // What nodes use.
  const Config& config() const { return config_; }
  Rng& rng() { return rng_; }
  Scheduler& scheduler() { return scheduler_; }
  SimStore& store() { return store_; }
  Clock::time_point now() const { return scheduler_.now(); }
  std::uint64_t NewId() { return ++last_id_; }
  void Send(const Message& message) { network_.Send(message); }
  const Placement& map(std::size_t number) const { return maps_[number]; }
  std::size_t newest_map() const { return maps_.size() - 1; }
  static std::string NameOf(NodeId worker) { return "w-" + std::to_string(worker); }
  static NodeId NodeOf(std::string_view name);

  // What nodes tell the oracles.
  void Fetched(NodeId worker, const BlockName& name, std::size_t map, const Asked& asked);
  void FetchFailed(const BlockName& name) { ++allowed_[name]; }
  void Evicted(const BlockName& name) { ++allowed_[name]; }
  // A reader reads from the store, by its map `map`.
  void ReadDirect(std::size_t map);
  // Bytes of a block arrived at a reader or a worker, be it late.
  void Arrived(NodeId at, const BlockName& name, const Words& words);
  // A reader returned a block to its program.
  void Returned(NodeId reader, const BlockName& name, const Words& words) {
    ++outcome_.blocks_read;
    Arrived(reader, name, words);
  }
  // A reader that opened `path` at `opened` is given `version`.
  void Opened(NodeId reader, std::uint32_t path, std::uint32_t version, Clock::time_point opened);
  // A reader gives up a file of which it returned bytes already, since its version is gone.
  void WentStale(std::uint32_t path, std::uint32_t version);
  void Violate(const std::string& what);

 private:
  void Deliver(const Message& message);
  void Publish();
  void Notify(NodeId node);
  void Mischief();
  void CrashOne();
  void ChangeRing();
  void Heal();
  void SetMask(NodeId worker, bool masked);
  void Revive(NodeId worker);
  NodeId AnyWorker() { return 1 + static_cast<NodeId>(rng_.Below(config_.workers)); }
  void CheckCount(const BlockName& name, std::uint64_t count);
  void CheckEnd();

  const Config config_;
  Rng rng_;
  Scheduler scheduler_;
  SimStore store_;
  Network network_;
  std::vector<std::unique_ptr<SimWorker>> workers_;  // Node 1 is the first.
  std::vector<std::unique_ptr<SimReader>> readers_;  // The nodes after them.

  std::set<NodeId> members_;
  std::set<std::string> masked_;
  std::uint64_t epoch_ = 0;
  Ring ring_;
  std::optional<Ring> previous_ring_;
  std::vector<Placement> maps_;
  std::vector<std::optional<Ring>> previous_rings_;  // Of maps_, for the oracle.
  bool healed_ = false;

  std::map<BlockName, std::uint64_t> fetches_;
  std::map<BlockName, std::uint64_t> allowed_;  // Besides one and crashes and maps.
  std::uint64_t crashes_ = 0;
  std::uint64_t rings_made_ = 0;
  Clock::time_point ring_made_at_;
  std::uint64_t last_id_ = 0;
  Outcome outcome_;
};

}  // namespace forebay::sim
