// MemoryTier: the blocks that a worker holds, in tmpfs segments carved into slots.
//
// The blocks survive the process: who comes after a crash adopts them. An orderly end removes them.
//
// Invariants: st_blocks of everything in the tier's directory never exceed the quota; a slot is
// overwritten in place only when every send from it was acknowledged, else its chunk's pages are
// punched out first; bytes are published only with their checksums; a block being served or filled
// is never evicted; an adopted block's bytes are compared before they are served. On-disk layout:
// docs/formats/tier.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "core/ids.h"
#include "io/waker.h"

namespace forebay {

struct TierOptions {
  // Where segments live. With `own_mount` a tmpfs (huge=within_size where blocks are a multiple of
  // 2 MiB, else small pages) is mounted there, if permitted; otherwise the directory is used as it
  // is and must be on a tmpfs (or a disk: the same code, slower).
  std::string directory;
  bool own_mount = true;
  std::uint64_t quota_bytes = std::uint64_t{1} << 30;  // Hard limit on allocated bytes.
  std::uint32_t block_bytes = 4u << 20;
  // Eviction starts above `high` and ends at `low`, as parts of the slots' bytes.
  double high = 0.95;
  double low = 0.90;
};

class MemoryTier;
class TierBlock;  // Private to the .cc files: one block's state, shared by the index and its users.
class TierState;  // Likewise: the tier's.
class TierFiles;  // The system calls, for tests that make them fail.
class WaitingShare;

// A send from a block, for sendfile(2). While it lives and Sent() was not called the block stays.
// After Sent() the block may be evicted, but its slot is not overwritten in place before
// Acknowledge(). Destroyed without Acknowledge(): the slot stays dirty until its pages are punched.
// Acknowledge() without Sent(): nothing was given to a socket.
//
// Thread safety: one thread at a time.
class SendLease {
 public:
  SendLease(SendLease&&) noexcept;
  SendLease& operator=(SendLease&&) noexcept;
  ~SendLease();

  int fd() const;                                       // Of the segment.
  std::uint64_t file_offset() const;                    // Of the run's first byte in the segment.
  std::uint32_t length() const;                         // Bytes of the run.
  const std::vector<std::uint32_t>& checksums() const;  // One a granule of the run.

  void Sent();
  void Acknowledge();

 private:
  friend class BlockHandle;
  struct State;
  explicit SendLease(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What a reader of a block sees. Cheap to copy. Does not keep the block in the tier, but for one
// thing: a block that was filling when FindOrBegin gave this handle is not evicted between its
// completion and the lease of its last byte by a copy of this handle, or the end of them all. So
// nobody waits for a block that is gone when it is there. Half of the tier's bytes may be kept like
// that, or one block.
//
// Thread safety: safe.
class BlockHandle {
 public:
  enum class State { kFilling, kComplete, kFailed };

  State state() const;
  std::uint32_t length() const;       // Bytes of the whole block.
  std::uint32_t ready_bytes() const;  // Published so far, from the block's start.
  Error error() const;                // Why it failed. Only in kFailed.

  // `waker` is woken at every change of ready_bytes or state until the subscription's end.
  void Subscribe(const std::shared_ptr<Waker>& waker) const;
  void Unsubscribe(const std::shared_ptr<Waker>& waker) const;

  // A lease on [offset, offset + length): granule-aligned start, end aligned or the block's end,
  // all of it published (CHECKed). kNotHere if the block was evicted meanwhile; error() if it
  // failed.
  Result<SendLease> Lease(std::uint32_t offset, std::uint32_t length) const;

 private:
  friend class MemoryTier;
  friend class BlockWriter;
  BlockHandle(std::shared_ptr<TierBlock> block, bool waiting);
  std::shared_ptr<TierBlock> block_;
  std::shared_ptr<WaitingShare> share_;  // Null if nobody had to wait.
};

// Fills one block. Exactly one exists per filling block. Destroyed before Complete: the fill
// failed.
//
// Thread safety: one thread at a time.
class BlockWriter {
 public:
  BlockWriter(BlockWriter&&) noexcept;
  BlockWriter& operator=(BlockWriter&&) noexcept;
  ~BlockWriter();

  // The block's bytes in the mapping, all of its length.
  std::span<std::byte> bytes();

  // bytes()[0, filled) are written and will not change: computes checksums of the whole granules
  // among them (the last one when filled is the length) and, with `publish`, shows them to readers.
  void Advance(std::uint32_t filled, bool publish);

  // As Advance with publish, for bytes that arrived with verified checksums of whole granules,
  // which are not computed again. Runs arrive in order.
  void AdvanceVerified(std::span<const std::uint32_t> checksums);

  // The block is whole (CHECKed) and published. Not `keep`: served to those who hold a handle, then
  // dropped; new requests do not find it.
  void Complete(bool keep);

  void Fail(Error error);

 private:
  friend class MemoryTier;
  explicit BlockWriter(std::shared_ptr<TierBlock> block);
  std::shared_ptr<TierBlock> block_;
};

struct TierUsage {
  // The quota, of which headers take a part; what slots may take if the file system refused more.
  std::uint64_t capacity_bytes = 0;
  std::uint64_t allocated_bytes = 0;  // st_blocks of the tier's files.
  std::uint64_t used_bytes = 0;       // Payload of complete blocks.
  std::uint64_t blocks = 0;           // Complete blocks.
};

// What a tier holds of a dataset.
struct DatasetUsage {
  std::uint64_t bytes = 0;   // Payload of complete blocks.
  std::uint64_t blocks = 0;  // Complete blocks.
  // Grows whenever a block of the dataset appears or goes, also across the tier's restarts: whoever
  // saw this number before need not look again. Below 2^53.
  std::uint64_t changes = 0;
};

// What Create found of a predecessor.
struct TierAdoption {
  std::uint64_t blocks = 0;  // Adopted, and their payload.
  std::uint64_t bytes = 0;
  // Slot headers whose blocks are lost: damaged, of another version or block size, of a block that
  // was adopted already, and of a chunk that the file system has no room for.
  std::uint64_t damaged = 0;
  std::uint64_t incompatible = 0;
  std::uint64_t duplicate = 0;
  std::uint64_t no_room = 0;
  std::uint64_t files_removed = 0;  // Beyond the quota, cut short, or of another layout.
};

// Thread safety: safe. No call keeps the others waiting for longer than some hundred microseconds,
// but Usage: a millisecond for 10,000 datasets.
class MemoryTier {
 public:
  // Makes `options.directory`, or takes over what a crashed predecessor left there: its mount, and
  // every block that fits `options`. Adopted blocks are there at once, without having been read:
  // 2 GiB take below 0.2 s (docs/benchmarks.md).
  // Errors: kInvalidArgument if the quota holds no block, naming the least that would do;
  // or if the directory holds anything else; kUnavailable if another worker uses it, or the file
  // system has no room for a first block (with room for some, the tier is smaller); kDenied.
  static Result<std::unique_ptr<MemoryTier>> Create(const TierOptions& options);
  static Result<std::unique_ptr<MemoryTier>> Create(const TierOptions& options,
                                                    std::shared_ptr<TierFiles> files);

  // Removes everything it made, also its own mount. No lease or writer may live.
  ~MemoryTier();

  // The block if it is held or being filled, which counts as a read of it for eviction. An adopted
  // block is compared as by FindOrBegin.
  std::optional<BlockHandle> Find(const BlockKey& key);

  struct Admission {
    BlockHandle handle;
    std::optional<BlockWriter> writer;  // Set for exactly one caller: it must fill.
  };
  // The block if it is held or being filled, which counts as a read of it for eviction; else begins
  // a filling block of `length` bytes (1 to block_bytes), evicting if it must.
  // Errors: kOverloaded if everything is being served or filled. Does not block on I/O but for
  // growing the tier by a chunk. The first call for an adopted block compares its bytes with its
  // checksums (4 MiB take 0.2 to 0.5 ms); if they differ it is dropped, and begun anew.
  Result<Admission> FindOrBegin(const BlockKey& key, std::uint32_t length);

  // Compares the block's bytes with its checksums. kCorrupt: they differed; the block was dropped,
  // so the next FindOrBegin fills it again. kNotHere: nothing to compare.
  Status Recheck(const BlockKey& key);

  // Of the blocks 0 to `blocks` - 1 of a version of a file, which are held: complete, and not known
  // to be damaged. Cost: that of the file's held blocks.
  std::vector<bool> Held(const FileKey& file, std::uint32_t blocks) const;

  // As Held, but compares the bytes of each; those that differ are dropped and do not count. Stops
  // within a block's comparison. Errors: kDeadlineExceeded, kCancelled.
  Result<std::vector<bool>> Verify(const FileKey& file, std::uint32_t blocks, Deadline deadline,
                                   const std::stop_token& stop);

  // Forgets every block whose key `matches`, also those being filled; readers keep what they lease,
  // and what they wait for. Payload of the complete ones. `matches` is called without a lock, once
  // for each block of the tier; one that comes meanwhile may be missed.
  std::uint64_t DropIf(const std::function<bool(const BlockKey&)>& matches);

  // Looks whether somebody else took pages or headers from the tier's files (punched them out, cut
  // the files short, removed or overwrote them), gives up exactly the blocks that lost some, and
  // gives the files their pages back. Such a block may still be sent before that: whoever receives
  // it finds out, and asks for a recheck. The tier looks on its own, every 500 ms.
  // Not noticed: pages that were overwritten, and a part of a huge page that the kernel zeroes in
  // place; only the checksums tell.
  // Cost: two system calls a segment while nobody changed its files. One call at a time.
  void Inspect();

  TierUsage usage() const;
  // Of every dataset of which there is a complete block. Cost: that of the datasets.
  std::map<DatasetUid, DatasetUsage> Usage() const;
  const TierAdoption& adoption() const;

 private:
  explicit MemoryTier(std::shared_ptr<TierState> state);
  std::shared_ptr<TierState> state_;
};

// Removes what a worker that is gone for good left in its tier's directory: its segments, its
// mount, and the directory if nothing else is in it. Nothing there is fine. Errors: kUnavailable: a
// worker uses it; kDenied, kInternal.
Status RemoveTier(const std::string& directory);

}  // namespace forebay
