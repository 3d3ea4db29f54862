// Fills: gets blocks that are missing, from the home or, at the home, from the upstream.
//
// Invariants: only a block's home reads it from the upstream, and only once (the tier hands out one
// writer a block); while it fails, the next of its holders acts as home. Upstream fills never wait
// for peers, so fills cannot wait for each other in a circle.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/bounded_queue.h"
#include "base/mutex.h"
#include "base/task_group.h"
#include "store/memory_tier.h"
#include "wire/messages.h"
#include "worker/block_reply.h"
#include "worker/peers.h"
#include "worker/stores.h"

namespace forebay {

struct FillJob {
  BlockKey key;
  ReadBlock request;  // As it came: for peers.
  StorePath path;     // For the upstream.
  DomainId domain;
};

struct FillOptions {
  std::uint32_t block_bytes = 4u << 20;
  std::uint32_t upstream_threads = 16;  // Fills from the store at a time.
  std::uint32_t peer_threads = 16;      // Fills from other workers at a time.
  std::uint32_t queue_max = 4096;       // Fills that wait for a thread.
  // A fill has this long: its own time, not its first asker's.
  std::chrono::milliseconds timeout{30'000};
  // A peer that sends nothing for this long has failed.
  std::chrono::milliseconds patience{1500};
};

// Thread safety: safe.
class Fills {
 public:
  Fills(FillOptions options, Peers& peers);
  ~Fills();

  using Source = std::shared_ptr<const std::atomic<BlockSource>>;

  // Fills `writer`'s block in the background; a full queue fails it with kOverloaded. Returns what
  // will say where the bytes came from.
  Source Start(FillJob job, BlockWriter writer) EXCLUDES(mutex_);

  // The source of a fill that is under way; kLocal's when there is none (any more).
  Source SourceOf(const BlockKey& key) const EXCLUDES(mutex_);

 private:
  struct Task;
  class PeerReceiver;

  void RunUpstream();
  void RunPeers(std::stop_token stop);
  void FillFromUpstream(Task& task);
  // Whether a peer filled the block (or it failed for good). False: nobody before us could.
  bool FillFromPeers(Task& task, std::stop_token stop);
  Status FillFromPeer(Task& task, std::uint32_t member, bool recheck, std::stop_token stop);
  void End(Task& task, Status outcome, bool keep) EXCLUDES(mutex_);

  const FillOptions options_;
  Peers& peers_;
  const Source local_;
  mutable Mutex mutex_;
  std::unordered_map<BlockKey, std::shared_ptr<std::atomic<BlockSource>>, KeyHash> sources_
      GUARDED_BY(mutex_);
  BoundedQueue<std::shared_ptr<Task>> upstream_queue_;
  BoundedQueue<std::shared_ptr<Task>> peer_queue_;
  TaskGroup threads_;  // Last: joined first.
};

}  // namespace forebay
