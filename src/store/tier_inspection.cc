// TierState's part for what somebody else does to its files while it runs: pages punched out, files
// cut short, removed or overwritten. What is held must be true without reading a byte of it, so the
// kernel is asked what it has allocated, and the headers are read again when their file changed.
#include <algorithm>
#include <utility>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/units.h"
#include "base/wall_clock.h"
#include "store/slot_header.h"
#include "store/tier_state.h"

namespace forebay {
namespace {

// Headers that are read again in one inspection though no page is missing: growth changes the
// files too. A segment of 1 GiB has 2 to 4 MiB of index, which take a millisecond.
constexpr std::size_t kIndexReadsMax = 8;

// The kernel's clock for files ticks every 1 to 10 ms: what changed later than this before a look
// may have changed after it with the same time.
constexpr std::int64_t kClockTickNs = 20'000'000;

// Given up before others are let at the mutex: about 0.2 ms.
constexpr std::size_t kBlocksPerLock = 256;

// Whether the range has a part in one of the holes, which are in ascending order.
bool Overlaps(const std::vector<FileRange>& holes, std::uint64_t begin, std::uint64_t length) {
  const auto after = std::ranges::lower_bound(holes, begin + length, {}, &FileRange::offset);
  if (after == holes.begin()) return false;
  const FileRange& hole = *std::prev(after);
  return hole.offset + hole.length > begin;
}

bool HasHeader(const TierBlock& block, const Segment& segment, std::span<const std::byte> index) {
  const FileRange range =
      segment.EntryRange(block.place().file_offset,
                         block.place().entry.size() / kIndexBytesPerGranule * kGranuleBytes);
  const Result<SlotHeader> header = DecodeSlotHeader(index.subspan(range.offset, range.length));
  return header.ok() && header.value().key == block.key();
}

}  // namespace

bool TierState::HasPages(const TierBlock& block) const {
  return SegmentOf(block.place().slot.chunk)
      .HasPages({.offset = block.place().file_offset, .length = block.length()});
}

// For who is about to touch the block's bytes: a page that is missing may be a SIGBUS.
Status TierState::EnsurePages(const TierBlock& block, bool fresh) {
  if (HasPages(block)) return {};
  MutexLock inspecting(inspecting_);
  const std::uint32_t chunk = block.place().slot.chunk;
  Losses losses;
  InspectSegment(chunk / layout_.chunks_per_segment, true, fresh ? &block : nullptr, losses);
  ReportLosses(losses);
  if (SegmentOf(chunk).has_pages(chunk % layout_.chunks_per_segment)) return {};
  return Error(Code::kOverloaded, "tier: somebody took the memory of the block's slot");
}

void TierState::Inspect() {
  MutexLock inspecting(inspecting_);
  InspectAll();
}

void TierState::InspectAll() {
  Losses losses;
  std::size_t index_reads = 0;
  const std::size_t first = inspect_first_;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const std::size_t number = (first + i) % segments_.size();
    const SegmentLook look = segments_[number]->Look();
    const bool pages = !look.whole || !look.full;
    const bool index = look.index_changed_ns != index_seen_ns_[number];
    if (!pages && (!index || index_reads == kIndexReadsMax)) continue;
    if (!pages && ++index_reads == kIndexReadsMax) inspect_first_ = number + 1;
    InspectSegment(number, pages, nullptr, losses);
    const bool settled = look.index_changed_ns < WallClockNanoseconds() - kClockTickNs;
    index_seen_ns_[number] = settled ? look.index_changed_ns : 0;
  }
  ReportLosses(losses);
}

// Blocks that are found now and hold their slot to the end had pages and a header all the time, if
// nobody took them.
void TierState::InspectSegment(std::size_t number, bool pages, const TierBlock* unwritten,
                               Losses& losses) {
  Segment& segment = *segments_[number];
  std::vector<Watched> blocks = WatchedIn(number);
  if (pages) {
    // First: what is missing is missing from the files as they are then.
    if (Status mended = segment.Mend(); !mended.ok()) losses.error = std::move(mended).error();
  }
  const std::vector<FileRange> holes = pages ? segment.Holes() : std::vector<FileRange>();
  const std::vector<std::byte> index = segment.CopyIndex();
  std::erase_if(blocks, [&](Watched& watched) {
    const TierBlock& block = *watched.block;
    if (&block == unwritten) return true;
    watched.header_gone = watched.complete && !HasHeader(block, segment, index);
    return !watched.header_gone && !Overlaps(holes, block.place().file_offset, block.length());
  });
  // Before a header is erased through the mapping.
  if (pages) Refill(number, losses);
  GiveUp(blocks, losses);
}

std::vector<TierState::Watched> TierState::WatchedIn(std::size_t segment) const {
  std::vector<Watched> watched;
  const std::uint64_t first = segment * layout_.chunks_per_segment;
  for (std::uint64_t i = 0; i < segments_[segment]->layout().chunks; ++i) {
    const auto chunk = static_cast<std::uint32_t>(first + i);
    MutexLock lock(mutex_);
    if (chunk >= slots_.map().chunk_count()) break;
    for (const TierBlock* block : slots_.BlocksIn(chunk)) {
      if (!block->indexed) continue;  // Nobody is told that it is held.
      watched.push_back(
          {.block = index_.Find(block->key()), .complete = eviction_.Contains(block->key())});
    }
  }
  return watched;
}

void TierState::Refill(std::size_t segment, Losses& losses) {
  Segment& files = *segments_[segment];
  const std::uint64_t first = segment * layout_.chunks_per_segment;
  for (std::uint64_t i = 0; i < files.layout().chunks; ++i) {
    if (!files.has_pages(i)) continue;
    const Status refilled = files.Refill(i);
    if (refilled.ok()) continue;
    losses.error = refilled.error();
    const auto chunk = static_cast<std::uint32_t>(first + i);
    MutexLock lock(mutex_);
    if (slots_.map().IsWithdrawn(chunk)) continue;  // It is being given pages.
    if (slots_.map().IsWhole(chunk)) {
      slots_.Withdraw(chunk);
      missing_.push_back(chunk);
    } else {
      slots_.Soil(chunk);
    }
    NoteRefusal(refilled.error());
  }
}

void TierState::GiveUp(std::vector<Watched>& lost, Losses& losses) {
  for (std::size_t at = 0; at < lost.size();) {
    MutexLock lock(mutex_);
    const std::size_t end = std::min(lost.size(), at + kBlocksPerLock);
    for (; at < end; ++at) {
      TierBlock& block = *lost[at].block;
      if (!block.holds_slot || !block.indexed) continue;
      block.header_gone = lost[at].header_gone;
      const std::uint32_t bytes = DropLocked(block.key(), Reason::kLost);
      losses.blocks += bytes > 0 ? 1 : 0;
      losses.bytes += bytes;
    }
  }
}

void TierState::ReportLosses(const Losses& losses) {
  if (losses.blocks > 0) {
    Log(Level::kWarning, "tier: somebody else took blocks from its files",
        {{"directory", options_.directory}, {"blocks", losses.blocks}, {"bytes", losses.bytes}});
  }
  const std::string damage = losses.error ? losses.error->message() : "";
  if (std::exchange(logged_damage_, damage) == damage || damage.empty()) return;
  Log(Level::kWarning, "tier: its files cannot be repaired",
      {{"directory", options_.directory}, {"error", damage}});
}

}  // namespace forebay
