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

struct HotFilesOptions {
  std::uint32_t members = 1;         // Of the ring.
  std::uint64_t capacity_bytes = 0;  // Of this worker's tier.
  std::chrono::milliseconds window{10'000};
  std::size_t files_max = 4096;
};

// A file with d distinct readers in the last window has 1 + d / 4 holders; with kReadersMax or
// more, every member. The count drops at most by half in half a window. What this worker would hold
// of hot files by that (bytes * holders / members of each) stays within 65 % of its capacity; a
// second holder is given up to 100 %.
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
  // Bytes * holders, over the files with more than one holder.
  std::uint64_t hot_bytes() const { return hot_bytes_; }

 private:
  struct Reader {
    std::uint32_t id = 0;    // 32 bits of the reader's number: few enough to be distinct.
    std::uint32_t half = 0;  // The half window of its last read.
  };
  struct File {
    std::vector<Reader> readers;
    std::uint32_t holders = 1;
    std::uint32_t lowered = 0;  // The half window in which `holders` last dropped.
    std::uint64_t bytes = 0;
  };

  static std::size_t CountReaders(File& file, std::uint64_t reader, std::uint32_t half);
  std::uint32_t Affordable(const File& file, std::uint32_t wanted) const;
  static std::uint64_t HotBytes(const File& file) {
    return file.holders > 1 ? file.bytes * file.holders : 0;
  }

  HotFilesOptions options_;
  RecentMap<FileKey, File, KeyHash> files_;
  std::uint64_t hot_bytes_ = 0;
};

}  // namespace forebay
