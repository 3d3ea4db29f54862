// Segment: a data file of whole chunks and its index of slot headers, both mapped once.
//
// Invariant: the mapping of a chunk is touched only between a successful Provide and the next one:
// a page that was not allocated before is a SIGBUS when the file system is full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "io/unique_fd.h"
#include "store/tier_files.h"

namespace forebay {

struct SegmentLayout {
  std::uint64_t chunk_bytes = 0;
  std::uint64_t index_bytes = 0;  // Of each chunk, in the index file.
  std::uint64_t chunks = 0;
};

// Thread safety: safe for different chunks.
class Segment {
 public:
  // Makes `stem`.data and `stem`.index at their full size, without pages.
  static Result<std::unique_ptr<Segment>> Create(TierFiles& files, const std::string& stem,
                                                 const SegmentLayout& layout);
  // Removes both.
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  // Gives the chunk new, zeroed pages; what a socket still sends keeps the old ones. On failure it
  // has none, or must be taken to have none.
  //
  // Always the whole chunk. The kernel can take a page out of a file only whole: told to punch a
  // part of a huge page that it cannot split (a socket's reference is enough for that) it zeroes
  // the part in place, and the slow reader receives zeroes.
  //
  // Cost: the pages are zeroed and mapped here, so that a fill does not wait for that.
  // 4 MiB take 0.15-0.5 ms as huge pages and 2.5 ms as small ones (Linux 6.18, best and mean,
  // memory at hand), several times that where memory must be reclaimed first.
  Status Provide(std::uint64_t chunk);

  int fd() const { return data_.fd.get(); }
  const SegmentLayout& layout() const { return layout_; }
  std::span<std::byte> bytes(std::uint64_t offset, std::uint64_t length) const {
    return data_.mapping.subspan(offset, length);
  }
  // Where the header of the slot at `offset` of the data file goes; of `slot_bytes`.
  std::span<std::byte> entry(std::uint64_t offset, std::uint64_t slot_bytes) const;

  // st_blocks of both files, in bytes.
  std::uint64_t allocated_bytes() const;

 private:
  struct File {
    std::string path;
    UniqueFd fd;
    std::span<std::byte> mapping;
  };

  Segment(TierFiles& files, const SegmentLayout& layout) : files_(files), layout_(layout) {}
  static Status Open(TierFiles& files, const std::string& path, std::uint64_t bytes, File& file);
  static void Remove(File& file);

  TierFiles& files_;
  const SegmentLayout layout_;
  File data_;
  File index_;
};

}  // namespace forebay
