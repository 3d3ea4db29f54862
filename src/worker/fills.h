// Fills: gets blocks that are missing, from the home or, at the home, from the upstream.
//
// Each step is decided by core/fill_plan.h from what the group is known to be then. Invariants:
// only a block's home reads it from the upstream, and only once (the tier hands out one writer a
// block); while it fails, the next of its holders acts as home. Upstream fills never wait for
// peers.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/bounded_queue.h"
#include "base/mutex.h"
#include "base/task_group.h"
#include "cluster/group_view.h"
#include "core/fill_plan.h"
#include "store/memory_tier.h"
#include "wire/messages.h"
#include "worker/block_reply.h"
#include "worker/peers.h"
#include "worker/stores.h"

namespace forebay {

struct FillJob {
  BlockKey key;
  ReadBlock request;  // As it came, but for its block size, which is known: for peers.
  StorePath path;     // For the upstream.
  DomainId domain;
  FillQuestion question;
};

struct FillOptions {
  std::uint32_t upstream_threads = 16;  // Fills from one store at a time.
  std::uint32_t peer_threads = 16;      // Fills from other workers at a time.
  std::uint32_t queue_max = 4096;       // Fills that wait for a thread.
  // A fill has this long: its own time, not its first asker's.
  std::chrono::milliseconds timeout{30'000};
  // A peer that sends nothing for this long has failed.
  std::chrono::milliseconds patience{1500};
  // Control is waited for so long when it has a newer map.
  std::chrono::milliseconds news_patience{1000};
};

// Thread safety: safe. Threads: peer_threads, and a third more than upstream_threads, so that a
// store that hangs does not stop the others.
class Fills {
 public:
  Fills(FillOptions options, GroupSource& group, Peers& peers);
  ~Fills();

  using Source = std::shared_ptr<const std::atomic<BlockSource>>;

  // Fills `writer`'s block in the background; a full queue fails it with kOverloaded. Returns what
  // will say where the bytes came from.
  Source Start(FillJob job, BlockWriter writer) EXCLUDES(mutex_);

  // The source of a fill that is under way; kLocal's when there is none (any more).
  Source SourceOf(const BlockKey& key) const EXCLUDES(mutex_);

  // What a fill for `question` would begin with. `looked`: control was asked for news just now.
  FillAction FirstStep(const FillQuestion& question, bool looked);
  // Whether `question` may wait for the fill of `key` that is under way, or is being begun.
  bool MayJoin(const BlockKey& key, const FillQuestion& question) EXCLUDES(mutex_);

 private:
  struct Task;
  class PeerReceiver;
  using TaskPointer = std::shared_ptr<Task>;
  // Fills from one upstream: at most upstream_threads run, the others wait.
  struct StoreLoad {
    std::uint32_t running = 0;
    std::deque<TaskPointer> waiting;
  };
  struct Flight {
    std::shared_ptr<std::atomic<BlockSource>> source;
    FillAction under_way = FillAction::kUpstream;
  };

  void RunUpstream();
  void RunPeers(const std::stop_token& stop);
  bool Admit(const TaskPointer& task) EXCLUDES(mutex_);
  TaskPointer NextOf(std::uint64_t store) EXCLUDES(mutex_);
  FillStep NextStep(const GroupView& view, const Task& task);
  void SetUnderWay(Task& task, FillAction action) EXCLUDES(mutex_);
  void HandOn(const TaskPointer& task, FillAction action);
  void FillFromUpstream(const TaskPointer& task);
  void Advance(const TaskPointer& task, const std::stop_token& stop);
  // Whether `peer` filled the block (or it failed for good).
  bool FillFromPeer(Task& task, const std::string& peer, const std::stop_token& stop);
  Status AskPeer(Task& task, const std::string& peer, bool recheck, const std::stop_token& stop);
  void End(Task& task, Status outcome, bool keep) EXCLUDES(mutex_);

  const FillOptions options_;
  GroupSource& group_;
  Peers& peers_;
  const Source local_;
  mutable Mutex mutex_;
  std::unordered_map<BlockKey, Flight, KeyHash> flights_ GUARDED_BY(mutex_);
  std::map<std::uint64_t, StoreLoad> stores_ GUARDED_BY(mutex_);  // By number; while anything runs.
  std::size_t waiting_ GUARDED_BY(mutex_) = 0;                    // In all of them.
  BoundedQueue<TaskPointer> upstream_queue_;
  BoundedQueue<TaskPointer> peer_queue_;
  TaskGroup threads_;  // Last: joined first.
};

}  // namespace forebay
