// HotFiles: how many holders a file has now.
//
// With one holder a block, hash imbalance and convoys cap a burst far below line rate; so a file
// that many read at once gets more holders, and fewer again when they are gone. A reply carries the
// number; a client chooses among that many holders.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "base/deadline.h"
#include "core/ids.h"
#include "core/recent_map.h"

namespace forebay {

// With as many requests waiting, or more, a worker sends a reader on to the file's other holders;
// the reader comes back and insists if those are no better off. `block_bytes` is over 0.
std::uint32_t QueueShort(std::uint32_t block_bytes);

struct HotFilesOptions {
  std::uint32_t members = 1;         // Of the ring.
  std::uint64_t capacity_bytes = 0;  // Of this worker's tier.
  std::chrono::milliseconds window{4'000};
  std::size_t files_max = 4096;
};

// A file with d distinct readers in the last window wants 1 + d / 4 holders; with kReadersMax or
// more, every member. That drops at most by half in half a window, and is forgotten with the file
// when nobody read it for a window. All hot files get as many as they want up to one common number:
// as often as all their bytes fit into half of the members' memory; two, if they fit twice at all.
//
// Thread safety: none; the worker guards it. Cost: linear in kReadersMax. Memory: 1 KiB a hot file.
class HotFiles {
 public:
  // Distinct readers that are told apart for one file.
  static constexpr std::size_t kReadersMax = 96;

  explicit HotFiles(const HotFilesOptions& options);

  // Counts one read of a block of `file` (`file_bytes` long) by `reader`, a number that a client
  // keeps for its life, and returns the count of holders, 1 to members. `now` never goes back.
  std::uint32_t Read(const FileKey& file, std::uint64_t reader, std::uint64_t file_bytes,
                     Clock::time_point now);

  // The ring changed.
  void SetMembers(std::uint32_t members);
  void SetCapacity(std::uint64_t capacity_bytes) { options_.capacity_bytes = capacity_bytes; }

  std::size_t files() const { return files_.size(); }
  // Of the files that want more than one holder, each counted once.
  std::uint64_t hot_bytes() const { return hot_bytes_; }

 private:
  struct Reader {
    std::uint32_t id = 0;    // 32 bits of the reader's number: few enough to be distinct.
    std::uint32_t half = 0;  // The half window of its last read.
  };
  struct File {
    std::vector<Reader> readers;
    std::uint32_t used = 0;       // The half window of its last read.
    std::uint32_t wanted = 1;     // Holders.
    std::uint32_t lowered = 0;    // The half window in which `wanted` last dropped.
    std::uint64_t hot_bytes = 0;  // Its part of hot_bytes_.
  };

  static std::size_t CountReaders(File& file, std::uint64_t reader, std::uint32_t half);
  static void Want(File& file, std::uint32_t wanted, std::uint32_t half);
  std::uint64_t whole() const { return options_.capacity_bytes * options_.members; }
  std::uint32_t Affordable() const;

  HotFilesOptions options_;
  RecentMap<FileKey, File, KeyHash> files_;
  std::uint64_t hot_bytes_ = 0;
};

}  // namespace forebay
