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
#include "base/wall_clock.h"
#include "store/slot_header.h"

namespace forebay {
namespace {

Counter& EvictionCounter(const char* reason) {
  return Metrics().AddCounter("forebay_evictions_total", "Blocks that the memory tier gave up.",
                              {{"reason", reason}});
}

// In the order of TierState::Reason.
const std::array<Counter*, 7> evictions = {
    &EvictionCounter("capacity"), &EvictionCounter("watermark"),   &EvictionCounter("chunk"),
    &EvictionCounter("recheck"),  &EvictionCounter("uncacheable"), &EvictionCounter("asked"),
    &EvictionCounter("lost")};

Counter& checksum_failures =
    Metrics().AddCounter("forebay_checksum_failures_total",
                         "Bytes that did not match their checksum.", {{"where", "tier"}});

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

// How often the files are looked at. Control learns of it with the next heartbeat, in 500 ms at
// most: status is right within 2 s.
constexpr std::chrono::milliseconds kInspectEvery{500};

// tmpfs counts pages of its own; the quota is for the files.
constexpr std::uint64_t kMountSlackBytes = 1u << 20;

// Blocks that were adopted and turned out damaged, in one search: each makes it begin again.
constexpr int kDamagedMax = 3;

// The part of the tier that may be kept for handles that waited for it.
constexpr std::uint64_t kKeptShare = 2;

constexpr std::uint64_t kNanosecondsPerMicrosecond = 1000;

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
    return Error(
        Code::kInvalidArgument,
        fmt::format("tier: a quota of {} bytes holds no block of {} bytes with its header; "
                    "give --memory {} or more, or a smaller blockSize",
                    options.quota_bytes, block, QuotaMin(block)));
  }
  return {};
}

// What became of the blocks of a predecessor, in the order of the log line.
void CountAdoption(const TierAdoption& adoption) {
  const auto count = [](const char* result, std::uint64_t blocks) {
    Metrics()
        .AddCounter("forebay_adopted_blocks_total",
                    "Blocks that a killed worker left, by what became of them at the next start.",
                    {{"result", result}})
        .Add(blocks);
  };
  count("adopted", adoption.blocks);
  count("damaged", adoption.damaged);
  count("incompatible", adoption.incompatible);
  count("duplicate", adoption.duplicate);
  count("no_room", adoption.no_room);
}

void LogAdoption(const std::string& directory, const TierAdoption& adoption, Clock::duration took) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  Log(Level::kInfo, "tier: took over what a predecessor left",
      {{"directory", directory},
       {"blocks", adoption.blocks},
       {"bytes", adoption.bytes},
       {"damaged", adoption.damaged},
       {"incompatible", adoption.incompatible},
       {"duplicate", adoption.duplicate},
       {"no_room", adoption.no_room},
       {"files_removed", adoption.files_removed},
       {"milliseconds", milliseconds}});
}

}  // namespace

// Changes are counted from the time in microseconds: faster than they can come, so that a restarted
// tier goes on above where it was.
TierState::TierState(const TierOptions& options, std::shared_ptr<TierFiles> files)
    : options_(options),
      files_(std::move(files)),
      slots_(MapOptions(options)),
      index_(static_cast<std::uint64_t>(WallClockNanoseconds()) / kNanosecondsPerMicrosecond) {}

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
  const Deadline began = Clock::now();
  const TmpfsOptions tmpfs = {.size_bytes = options_.quota_bytes + kMountSlackBytes,
                              .huge = options_.block_bytes % kHugePageBytes == 0};
  Result<std::unique_ptr<TierDirectory>> directory = TierDirectory::Open(
      *files_, {.path = options_.directory, .own_mount = options_.own_mount, .tmpfs = tmpfs});
  if (!directory.ok()) return std::move(directory).error();
  directory_ = std::move(directory).value();
  const bool found = !directory_->found_files().empty();
  layout_ = LayoutFor(options_, *directory_, *files_);
  Result<OpenedSegments> opened = OpenSegments(*files_, *directory_, layout_, options_.block_bytes);
  if (!opened.ok()) return std::move(opened).error();
  segments_ = std::move(opened.value().segments);
  {
    MutexLock lock(inspecting_);
    index_seen_ns_.assign(segments_.size(), 0);
  }
  adoption_ = opened.value().adoption;
  Adopt(opened.value().chunks);
  if (Status resized = directory_->Resize(tmpfs); !resized.ok()) {
    Log(Level::kWarning, "tier: its mount keeps the predecessor's size",
        {{"directory", options_.directory}, {"error", resized.error().message()}});
  }
  if (found) {
    CountAdoption(adoption_);
    LogAdoption(options_.directory, adoption_, Clock::now() - began);
  }
  return adoption_.blocks > 0 ? Status() : ProvideFirst();
}

Status TierState::ProvideFirst() {
  std::optional<std::uint32_t> chunk;
  {
    MutexLock lock(mutex_);
    chunk = WithdrawForGrowth();
  }
  if (Status provided = Grow(*chunk); !provided.ok()) {
    return std::move(provided).error().Within("tier: no room for a first block in " +
                                              options_.directory);
  }
  return {};
}

void TierState::Adopt(const std::map<std::uint32_t, FoundChunk>& found) {
  if (found.empty()) return;
  MutexLock lock(mutex_);
  for (std::uint32_t number = 0; number <= found.rbegin()->first; ++number) {
    CHECK(slots_.AddChunk() == number);
    if (const auto chunk = found.find(number); chunk != found.end()) {
      AdoptChunk(number, chunk->second);
    } else {
      slots_.Withdraw(number);
      missing_.push_back(number);
    }
  }
  std::ranges::reverse(missing_);  // The lowest is taken first.
}

// They enter as blocks that nobody has read since, so the main queue gives them up before anything
// that is read.
void TierState::AdoptChunk(std::uint32_t number, const FoundChunk& found) {
  const std::vector<SlotId> ids = slots_.Adopt(number, found);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const SlotHeader& header = found.blocks[i].header;
    auto block = std::make_shared<TierBlock>(header.key, PlaceOf(ids[i], header.length),
                                             weak_from_this(), header.checksums);
    slots_.Occupy(ids[i], block.get());
    slots_.Settle(ids[i]);
    index_.Add(header.key, std::move(block));
    index_.Completed(header.key, header.length);
    eviction_.Inserted(header.key, found.slot_bytes);
  }
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

std::optional<TierState::Begun> TierState::FindLocked(const BlockKey& key) {
  Begun found;
  found.block = index_.Find(key);
  if (!found.block) return std::nullopt;
  eviction_.Touched(key);
  found.waiting = !eviction_.Contains(key);
  if (found.waiting) ++found.block->waiting;
  return found;
}

std::optional<TierState::Begun> TierState::Find(const BlockKey& key) {
  std::optional<Begun> found;
  {
    MutexLock lock(mutex_);
    found = FindLocked(key);
  }
  if (!found || found->block->verified() || Compare(*found->block, false) == Compared::kIntact) {
    return found;
  }
  return std::nullopt;
}

Result<TierState::Begun> TierState::FindOrBegin(const BlockKey& key, std::uint32_t length) {
  for (int i = 0; i < kDamagedMax; ++i) {
    Result<Begun> begun = Search(key, length);
    if (begun.ok() && begun.value().fresh) {
      if (Status there = EnsurePages(*begun.value().block, true); !there.ok()) {
        Failed(*begun.value().block);
        begun.value().block->MarkFailed(there.error());
        continue;  // Its chunk is not used again before it has pages.
      }
    }
    if (!begun.ok() || begun.value().block->verified() ||
        Compare(*begun.value().block, false) == Compared::kIntact) {
      return begun;
    }
  }
  return Error(Code::kOverloaded, "tier: the block was damaged or lost its memory " +
                                      std::to_string(kDamagedMax) + " times");
}

Result<TierState::Begun> TierState::Search(const BlockKey& key, std::uint32_t length) {
  CHECK(length > 0 && length <= options_.block_bytes);
  int unusable_victims = 0;
  Step step;
  for (int i = 0; i < kStepsMax && step.kind != Step::Kind::kFull; ++i) {
    {
      MutexLock lock(mutex_);
      if (std::optional<Begun> found = FindLocked(key)) return *std::move(found);
      if (const std::optional<SlotId> slot = slots_.Allocate(length)) {
        return Begin(key, *slot, length);
      }
      step = NextStep(length, unusable_victims);
    }
    // A refusal is noted: the next step does not try to grow.
    if (step.kind == Step::Kind::kGrow) [[maybe_unused]]
      const Status grown = Grow(step.chunk);
    if (step.kind == Step::Kind::kRenew) [[maybe_unused]]
      const Status renewed = Provide(step.chunk);
  }
  return Error(Code::kOverloaded, "tier: every block is being filled or sent");
}

TierState::Begun TierState::Begin(const BlockKey& key, SlotId slot, std::uint32_t length) {
  auto block = std::make_shared<TierBlock>(key, PlaceOf(slot, length), weak_from_this());
  slots_.Occupy(slot, block.get());
  index_.Add(key, block);
  block->waiting = 1;
  if (refused_) {
    bytes_since_refusal_ += slots_.map().SlotBytes(slot);
    // Once the tier was turned over, it is worth asking the file system again.
    if (bytes_since_refusal_ >= slots_.map().capacity_bytes()) refused_ = false;
  }
  WakeBackground();
  return {std::move(block), true, true};
}

// In the order of what is lost: nothing, a few milliseconds, cached blocks.
TierState::Step TierState::NextStep(std::uint32_t bytes, int& unusable_victims) {
  if (const std::optional<std::uint32_t> chunk = WithdrawForGrowth()) {
    return {Step::Kind::kGrow, *chunk};
  }
  const std::vector<std::uint32_t> punchable = slots_.map().PunchableChunks();
  if (!punchable.empty()) {
    slots_.Withdraw(punchable.front());
    ++providing_;
    return {Step::Kind::kRenew, punchable.front()};
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
    const SlotId slot = index_.Find(key)->place().slot;
    return chunk_must_go(slot) ? !slots_.ChunkEvictable(slot.chunk) : !slots_.Evictable(slot);
  };
  const std::optional<BlockKey> victim = eviction_.Victim(is_pinned);
  if (!victim) return {Step::Kind::kFull, 0};
  TierBlock& block = *index_.Find(*victim);
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
  const bool for_room = reason != Reason::kRecheck && reason != Reason::kAsked;
  Remove(block, for_room ? Removal::kEvicted : Removal::kDropped);
}

// A complete, indexed block goes. May destroy it.
void TierState::Remove(TierBlock& block, Removal why) {
  eviction_.Removed(block.key(), why);
  Release(block);
  block.indexed = false;
  index_.Remove(block.key(), block.length());
}

void TierState::Release(TierBlock& block) {
  CHECK(block.holds_slot);
  if (!block.header_gone) EraseSlotHeader(block.place().entry);
  block.holds_slot = false;
  slots_.Release(block.place().slot);
}

void TierState::Completed(TierBlock& block, bool keep) {
  // Before it can be evicted, so that the erasure comes later.
  if (keep) {
    WriteSlotHeader({.key = block.key(),
                     .block_bytes = options_.block_bytes,
                     .length = block.length(),
                     .checksums = block.AllChecksums()},
                    block.place().entry);
  }
  MutexLock lock(mutex_);
  if (keep && block.indexed) {
    Settle(block);
    WakeBackground();
    return;
  }
  // Its handles may still lease; its slot goes with the last of them. The writer keeps it alive
  // here.
  EraseSlotHeader(block.place().entry);
  if (block.indexed) index_.Remove(block.key(), 0);
  block.indexed = false;
}

void TierState::Settle(TierBlock& block) {
  const SlotId slot = block.place().slot;
  const std::uint32_t bytes = slots_.map().SlotBytes(slot);
  slots_.Settle(slot);
  index_.Completed(block.key(), block.length());
  eviction_.Inserted(block.key(), bytes);
  const bool may_be_kept =
      kept_bytes_ == 0 || kept_bytes_ + bytes <= slots_.map().capacity_bytes() / kKeptShare;
  if (block.waiting == 0 || !may_be_kept) return;
  block.kept_for_waiting = true;
  kept_bytes_ += bytes;
  slots_.Pin(slot);
}

void TierState::EndWaiting(TierBlock& block) {
  MutexLock lock(mutex_);
  CHECK(block.waiting > 0);
  if (--block.waiting > 0 || !block.kept_for_waiting) return;
  const SlotId slot = block.place().slot;
  block.kept_for_waiting = false;
  kept_bytes_ -= slots_.map().SlotBytes(slot);
  slots_.Unpin(slot);
  WakeBackground();
}

void TierState::Failed(TierBlock& block) {
  MutexLock lock(mutex_);
  if (block.indexed) index_.Remove(block.key(), 0);
  block.indexed = false;
  Release(block);
}

void TierState::Forgotten(TierBlock& block) {
  evictions[static_cast<std::size_t>(Reason::kUncacheable)]->Add();
  MutexLock lock(mutex_);
  Release(block);
}

Status TierState::Recheck(const BlockKey& key) {
  std::shared_ptr<TierBlock> block;
  {
    MutexLock lock(mutex_);
    if (eviction_.Contains(key)) block = index_.Find(key);
  }
  if (block) {
    switch (Compare(*block, true)) {
      case Compared::kIntact: return {};
      case Compared::kDamaged:
        return Error(Code::kCorrupt, "tier: bytes differ from their checksums; dropped");
      case Compared::kGone: break;
    }
  }
  return Error(Code::kNotHere, "tier: no complete block to check");
}

TierState::Compared TierState::Compare(TierBlock& block, bool again) {
  if (!Pin(block)) return Compared::kGone;
  const bool there = HasPages(block);
  const bool intact = there && (again ? block.IsIntact() : block.VerifyOnce());
  bool dropped = false;
  {
    MutexLock lock(mutex_);
    dropped = there && !intact && block.holds_slot;
    if (dropped) Evict(block, Reason::kRecheck);
    slots_.Unpin(block.place().slot);
  }
  if (intact) return Compared::kIntact;
  if (!there) [[maybe_unused]]
    const Status repaired = EnsurePages(block, false);  // Gives it up.
  if (!dropped) return Compared::kGone;                 // By somebody else, who has said so.
  checksum_failures.Add();
  Log(Level::kError, "checksum failure",
      {{"where", "tier"},
       {"path_digest", block.key().file.path.Hex()},
       {"block", block.key().index}});
  return Compared::kDamaged;
}

TierUsage TierState::usage() const {
  TierUsage usage;
  for (const std::unique_ptr<Segment>& segment : segments_) {
    usage.allocated_bytes += segment->allocated_bytes();
  }
  MutexLock lock(mutex_);
  usage.capacity_bytes = small_ ? CapacityBytes() : options_.quota_bytes;
  usage.used_bytes = index_.complete_bytes();
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

Status TierState::Grow(std::uint32_t chunk) {
  Status provided = Provide(chunk);
  MutexLock lock(mutex_);
  if (!refused_) small_ = false;
  return provided;
}

void TierState::NoteRefusal(const Error& error) {
  refused_ = true;
  small_ = true;
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
  return small_ ? slots_.map().capacity_bytes() : layout_.chunks * layout_.chunk_bytes;
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
    return !slots_.Evictable(index_.Find(key)->place().slot);
  };
  for (int i = 0; i < kEvictionsPerLock && lowering_; ++i) {
    const std::optional<BlockKey> victim = eviction_.Victim(is_pinned);
    lowering_ = victim.has_value() && IsAbove(options_.low);
    if (lowering_) Evict(*index_.Find(*victim), Reason::kWatermark);
  }
}

void TierState::RunBackground(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    wanted_.NotifyAll();
  });
  Deadline inspect_at = Clock::now() + kInspectEvery;
  while (true) {
    if (Passed(inspect_at)) {
      Inspect();
      inspect_at = Clock::now() + kInspectEvery;
    }
    std::optional<std::uint32_t> chunk;
    {
      MutexLock lock(mutex_);
      while (!stop.stop_requested() && !background_wanted_ && !Passed(inspect_at)) {
        wanted_.WaitUntil(mutex_, inspect_at);
      }
      if (stop.stop_requested()) return;
      EvictTowardsLow();
      if (GrowthIsDue()) chunk = WithdrawForGrowth();
      background_wanted_ = chunk.has_value() || lowering_;
    }
    // A refusal was noted: growth is not due then.
    if (chunk) [[maybe_unused]]
      const Status grown = Grow(*chunk);
  }
}

}  // namespace forebay
