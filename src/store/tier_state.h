// TierState: what the memory tier knows, behind MemoryTier and shared with its leases and blocks.
//
// Locks: one mutex for the index, the slots and the eviction order. No system call is made under
// it: a chunk that needs pages is withdrawn first, and restored when it has them. Another, taken
// before it, lets one thread at a time look after what somebody else did to the files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"
#include "core/eviction.h"
#include "core/ids.h"
#include "core/quota.h"
#include "store/block_index.h"
#include "store/memory_tier.h"
#include "store/segment.h"
#include "store/slot_table.h"
#include "store/tier_adoption.h"
#include "store/tier_block.h"

namespace forebay {

// Thread safety: safe.
class TierState : public std::enable_shared_from_this<TierState> {
 public:
  // As MemoryTier::Create.
  static Result<std::shared_ptr<TierState>> Create(const TierOptions& options,
                                                   std::shared_ptr<TierFiles> files);
  TierState(const TierState&) = delete;
  TierState& operator=(const TierState&) = delete;

  // Ends the background thread.
  void Stop() { tasks_.StopAndJoin(); }

  // As MemoryTier's.
  struct Begun {
    std::shared_ptr<TierBlock> block;
    bool fresh = false;    // The caller must fill it.
    bool waiting = false;  // Counted in the block's `waiting`.
  };
  std::optional<Begun> Find(const BlockKey& key) EXCLUDES(mutex_);
  Result<Begun> FindOrBegin(const BlockKey& key, std::uint32_t length) EXCLUDES(mutex_);
  Status Recheck(const BlockKey& key) EXCLUDES(mutex_);
  TierUsage usage() const EXCLUDES(mutex_);

  // As MemoryTier's: for those who look at what is held as a whole (tier_held.cc).
  std::vector<bool> Held(const FileKey& file, std::uint32_t blocks) const EXCLUDES(mutex_);
  Result<std::vector<bool>> Verify(const FileKey& file, std::uint32_t blocks, Deadline deadline,
                                   const std::stop_token& stop) EXCLUDES(mutex_);
  std::uint64_t DropIf(const std::function<bool(const BlockKey&)>& matches) EXCLUDES(mutex_);
  std::map<DatasetUid, DatasetUsage> Usage() const EXCLUDES(mutex_);
  const TierAdoption& adoption() const { return adoption_; }

  // As MemoryTier's (tier_inspection.cc).
  void Inspect() EXCLUDES(inspecting_, mutex_);

  // The writer is done. Readers are told afterwards, so that whoever sees the failure and asks
  // again begins anew.
  void Completed(TierBlock& block, bool keep) EXCLUDES(mutex_);
  void Failed(TierBlock& block) EXCLUDES(mutex_);
  // A handle no longer waits for the block; see WaitingShare.
  void EndWaiting(TierBlock& block) EXCLUDES(mutex_);
  // The block is being destroyed with its slot.
  void Forgotten(TierBlock& block) EXCLUDES(mutex_);

  // The lease's part; see SlotTable. Pin is false if the block lost its slot.
  bool Pin(const TierBlock& block) EXCLUDES(mutex_);
  void Unpin(SlotId slot) EXCLUDES(mutex_);
  void Sent(SlotId slot) EXCLUDES(mutex_);
  void Acknowledge(SlotId slot) EXCLUDES(mutex_);
  void AbandonPinned(SlotId slot) EXCLUDES(mutex_);
  void AbandonSent(SlotId slot) EXCLUDES(mutex_);

 private:
  // What a search for a slot does next, without the mutex.
  struct Step {
    enum class Kind { kAgain, kGrow, kRenew, kFull };
    Kind kind = Kind::kAgain;
    std::uint32_t chunk = 0;  // Withdrawn. Only in kGrow and kRenew.
  };

  TierState(const TierOptions& options, std::shared_ptr<TierFiles> files);
  Status Open();
  Status ProvideFirst() EXCLUDES(mutex_);
  void Adopt(const std::map<std::uint32_t, FoundChunk>& found) EXCLUDES(mutex_);
  void AdoptChunk(std::uint32_t number, const FoundChunk& found) REQUIRES(mutex_);
  Segment& SegmentOf(std::uint32_t chunk) const;
  BlockPlace PlaceOf(SlotId slot, std::uint32_t length) const REQUIRES(mutex_);

  Result<Begun> Search(const BlockKey& key, std::uint32_t length) EXCLUDES(mutex_);
  std::optional<Begun> FindLocked(const BlockKey& key) REQUIRES(mutex_);
  Begun Begin(const BlockKey& key, SlotId slot, std::uint32_t length) REQUIRES(mutex_);
  Step NextStep(std::uint32_t bytes, int& unusable_victims) REQUIRES(mutex_);
  Step EvictFor(std::uint32_t bytes, int& unusable_victims) REQUIRES(mutex_);

  // A complete block is compared with its checksums while it is pinned, and dropped if they differ.
  enum class Compared { kIntact, kDamaged, kGone };
  Compared Compare(TierBlock& block, bool again) EXCLUDES(mutex_);
  void Settle(TierBlock& block) REQUIRES(mutex_);
  enum class Reason { kCapacity, kWatermark, kChunk, kRecheck, kUncacheable, kAsked, kLost };
  std::uint32_t DropLocked(const BlockKey& key, Reason reason) REQUIRES(mutex_);
  void Evict(TierBlock& block, Reason reason) REQUIRES(mutex_);
  void EvictChunk(std::uint32_t chunk) REQUIRES(mutex_);
  void Remove(TierBlock& block, Removal why) REQUIRES(mutex_);
  void Release(TierBlock& block) REQUIRES(mutex_);

  // What somebody else did to the files (tier_inspection.cc).
  struct Watched {
    std::shared_ptr<TierBlock> block;
    bool complete = false;     // Then it has a header.
    bool header_gone = false;  // Found out later.
  };
  // What was lost in one inspection.
  struct Losses {
    std::uint64_t blocks = 0;
    std::uint64_t bytes = 0;
    std::optional<Error> error;  // What could not be repaired.
  };
  bool HasPages(const TierBlock& block) const;
  // `fresh`: nothing was written there yet, so nothing is lost.
  Status EnsurePages(const TierBlock& block, bool fresh) EXCLUDES(inspecting_, mutex_);
  void InspectAll() REQUIRES(inspecting_) EXCLUDES(mutex_);
  // `pages`: some may be missing. `unwritten`: a block that loses nothing with them, or null.
  void InspectSegment(std::size_t number, bool pages, const TierBlock* unwritten, Losses& losses)
      REQUIRES(inspecting_) EXCLUDES(mutex_);
  std::vector<Watched> WatchedIn(std::size_t segment) const EXCLUDES(mutex_);
  void Refill(std::size_t segment, Losses& losses) REQUIRES(inspecting_) EXCLUDES(mutex_);
  void GiveUp(std::vector<Watched>& lost, Losses& losses) EXCLUDES(mutex_);
  void ReportLosses(const Losses& losses) REQUIRES(inspecting_);

  // A chunk that the file system has to give pages first; Grow does it.
  std::optional<std::uint32_t> WithdrawForGrowth() REQUIRES(mutex_);
  Status Provide(std::uint32_t chunk) EXCLUDES(mutex_);
  Status Grow(std::uint32_t chunk) EXCLUDES(mutex_);
  void NoteRefusal(const Error& error) REQUIRES(mutex_);
  std::uint64_t CapacityBytes() const REQUIRES(mutex_);
  bool GrowthIsDue() const REQUIRES(mutex_);
  bool IsAbove(double watermark) const REQUIRES(mutex_);
  void WakeBackground() REQUIRES(mutex_);
  void RunBackground(const std::stop_token& stop) EXCLUDES(mutex_);
  void EvictTowardsLow() REQUIRES(mutex_);

  const TierOptions options_;
  const std::shared_ptr<TierFiles> files_;
  // Constant after Create:
  std::unique_ptr<TierDirectory> directory_;
  TierLayout layout_;
  TierAdoption adoption_;
  std::vector<std::unique_ptr<Segment>> segments_;  // Go before the directory.

  Mutex inspecting_;  // Taken before mutex_; held during system calls.
  // When the index of each segment was last changed, at the last look at its headers.
  std::vector<std::int64_t> index_seen_ns_ GUARDED_BY(inspecting_);
  std::size_t inspect_first_ GUARDED_BY(inspecting_) = 0;
  std::string logged_damage_ GUARDED_BY(inspecting_);

  mutable Mutex mutex_;
  CondVar provided_;  // A chunk got pages, or did not.
  CondVar wanted_;    // Work for the background.
  SlotTable slots_ GUARDED_BY(mutex_);
  Eviction eviction_ GUARDED_BY(mutex_);
  BlockIndex index_ GUARDED_BY(mutex_);
  std::vector<std::uint32_t> missing_ GUARDED_BY(mutex_);  // Withdrawn chunks without pages.
  std::uint32_t providing_ GUARDED_BY(mutex_) = 0;  // Withdrawn chunks that are getting them.
  bool refused_ GUARDED_BY(mutex_) = false;         // The file system is not asked for more.
  bool small_ GUARDED_BY(mutex_) = false;           // It had no room when it was asked last.
  std::uint64_t bytes_since_refusal_ GUARDED_BY(mutex_) = 0;
  std::optional<std::uint64_t> logged_usable_bytes_ GUARDED_BY(mutex_);
  bool background_wanted_ GUARDED_BY(mutex_) = true;
  bool lowering_ GUARDED_BY(mutex_) = false;         // Was above `high`, is not yet down to `low`.
  std::uint64_t kept_bytes_ GUARDED_BY(mutex_) = 0;  // Of slots pinned for waiting handles.
  TaskGroup tasks_;                                  // Last: joined before what it uses goes.
};

}  // namespace forebay
