// Segment: a data file of whole chunks and its index of slot headers, both mapped once.
//
// Invariant: the mapping of a chunk is touched only between a successful Provide and the next one:
// a page that was not allocated before is a SIGBUS when the file system is full. Whoever else may
// write the files can break that; Look, HasPages and Mend notice and repair it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/unique_fd.h"
#include "store/tier_files.h"

namespace forebay {

struct SegmentLayout {
  std::uint64_t chunk_bytes = 0;
  std::uint64_t index_bytes = 0;  // Of each chunk, in the index file.
  std::uint64_t chunks = 0;
};

// What the kernel says of a segment's files.
struct SegmentLook {
  // Both have their size and a name.
  bool whole = true;
  // Of the pages of the chunks that have some, none is missing by the count of both files. A huge
  // page in the index may hide that one is: `index_changed` tells then.
  bool full = true;
  // When anybody last changed the index but through a mapping, in nanoseconds since 1970.
  std::int64_t index_changed_ns = 0;
};

// Thread safety: safe for different chunks.
class Segment {
 public:
  // Makes `stem`.data and `stem`.index at their full size, without pages.
  static Result<std::unique_ptr<Segment>> Create(TierFiles& files, const std::string& stem,
                                                 const SegmentLayout& layout);
  // Takes over both from a predecessor whose segment was laid out the same way, but perhaps longer
  // or shorter: they get their full size, and lose the chunks beyond it.
  //
  // Errors: kInvalidArgument: they are not both there, or not such files; those of TierFiles. Both
  // are removed then.
  static Result<std::unique_ptr<Segment>> Adopt(TierFiles& files, const std::string& stem,
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

  // What a predecessor wrote into the index, of the chunks that it had and this segment has.
  // Holes read as zeroes and get no pages. Only of an adopted segment.
  Result<std::vector<std::byte>> ReadIndex() const;
  // The adopted chunk stays, with this index. Pages that somebody took from it are zeroes now.
  Status Keep(std::uint64_t chunk, std::span<const std::byte> index);
  // Takes the chunk's pages away.
  Status Discard(std::uint64_t chunk);

  int fd() const { return data_.fd.get(); }
  const SegmentLayout& layout() const { return layout_; }
  std::span<std::byte> bytes(std::uint64_t offset, std::uint64_t length) const {
    return data_.mapping.subspan(offset, length);
  }
  // Where the header of the slot at `offset` of the data file goes; of `slot_bytes`.
  std::span<std::byte> entry(std::uint64_t offset, std::uint64_t slot_bytes) const;
  // As entry, in the index file.
  FileRange EntryRange(std::uint64_t offset, std::uint64_t slot_bytes) const;

  // st_blocks of both files, in bytes.
  std::uint64_t allocated_bytes() const;

  // Cost: two fstat(2), a microsecond.
  SegmentLook Look() const;
  // Whether the range of the data file lies within it and has all its pages, so that its mapping
  // can be touched. Cost: a lookup for each of its pages, huge or small.
  bool HasPages(FileRange range) const;
  // The ranges of the data file that have no pages, ascending, also of chunks that need none.
  // Cost: 10 ms for a GiB of small pages.
  std::vector<FileRange> Holes() const;
  // The index file as it is, with zeroes for what is missing. Not through the mapping.
  std::vector<std::byte> CopyIndex() const;
  // Gives files that were cut short their size again, and makes those anew that were removed, under
  // the same descriptor and at the same address: their pages are missing. One call at a time.
  Status Mend();
  // Allocates those pages that the chunk lacks but should have. On failure it counts as one that
  // has none.
  Status Refill(std::uint64_t chunk);
  bool has_pages(std::uint64_t chunk) const { return with_pages_[chunk]; }

 private:
  struct File {
    std::string path;
    UniqueFd fd;
    std::span<std::byte> mapping;
  };

  Segment(TierFiles& files, const SegmentLayout& layout)
      : files_(files), layout_(layout), with_pages_(layout.chunks) {}
  Status Make(const std::string& path, std::uint64_t bytes, File& file);
  Status Stretch(std::uint64_t bytes, File& file);
  Status Find(const std::string& stem);
  FileRange DataOf(std::uint64_t chunk) const;
  FileRange IndexOf(std::uint64_t chunk) const;
  Status MendFile(File& file);
  void SetHasPages(std::uint64_t chunk, bool has);
  static void Remove(File& file);

  TierFiles& files_;
  const SegmentLayout layout_;
  std::uint64_t found_chunks_ = 0;  // Of the predecessor's that this segment has too.
  File data_;
  File index_;
  std::vector<std::atomic<bool>> with_pages_;  // By chunk: provided or kept.
  std::atomic<std::uint64_t> chunks_with_pages_ = 0;
};

}  // namespace forebay
