// TierBlock: one block of the memory tier. Its place never changes; its progress does.
//
// Locks: the block's mutex guards its progress, the tier's mutex guards where it belongs. The two
// are never held together, and nothing is called while the block's is held. A third one lets one
// reader of an adopted block compare its bytes while the others wait.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "core/ids.h"
#include "core/slot_map.h"
#include "io/waker.h"
#include "store/memory_tier.h"

namespace forebay {

class TierState;

// Where a block's bytes are. Valid while the block holds its slot.
struct BlockPlace {
  SlotId slot;
  std::span<std::byte> bytes;  // Of the block, not of the slot.
  std::span<std::byte> entry;  // Of the slot in the index.
  int fd = -1;                 // Of the segment.
  std::uint64_t file_offset = 0;
};

// Thread safety: safe, but for the writer's part: one thread at a time.
class TierBlock {
 public:
  // `tier` is weak because handles, and so blocks, may outlive the tier.
  TierBlock(const BlockKey& key, const BlockPlace& place, std::weak_ptr<TierState> tier);
  // A complete one of a predecessor, with the checksums of its header. Its bytes may be anything
  // before VerifyOnce.
  TierBlock(const BlockKey& key, const BlockPlace& place, std::weak_ptr<TierState> tier,
            std::vector<std::uint32_t> checksums);
  // Gives the slot back if the block still has it: nobody can ask for these bytes any more.
  ~TierBlock();
  TierBlock(const TierBlock&) = delete;
  TierBlock& operator=(const TierBlock&) = delete;

  const BlockKey& key() const { return key_; }
  const BlockPlace& place() const { return place_; }
  std::uint32_t length() const { return static_cast<std::uint32_t>(place_.bytes.size()); }
  std::shared_ptr<TierState> tier() const { return tier_.lock(); }

  BlockHandle::State state() const EXCLUDES(mutex_);
  std::uint32_t ready_bytes() const EXCLUDES(mutex_);
  Error error() const EXCLUDES(mutex_);
  void Subscribe(const std::shared_ptr<Waker>& waker) EXCLUDES(mutex_);
  void Unsubscribe(const std::shared_ptr<Waker>& waker) EXCLUDES(mutex_);

  // Of the granules of a published range. The error if the fill failed.
  Result<std::vector<std::uint32_t>> ChecksumsOf(std::uint32_t offset, std::uint32_t length) const
      EXCLUDES(mutex_);

  // The writer's part.
  void Advance(std::uint32_t filled, bool publish) EXCLUDES(mutex_);
  void AdvanceVerified(std::span<const std::uint32_t> checksums) EXCLUDES(mutex_);
  // All of it, computed or given. CHECKs that there is one for every granule.
  std::vector<std::uint32_t> AllChecksums() const EXCLUDES(mutex_);
  void MarkComplete() EXCLUDES(mutex_);
  void MarkFailed(Error error) EXCLUDES(mutex_);

  // Whether the bytes are those of the checksums. The slot must be pinned. Compares every time.
  bool IsIntact() EXCLUDES(mutex_);
  // As IsIntact, but a block that was filled here, or found intact before, is taken to be so. Waits
  // for whoever compares already, so that many who ask at once cost one comparison.
  bool VerifyOnce() EXCLUDES(mutex_, verifying_);
  bool verified() const { return verified_.load(std::memory_order_acquire); }

  // Whether the slot is this block's and its bytes are its own. Guarded by the tier's mutex, but
  // for the destructor, which is alone.
  bool holds_slot = true;
  // Whether new requests find it. Guarded by the tier's mutex.
  bool indexed = true;
  // Somebody else took its header, and perhaps the page it was on: it is not erased then. Guarded
  // by the tier's mutex.
  bool header_gone = false;
  // Handles that were given out while it was filling and have not leased all of it yet, and whether
  // it is pinned for them. Guarded by the tier's mutex.
  std::uint32_t waiting = 0;
  bool kept_for_waiting = false;

 private:
  void Publish(std::span<const std::uint32_t> checksums, bool publish) EXCLUDES(mutex_);
  void WakeAll() EXCLUDES(mutex_);
  std::uint32_t BytesOf(std::size_t granules) const;

  const BlockKey key_;
  const BlockPlace place_;
  const std::weak_ptr<TierState> tier_;
  std::uint32_t granules_done_ = 0;  // The writer's.
  std::atomic<bool> verified_ = true;

  Mutex verifying_;  // Taken before mutex_.
  bool damaged_ GUARDED_BY(verifying_) = false;

  mutable Mutex mutex_;
  BlockHandle::State state_ GUARDED_BY(mutex_) = BlockHandle::State::kFilling;
  std::uint32_t ready_bytes_ GUARDED_BY(mutex_) = 0;
  std::vector<std::uint32_t> checksums_ GUARDED_BY(mutex_);
  std::optional<Error> error_ GUARDED_BY(mutex_);
  // Weak: a connection that ended without unsubscribing is skipped.
  std::vector<std::weak_ptr<Waker>> wakers_ GUARDED_BY(mutex_);
};

// Keeps a block that was just filled until a handle that waited for it has leased it or goes.
//
// Thread safety: safe.
class WaitingShare {
 public:
  // The tier has counted it in `waiting`.
  explicit WaitingShare(std::shared_ptr<TierBlock> block) : block_(std::move(block)) {}
  ~WaitingShare() { End(); }
  WaitingShare(const WaitingShare&) = delete;
  WaitingShare& operator=(const WaitingShare&) = delete;

  void End();

 private:
  const std::shared_ptr<TierBlock> block_;
  std::atomic<bool> ended_ = false;
};

}  // namespace forebay
