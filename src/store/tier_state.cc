#include "store/tier_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/units.h"
#include "store/slot_header.h"

namespace forebay {
namespace {

Counter& EvictionCounter(const char* reason) {
  return Metrics().AddCounter("forebay_evictions_total", "Blocks that the memory tier gave up.",
                              {{"reason", reason}});
}

// In the order of TierState::Reason.
const std::array<Counter*, 5> evictions = {
    &EvictionCounter("capacity"), &EvictionCounter("watermark"), &EvictionCounter("chunk"),
    &EvictionCounter("recheck"), &EvictionCounter("uncacheable")};

// Memory grows ahead of demand by this much: a burst of fills at the speed of a 10 Gbit/s link for
// 50 ms, in which the background makes 5 MB even of the slowest memory (0.1 GB/s) and usually 100.
constexpr std::uint64_t kAheadBytes = 64u << 20;

// Victims whose slots turn out dirty, before a search empties a whole chunk instead. Waiting for
// their acknowledgements would be cheaper, but a reader that never acknowledges may hold them all.
constexpr int kUnusableVictimsMax = 8;

// Blocks that the background gives up before it lets others at the mutex: about 0.2 ms.
constexpr int kEvictionsPerLock = 256;

// Steps of one search. Others may take what it found, but hardly this often.
constexpr int kStepsMax = 1000;

// tmpfs counts pages of its own; the quota is for the files.
constexpr std::uint64_t kMountSlackBytes = 1u << 20;

constexpr double kPercent = 100;
constexpr double kHalf = 0.5;

std::uint32_t Percent(double ratio) {
  return static_cast<std::uint32_t>(ratio * kPercent + kHalf);
}

SlotMapOptions MapOptions(const TierOptions& options) {
  SlotMapOptions map;
  map.block_bytes = options.block_bytes;
  return map;
}

Status Validate(const TierOptions& options) {
  const std::uint32_t block = options.block_bytes;
  if (block < kGranuleBytes || block > kHeaderLengthMax || (block & (block - 1)) != 0) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("tier: block of {} bytes: a power of two from 64 KiB to 64 MiB would do",
                    block));
  }
  if (!(options.low >= 0 && options.low <= options.high && options.high <= 1)) {
    return Error(Code::kInvalidArgument,
                 fmt::format("tier: watermarks low {} and high {}: must be 0 <= low <= high <= 1",
                             options.low, options.high));
  }
  if (ChunksFor(options.quota_bytes, block) == 0) {
    return Error(Code::kInvalidArgument,
                 fmt::format("tier: a quota of {} bytes holds no block; {} bytes would",
                             options.quota_bytes, QuotaMin(block)));
  }
  return {};
}

}  // namespace

TierState::TierState(const TierOptions& options, std::shared_ptr<TierFiles> files)
    : options_(options),
      layout_(LayoutFor(options.quota_bytes, options.block_bytes)),
      files_(std::move(files)),
      slots_(MapOptions(options)) {}

Result<std::shared_ptr<TierState>> TierState::Create(const TierOptions& options,
                                                     std::shared_ptr<TierFiles> files) {
  if (Status valid = Validate(options); !valid.ok()) return std::move(valid).error();
  std::shared_ptr<TierState> state(new TierState(options, std::move(files)));
  if (Status opened = state->Open(); !opened.ok()) return std::move(opened).error();
  TierState* raw = state.get();  // Its tasks are joined before it goes.
  state->tasks_.Run("tier", [raw](const std::stop_token& stop) { raw->RunBackground(stop); });
  return state;
}

Status TierState::Open() {
  constexpr std::uint64_t kHugePageBytes = 2u << 20;
  Result<std::unique_ptr<TierDirectory>> directory =
      TierDirectory::Open(*files_, {.path = options_.directory,
                                    .own_mount = options_.own_mount,
                                    .tmpfs = {.size_bytes = options_.quota_bytes + kMountSlackBytes,
                                              .huge = options_.block_bytes % kHugePageBytes == 0}});
  if (!directory.ok()) return std::move(directory).error();
  directory_ = std::move(directory).value();
  for (std::uint64_t number = 0; number < layout_.segments(); ++number) {
    const std::uint64_t first = number * layout_.chunks_per_segment;
    Result<std::unique_ptr<Segment>> segment =
        Segment::Create(*files_, fmt::format("{}/seg-{:04}", directory_->path(), number),
                        {.chunk_bytes = layout_.chunk_bytes,
                         .index_bytes = layout_.index_bytes,
                         .chunks = std::min(layout_.chunks_per_segment, layout_.chunks - first)});
    if (!segment.ok()) return std::move(segment).error();
    segments_.push_back(std::move(segment).value());
  }
  std::optional<std::uint32_t> chunk;
  {
    MutexLock lock(mutex_);
    chunk = WithdrawForGrowth();
  }
  if (Status provided = Provide(*chunk); !provided.ok()) {
    return std::move(provided).error().Within("tier: no room for a first block in " +
                                              options_.directory);
  }
  return {};
}

Segment& TierState::SegmentOf(std::uint32_t chunk) const {
  return *segments_[chunk / layout_.chunks_per_segment];
}

BlockPlace TierState::PlaceOf(SlotId slot, std::uint32_t length) const {
  const Segment& segment = SegmentOf(slot.chunk);
  const std::uint64_t chunk = slot.chunk % layout_.chunks_per_segment;
  const std::uint64_t offset = chunk * layout_.chunk_bytes + slots_.map().OffsetInChunk(slot);
  return {.slot = slot,
          .bytes = segment.bytes(offset, length),
          .entry = segment.entry(offset, slots_.map().SlotBytes(slot)),
          .fd = segment.fd(),
          .file_offset = offset};
}

// ---- Finding and beginning ----

std::shared_ptr<TierBlock> TierState::FindLocked(const BlockKey& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  eviction_.Touched(key);
  return found->second;
}

std::shared_ptr<TierBlock> TierState::Find(const BlockKey& key) {
  MutexLock lock(mutex_);
  return FindLocked(key);
}

Result<TierState::Begun> TierState::FindOrBegin(const BlockKey& key, std::uint32_t length) {
  CHECK(length > 0 && length <= options_.block_bytes);
  int unusable_victims = 0;
  Step step;
  for (int i = 0; i < kStepsMax && step.kind != Step::Kind::kFull; ++i) {
    {
      MutexLock lock(mutex_);
      if (std::shared_ptr<TierBlock> block = FindLocked(key)) return Begun{std::move(block), false};
      if (const std::optional<SlotId> slot = slots_.Allocate(length)) {
        return Begin(key, *slot, length);
      }
      step = NextStep(length, unusable_victims);
    }
    if (step.kind != Step::Kind::kProvide) continue;
    // A refusal was noted: the next step does not try to grow.
    [[maybe_unused]] const Status provided = Provide(step.chunk);
  }
  return Error(Code::kOverloaded, "tier: every block is being filled or sent");
}

TierState::Begun TierState::Begin(const BlockKey& key, SlotId slot, std::uint32_t length) {
  auto block = std::make_shared<TierBlock>(key, PlaceOf(slot, length), weak_from_this());
  slots_.Occupy(slot, block.get());
  index_.emplace(key, block);
  if (refused_) {
    bytes_since_refusal_ += slots_.map().SlotBytes(slot);
    // Once the tier was turned over, it is worth asking the file system again.
    if (bytes_since_refusal_ >= slots_.map().capacity_bytes()) refused_ = false;
  }
  WakeBackground();
  return {std::move(block), true};
}

// In the order of what is lost: nothing, a few milliseconds, cached blocks.
TierState::Step TierState::NextStep(std::uint32_t bytes, int& unusable_victims) {
  if (const std::optional<std::uint32_t> chunk = WithdrawForGrowth()) {
    return {Step::Kind::kProvide, *chunk};
  }
  const std::vector<std::uint32_t> punchable = slots_.map().PunchableChunks();
  if (!punchable.empty()) {
    slots_.Withdraw(punchable.front());
    ++providing_;
    return {Step::Kind::kProvide, punchable.front()};
  }
  if (providing_ > 0) {
    provided_.Wait(mutex_);
    return {};
  }
  return EvictFor(bytes, unusable_victims);
}

TierState::Step TierState::EvictFor(std::uint32_t bytes, int& unusable_victims) {
  const std::uint32_t slot_bytes = slots_.map().SlotBytesFor(bytes);
  // A slot of another size, or one that stays dirty, helps only if its whole chunk can be had.
  const auto chunk_must_go = [this, slot_bytes, &unusable_victims](SlotId slot) REQUIRES(mutex_) {
    return slots_.map().SlotBytes(slot) != slot_bytes || unusable_victims >= kUnusableVictimsMax;
  };
  const auto is_pinned = [this, &chunk_must_go](const BlockKey& key) REQUIRES(mutex_) {
    const SlotId slot = index_.at(key)->place().slot;
    return chunk_must_go(slot) ? !slots_.ChunkEvictable(slot.chunk) : !slots_.Evictable(slot);
  };
  const std::optional<BlockKey> victim = eviction_.Victim(is_pinned);
  if (!victim) return {Step::Kind::kFull, 0};
  TierBlock& block = *index_.at(*victim);
  const SlotId slot = block.place().slot;
  const bool whole_chunk = chunk_must_go(slot);
  Evict(block, Reason::kCapacity);
  if (whole_chunk) {
    EvictChunk(slot.chunk);
  } else {
    ++unusable_victims;  // Were it usable, the search would end now.
  }
  return {};
}

// ---- Leaving ----

void TierState::EvictChunk(std::uint32_t chunk) {
  for (TierBlock* block : slots_.BlocksIn(chunk)) Evict(*block, Reason::kChunk);
}

void TierState::Evict(TierBlock& block, Reason reason) {
  evictions[static_cast<std::size_t>(reason)]->Add();
  Remove(block, reason == Reason::kRecheck ? Removal::kDropped : Removal::kEvicted);
}

// A complete, indexed block goes. May destroy it.
void TierState::Remove(TierBlock& block, Removal why) {
  complete_bytes_ -= block.length();
  eviction_.Removed(block.key(), why);
  Release(block);
  block.indexed = false;
  index_.erase(index_.find(block.key()));
}

void TierState::Release(TierBlock& block) {
  CHECK(block.holds_slot);
  EraseSlotHeader(block.place().entry);
  block.holds_slot = false;
  slots_.Release(block.place().slot);
}

void TierState::Completed(TierBlock& block, bool keep) {
  // Before it can be evicted, so that the erasure comes later.
  if (keep) {
    WriteSlotHeader(
        {.key = block.key(), .length = block.length(), .checksums = block.AllChecksums()},
        block.place().entry);
  }
  MutexLock lock(mutex_);
  if (keep && block.indexed) {
    complete_bytes_ += block.length();
    slots_.Settle(block.place().slot);
    eviction_.Inserted(block.key(), slots_.map().SlotBytes(block.place().slot));
    WakeBackground();
    return;
  }
  // Its handles may still lease; its slot goes with the last of them. The writer keeps it alive
  // here.
  EraseSlotHeader(block.place().entry);
  if (block.indexed) index_.erase(block.key());
  block.indexed = false;
}

void TierState::Failed(TierBlock& block) {
  MutexLock lock(mutex_);
  if (block.indexed) index_.erase(block.key());
  block.indexed = false;
  Release(block);
}

void TierState::Forgotten(TierBlock& block) {
  evictions[static_cast<std::size_t>(Reason::kUncacheable)]->Add();
  MutexLock lock(mutex_);
  Release(block);
}

void TierState::Drop(const BlockKey& key) {
  MutexLock lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  TierBlock& block = *found->second;
  if (eviction_.Contains(key)) {
    Remove(block, Removal::kDropped);
  } else {
    block.indexed = false;  // Being filled: its writer and handles go on without the index.
    index_.erase(found);
  }
}

Status TierState::Recheck(const BlockKey& key) {
  std::shared_ptr<TierBlock> block;
  {
    MutexLock lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end() || !eviction_.Contains(key)) {
      return Error(Code::kNotHere, "tier: no complete block to check");
    }
    block = found->second;
    slots_.Pin(block->place().slot);
  }
  const bool intact = GranuleChecksums(block->place().bytes) == block->AllChecksums();
  MutexLock lock(mutex_);
  if (!intact && block->holds_slot) Evict(*block, Reason::kRecheck);
  slots_.Unpin(block->place().slot);
  if (intact) return {};
  return Error(Code::kCorrupt, "tier: bytes differ from their checksums; dropped");
}

TierUsage TierState::usage() const {
  TierUsage usage;
  for (const std::unique_ptr<Segment>& segment : segments_) {
    usage.allocated_bytes += segment->allocated_bytes();
  }
  MutexLock lock(mutex_);
  usage.capacity_bytes = CapacityBytes();
  usage.used_bytes = complete_bytes_;
  usage.blocks = eviction_.size();
  return usage;
}

// ---- Leases ----

bool TierState::Pin(const TierBlock& block) {
  MutexLock lock(mutex_);
  if (!block.holds_slot) return false;
  slots_.Pin(block.place().slot);
  return true;
}

void TierState::Unpin(SlotId slot) {
  MutexLock lock(mutex_);
  slots_.Unpin(slot);
}

void TierState::Sent(SlotId slot) {
  MutexLock lock(mutex_);
  slots_.Sent(slot);
}

void TierState::Acknowledge(SlotId slot) {
  MutexLock lock(mutex_);
  slots_.Acknowledge(slot);
}

void TierState::AbandonPinned(SlotId slot) {
  MutexLock lock(mutex_);
  slots_.AbandonPinned(slot);
}

void TierState::AbandonSent(SlotId slot) {
  MutexLock lock(mutex_);
  slots_.AbandonSent(slot);
}

// ---- Growing, and keeping below the watermarks ----

std::optional<std::uint32_t> TierState::WithdrawForGrowth() {
  if (refused_) return std::nullopt;
  std::uint32_t chunk = 0;
  if (!missing_.empty()) {
    chunk = missing_.back();
    missing_.pop_back();
  } else if (slots_.map().chunk_count() < layout_.chunks) {
    chunk = slots_.AddChunk();
    slots_.Withdraw(chunk);
  } else {
    return std::nullopt;
  }
  ++providing_;
  return chunk;
}

Status TierState::Provide(std::uint32_t chunk) {
  Status provided = SegmentOf(chunk).Provide(chunk % layout_.chunks_per_segment);
  MutexLock lock(mutex_);
  --providing_;
  provided_.NotifyAll();
  if (provided.ok()) {
    slots_.Restore(chunk);
  } else {
    missing_.push_back(chunk);
    NoteRefusal(provided.error());
  }
  return provided;
}

void TierState::NoteRefusal(const Error& error) {
  refused_ = true;
  bytes_since_refusal_ = 0;
  const std::uint64_t usable = slots_.map().capacity_bytes();
  if (std::exchange(logged_usable_bytes_, usable) == usable) return;
  Log(Level::kWarning, "tier: the file system refuses to let the cache grow",
      {{"directory", options_.directory},
       {"usable", FormatSize(usable)},
       {"quota", FormatSize(options_.quota_bytes)},
       {"error", error.message()}});
}

std::uint64_t TierState::CapacityBytes() const {
  return refused_ ? slots_.map().capacity_bytes() : layout_.chunks * layout_.chunk_bytes;
}

bool TierState::GrowthIsDue() const {
  const bool possible =
      !refused_ && (!missing_.empty() || slots_.map().chunk_count() < layout_.chunks);
  return possible && slots_.map().free_bytes() < kAheadBytes;
}

bool TierState::IsAbove(double watermark) const {
  const std::uint32_t percent = Percent(watermark);
  return BytesToEvict(slots_.map().used_bytes(), CapacityBytes(),
                      {.high_percent = percent, .low_percent = percent}) > 0;
}

void TierState::WakeBackground() {
  if (!GrowthIsDue() && !IsAbove(options_.high)) return;
  background_wanted_ = true;
  wanted_.NotifyOne();
}

void TierState::EvictTowardsLow() {
  lowering_ = lowering_ || IsAbove(options_.high);
  const auto is_pinned = [this](const BlockKey& key) REQUIRES(mutex_) {
    return !slots_.Evictable(index_.at(key)->place().slot);
  };
  for (int i = 0; i < kEvictionsPerLock && lowering_; ++i) {
    const std::optional<BlockKey> victim = eviction_.Victim(is_pinned);
    lowering_ = victim.has_value() && IsAbove(options_.low);
    if (lowering_) Evict(*index_.at(*victim), Reason::kWatermark);
  }
}

void TierState::RunBackground(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    wanted_.NotifyAll();
  });
  while (true) {
    std::optional<std::uint32_t> chunk;
    {
      MutexLock lock(mutex_);
      while (!stop.stop_requested() && !background_wanted_) wanted_.Wait(mutex_);
      if (stop.stop_requested()) return;
      EvictTowardsLow();
      if (GrowthIsDue()) chunk = WithdrawForGrowth();
      background_wanted_ = chunk.has_value() || lowering_;
    }
    // A refusal was noted: growth is not due then.
    if (chunk) [[maybe_unused]]
      const Status provided = Provide(*chunk);
  }
}

}  // namespace forebay
