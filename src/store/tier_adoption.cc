#include "store/tier_adoption.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>
#include <utility>

namespace forebay {
namespace {

std::string StemOf(std::uint64_t number) {
  return fmt::format("seg-{:04}", number);
}

// What becomes of one adopted segment.
class SegmentAdopter {
 public:
  SegmentAdopter(const TierLayout& layout, std::uint32_t block_bytes, OpenedSegments& opened)
      : layout_(layout), block_bytes_(block_bytes), opened_(opened) {}

  // `first_chunk`: the number in the tier of the segment's first chunk.
  void Adopt(Segment& segment, std::uint64_t first_chunk) {
    Result<std::vector<std::byte>> index = segment.ReadIndex();
    // Then nothing of it is known, and its chunks are given back.
    if (!index.ok()) index = std::vector<std::byte>(segment.layout().chunks * layout_.index_bytes);
    const std::uint64_t chunks = index.value().size() / layout_.index_bytes;
    for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) {
      const auto part =
          std::span(index.value()).subspan(chunk * layout_.index_bytes, layout_.index_bytes);
      AdoptChunk(segment, chunk, part, static_cast<std::uint32_t>(first_chunk + chunk));
    }
  }

 private:
  void AdoptChunk(Segment& segment, std::uint64_t chunk, std::span<std::byte> index,
                  std::uint32_t number) {
    FoundChunk found = ScanChunk(index, block_bytes_, layout_.chunk_bytes, keys_, lost_);
    TierAdoption& adoption = opened_.adoption;
    adoption.damaged = lost_.damaged;
    adoption.incompatible = lost_.incompatible;
    adoption.duplicate = lost_.duplicate;
    if (!found.blocks.empty() && segment.Keep(chunk, index).ok()) {
      adoption.blocks += found.blocks.size();
      for (const FoundBlock& block : found.blocks) adoption.bytes += block.header.length;
      opened_.chunks.emplace(number, std::move(found));
      return;
    }
    adoption.no_room += found.blocks.size();
    // A chunk that keeps its pages is punched when they are wanted; until then they count.
    [[maybe_unused]] const Status discarded = segment.Discard(chunk);
  }

  const TierLayout& layout_;
  const std::uint32_t block_bytes_;
  OpenedSegments& opened_;
  KeySet keys_;
  Unadoptable lost_;
};

}  // namespace

TierLayout LayoutFor(const TierOptions& options, const TierDirectory& directory, TierFiles& files) {
  std::uint64_t found_bytes = 0;
  if (!directory.found_files().empty()) {
    const Result<FoundFile> first =
        files.OpenFile(fmt::format("{}/{}.data", directory.path(), StemOf(0)));
    if (first.ok()) found_bytes = first.value().bytes;
  }
  return LayoutFor(options.quota_bytes, options.block_bytes, found_bytes);
}

Result<OpenedSegments> OpenSegments(TierFiles& files, const TierDirectory& directory,
                                    const TierLayout& layout, std::uint32_t block_bytes) {
  OpenedSegments opened;
  // First: their memory may be needed.
  std::set<std::string> extra = directory.found_files();
  for (std::uint64_t number = 0; number < layout.segments(); ++number) {
    for (const char* suffix : {".data", ".index"}) extra.erase(StemOf(number) + suffix);
  }
  for (const std::string& name : extra) TierFiles::RemoveFile(directory.path() + '/' + name);
  opened.adoption.files_removed = extra.size();

  SegmentAdopter adopter(layout, block_bytes, opened);
  for (std::uint64_t number = 0; number < layout.segments(); ++number) {
    const std::uint64_t first = number * layout.chunks_per_segment;
    const std::string stem = directory.path() + '/' + StemOf(number);
    const SegmentLayout wanted = {
        .chunk_bytes = layout.chunk_bytes,
        .index_bytes = layout.index_bytes,
        .chunks = std::min(layout.chunks_per_segment, layout.chunks - first)};
    std::unique_ptr<Segment> segment;
    const auto left = [&](const char* suffix) {
      return directory.found_files().contains(StemOf(number) + suffix);
    };
    if (const int files_left = left(".data") + left(".index"); files_left > 0) {
      Result<std::unique_ptr<Segment>> found = Segment::Adopt(files, stem, wanted);
      if (found.ok()) {
        segment = std::move(found).value();
        adopter.Adopt(*segment, first);
      } else {
        opened.adoption.files_removed += static_cast<std::uint64_t>(files_left);
      }
    }
    if (!segment) {
      Result<std::unique_ptr<Segment>> made = Segment::Create(files, stem, wanted);
      if (!made.ok()) return std::move(made).error();
      segment = std::move(made).value();
    }
    opened.segments.push_back(std::move(segment));
  }
  return opened;
}

}  // namespace forebay
