// WholeFiles: a tier of whole files, for whoever on this host reads them by a descriptor.
//
// Each is a file of a tmpfs, filled a chunk at a time. Once all of it is there and was verified it
// is whole.
//
// Invariants: bytes of a ready chunk never change; a file that anybody has open is never evicted
// (the kernel is asked who has); pages never exceed the quota.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/rng.h"
#include "core/eviction.h"
#include "core/ids.h"
#include "io/unique_fd.h"
#include "store/tier_directory.h"
#include "store/tier_files.h"

namespace forebay {

struct WholeFilesOptions {
  std::string directory;
  bool own_mount = true;
  std::uint64_t quota_bytes = 0;         // At least one chunk.
  std::size_t files_max = 1u << 16;      // Each takes a descriptor.
  std::uint32_t chunk_bytes = 2u << 20;  // A multiple of a page; of a huge page if those are used.
};

// One file of the tier. Its content belongs to WholeFiles.
class WholeFile {
 public:
  const FileKey key;
  const std::uint64_t size;         // Bytes, > 0.
  const std::uint64_t incarnation;  // Of this file alone, whatever its key.
  const std::uint32_t chunks;

  ~WholeFile();
  WholeFile(const WholeFile&) = delete;
  WholeFile& operator=(const WholeFile&) = delete;

  bool is_whole() const { return whole_; }

 private:
  friend class WholeFiles;
  enum class ChunkState : std::uint8_t { kEmpty, kFilling, kReady };
  struct Chunk {
    ChunkState state = ChunkState::kEmpty;
    bool touched = false;
    bool allocated = false;  // Has pages, and is charged, though it is empty.
    std::uint32_t checksum = 0;
  };

  WholeFile(const FileKey& own_key, std::uint64_t own_size, std::uint64_t own_incarnation,
            std::uint32_t own_chunks)
      : key(own_key), size(own_size), incarnation(own_incarnation), chunks(own_chunks) {}

  std::string path_;
  UniqueFd fd_;  // For reading and writing.
  std::span<std::byte> mapping_;
  std::atomic<bool> whole_ = false;
  // Guarded by the tier's mutex.
  std::vector<Chunk> chunk_;
  std::uint32_t ready_ = 0;
  std::uint32_t filling_ = 0;
  std::uint64_t charged_bytes_ = 0;
  bool gone_ = false;  // Evicted or dropped; whoever has it open reads on.
};

// Thread safety: safe. Memory: 16 bytes a chunk, 500 a file.
class WholeFiles {
 public:
  using FileRef = std::shared_ptr<WholeFile>;

  // What a predecessor left is removed; what of it is still open counts until it is not.
  // Errors: those of TierDirectory::Open; kInvalidArgument: the quota.
  static Result<std::unique_ptr<WholeFiles>> Open(std::shared_ptr<TierFiles> files,
                                                  const WholeFilesOptions& options);
  // Removes all files and the mount. What is open is readable until it is closed.
  ~WholeFiles();

  // The file of `key`, empty if it was not there, and a descriptor of it that can only read. A use,
  // for the eviction. Others are evicted for it if there are too many. Errors: kOverloaded: larger
  // than the quota, or all of too many are open; kUnavailable: no descriptors.
  struct Opened {
    FileRef file;
    UniqueFd reader;
  };
  Result<Opened> OpenFile(const FileKey& key, std::uint64_t size) EXCLUDES(mutex_);
  // Null: it is gone.
  FileRef Find(const FileKey& key, std::uint64_t incarnation) const EXCLUDES(mutex_);

  // Begins to fill a chunk, or says why not.
  enum class Claim : std::uint8_t { kReady, kFilling, kOurs };
  struct Claimed {
    Claim claim = Claim::kReady;
    std::span<std::byte> bytes;  // If it is ours: to be filled, and then Commit or Abandon.
  };
  // Others are evicted for it. Errors: kOverloaded: all that could go is open, or the file system
  // is full; kUnavailable: the file is gone.
  Result<Claimed> ClaimChunk(const FileRef& file, std::uint32_t chunk) EXCLUDES(mutex_);
  // `checksum`: the CRC32C of the bytes that were to be there. Returns whether all chunks are there
  // now; the file must then be sealed, by the caller alone.
  bool Commit(const FileRef& file, std::uint32_t chunk, std::uint32_t checksum) EXCLUDES(mutex_);
  void Abandon(const FileRef& file, std::uint32_t chunk) EXCLUDES(mutex_);
  // Verifies all of it, and makes it whole. kCorrupt: it is dropped; whoever has it open reads on.
  // Cost: a pass over its bytes, 10 GB/s.
  Status Seal(const FileRef& file) EXCLUDES(mutex_);
  // Waits while somebody fills the chunk, until `until` or `stop`. Whether it is ready.
  bool AwaitChunk(const FileRef& file, std::uint32_t chunk, Deadline until,
                  const std::stop_token& stop) EXCLUDES(mutex_);
  // Notes that the chunk was asked for. Whether it was before.
  bool Touch(const FileRef& file, std::uint32_t chunk) EXCLUDES(mutex_);
  // How many chunks are ready, one after the other, from `chunk` on.
  std::uint32_t ReadyFrom(const FileRef& file, std::uint32_t chunk) const EXCLUDES(mutex_);
  std::uint64_t ChunkBytes(const WholeFile& file, std::uint32_t chunk) const;

  // Reads all of a whole file again. kCorrupt: it does not match; it is dropped.
  Status Verify(const FileRef& file) EXCLUDES(mutex_);
  // What there is now, by key and incarnation: who held the files would keep them from going.
  std::vector<std::pair<FileKey, std::uint64_t>> Files() const EXCLUDES(mutex_);

  struct Figures {
    std::uint64_t capacity_bytes = 0;
    std::uint64_t used_bytes = 0;
    std::uint64_t files = 0;
    std::uint64_t whole_files = 0;
    std::uint64_t evictions = 0;
  };
  Figures figures() const EXCLUDES(mutex_);
  std::uint32_t chunk_bytes() const { return options_.chunk_bytes; }

 private:
  // Removed, by us or a predecessor, while somebody has it open.
  struct Leaving {
    UniqueFd fd;
    std::uint64_t bytes = 0;
  };
  using Gone = std::vector<FileRef>;  // Let go of without the lock: freeing pages takes time.

  WholeFiles(std::shared_ptr<TierFiles> files, WholeFilesOptions options);

  void SweepPredecessor();
  bool MayEvict(const WholeFile& file) const REQUIRES(mutex_);
  // Evicts a file that is not open. False: all but `kept` are.
  bool EvictOne(const WholeFile* kept, Gone& gone) REQUIRES(mutex_);
  bool MakeRoom(const WholeFile& filler, std::uint64_t bytes, Gone& gone) REQUIRES(mutex_);
  void Remove(const FileRef& file, Removal why, Gone& gone) REQUIRES(mutex_);
  bool Matches(const WholeFile& file, std::span<const std::byte> bytes,
               const std::vector<WholeFile::Chunk>& chunks) const;
  std::span<std::byte> BytesOf(const WholeFile& file, std::uint32_t chunk) const;
  Result<FileRef> Create(const FileKey& key, std::uint64_t size);

  const std::shared_ptr<TierFiles> files_;
  const WholeFilesOptions options_;
  std::unique_ptr<TierDirectory> directory_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::unordered_map<FileKey, FileRef, KeyHash> by_key_ GUARDED_BY(mutex_);
  Eviction eviction_ GUARDED_BY(mutex_);  // Files as blocks of index 0, and pages as bytes.
  std::vector<Leaving> leaving_ GUARDED_BY(mutex_);
  std::uint64_t used_bytes_ GUARDED_BY(mutex_) = 0;
  std::uint64_t evictions_ GUARDED_BY(mutex_) = 0;
  Rng numbers_ GUARDED_BY(mutex_);
};

}  // namespace forebay
