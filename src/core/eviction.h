// Eviction: which block to give up next. Resists scans and loops.
//
// S3-FIFO: new blocks enter a small queue and mostly leave through it, so one scan cannot flush the
// main queue; a ghost list remembers what left. Training epochs are loops over more data than fits,
// where recency is exactly wrong. So a block that comes back enters the main queue only if it came
// back sooner than the coldest main block has been waiting for its next reader. In a loop nobody
// does: the main queue is then a stable subset that hits every round. When the loop is over its
// blocks wait longer than newcomers need to come back, and give way.
//
// Time is counted in bytes inserted. Many readers in step touch a block many times at once: touches
// that come before a thirty-second of the tier was replaced count as one.
//
// Source: Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023; the comparison
// of reuse distances is that of LIRS, Jiang & Zhang, SIGMETRICS 2002.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <unordered_map>

#include "core/ids.h"

namespace forebay {

enum class Removal {
  kEvicted,  // To make room. Remembered: it counts if the block comes back.
  kDropped,  // For any other reason. Forgotten.
};

// Thread safety: none; the store guards it. Deterministic.
// Memory: 150 bytes a block held, 60 a block remembered; at most kGhostsMax are.
class Eviction {
 public:
  // Blocks that left are remembered until this many others, or 12 times the bytes held, did.
  static constexpr std::size_t kGhostsMax = 1u << 17;

  // A block is in the tier now. It must not be there yet. `bytes` is the size of its slot, > 0.
  void Inserted(const BlockKey& key, std::uint32_t bytes);

  // A block was read. Unknown keys are ignored.
  void Touched(const BlockKey& key);

  // A block left the tier. Unknown keys are ignored.
  void Removed(const BlockKey& key, Removal why);

  // The block to give up next, never one for which `is_pinned`; nothing if all are pinned. It stays
  // until Removed; asked again without any other call, the answer is the same.
  // Cost: constant on average, plus the pinned blocks passed over.
  std::optional<BlockKey> Victim(const std::function<bool(const BlockKey&)>& is_pinned);

  bool Contains(const BlockKey& key) const { return entries_.contains(key); }
  std::size_t size() const { return entries_.size(); }
  std::uint64_t bytes() const { return small_.bytes + main_.bytes; }
  std::size_t ghosts() const { return ghosts_.size(); }

 private:
  struct Entry {
    BlockKey key;
    std::uint32_t bytes = 0;
    std::uint8_t uses = 0;  // Times read again, up to kUsesMax; spent by second chances.
    bool in_main = false;
    std::uint64_t touched_at = 0;  // Time of the last read.
    std::uint64_t counted_at = 0;  // Time of the last read that counted.
  };
  struct Queue {
    std::list<Entry> entries;  // Newest first.
    std::uint64_t bytes = 0;
  };
  struct Ghost {
    std::uint64_t touched_at = 0;
    std::uint64_t serial = 0;
  };
  struct GhostRecord {
    std::uint64_t hash = 0;
    std::uint64_t serial = 0;
    std::uint32_t bytes = 0;
  };
  using Position = std::list<Entry>::iterator;

  bool BelongsInMain(const BlockKey& key, std::uint32_t bytes);
  Position ColdestInMain();
  void MoveToFront(Position entry, bool to_main);
  void Remember(const Entry& entry);
  std::optional<BlockKey> VictimInSmall(const std::function<bool(const BlockKey&)>& is_pinned);
  std::optional<BlockKey> VictimInMain(const std::function<bool(const BlockKey&)>& is_pinned);
  Queue& QueueOf(bool main) { return main ? main_ : small_; }

  Queue small_;
  Queue main_;
  std::unordered_map<BlockKey, Position, KeyHash> entries_;
  std::unordered_map<std::uint64_t, Ghost> ghosts_;  // By Hash64; never iterated.
  std::deque<GhostRecord> ghost_order_;  // Oldest first; may name ghosts that came back.
  std::uint64_t ghost_bytes_ = 0;        // Of ghost_order_.
  std::optional<BlockKey> offered_;      // The last answer of Victim, if nothing happened since.
  std::uint64_t serial_ = 0;
  std::uint64_t now_ = 0;         // Bytes inserted so far.
  std::uint64_t full_bytes_ = 0;  // Held when a victim was last asked for; 0: never.
};

}  // namespace forebay
