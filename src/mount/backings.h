// Backings: which nodes the kernel reads by itself from a file of the near worker (passthrough),
// and which it asks us for.
//
// Invariants, which the kernel demands: while any handle of a node is open, all of them are read
// the same way, and from the same file. See docs/decisions/0006.
#pragma once

#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "mount/kernel_channel.h"
#include "mount/nodes.h"

namespace forebay {

// Thread safety: safe.
class Backings {
 public:
  // What Open returns for nodes that are read through us.
  static constexpr std::int32_t kNone = 0;

  // `channel` is of the mount; null: the kernel asks us for everything. What a process before this
  // one left is taken over. `nodes` and `table` outlive this.
  Backings(std::shared_ptr<KernelChannel> channel, Nodes& nodes, NodeTable& table);

  // One more handle of `node`. `whole`: a descriptor of all of its bytes, or -1. Returns the number
  // that the answer to the kernel says, or kNone.
  std::int32_t Open(KnownNode& node, int whole) EXCLUDES(mutex_);
  // A handle for which Open returned `backing` is gone.
  void Release(KnownNode& node, std::int32_t backing) EXCLUDES(mutex_);
  // The kernel has forgotten the node, and so closed all of its handles; its record is still there.
  void Forget(KnownNode& node) EXCLUDES(mutex_);

  bool may_pass_through() const EXCLUDES(mutex_);

 private:
  void Close(NodeOpens& opens) REQUIRES(mutex_);

  mutable Mutex mutex_;
  const std::shared_ptr<KernelChannel> channel_;  // Null: the kernel cannot.
  bool is_refused_ GUARDED_BY(mutex_) = false;    // It was asked, and does not.
  NodeTable& table_;
};

}  // namespace forebay
