#include "store/tier_block.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "store/tier_state.h"

namespace forebay {

TierBlock::TierBlock(const BlockKey& key, const BlockPlace& place, std::weak_ptr<TierState> tier)
    : key_(key), place_(place), tier_(std::move(tier)) {
  checksums_.reserve(GranulesOf(length()));
}

TierBlock::TierBlock(const BlockKey& key, const BlockPlace& place, std::weak_ptr<TierState> tier,
                     std::vector<std::uint32_t> checksums)
    : key_(key),
      place_(place),
      tier_(std::move(tier)),
      granules_done_(GranulesOf(length())),
      verified_(false),
      state_(BlockHandle::State::kComplete),
      ready_bytes_(length()),
      checksums_(std::move(checksums)) {
  CHECK(checksums_.size() == granules_done_);
}

TierBlock::~TierBlock() {
  if (!holds_slot) return;
  if (const std::shared_ptr<TierState> state = tier()) state->Forgotten(*this);
}

BlockHandle::State TierBlock::state() const {
  MutexLock lock(mutex_);
  return state_;
}

std::uint32_t TierBlock::ready_bytes() const {
  MutexLock lock(mutex_);
  return ready_bytes_;
}

Error TierBlock::error() const {
  MutexLock lock(mutex_);
  CHECK(error_.has_value());
  return *error_;
}

void TierBlock::Subscribe(const std::shared_ptr<Waker>& waker) {
  MutexLock lock(mutex_);
  std::erase_if(wakers_, [](const std::weak_ptr<Waker>& other) { return other.expired(); });
  wakers_.push_back(waker);
}

void TierBlock::Unsubscribe(const std::shared_ptr<Waker>& waker) {
  MutexLock lock(mutex_);
  const auto own = std::ranges::find_if(
      wakers_, [&waker](const std::weak_ptr<Waker>& other) { return other.lock() == waker; });
  if (own != wakers_.end()) wakers_.erase(own);
}

Result<std::vector<std::uint32_t>> TierBlock::ChecksumsOf(std::uint32_t offset,
                                                          std::uint32_t length) const {
  MutexLock lock(mutex_);
  if (error_) return *error_;
  CHECK(offset % kGranuleBytes == 0 && length > 0);
  CHECK(std::uint64_t{offset} + length <= ready_bytes_);
  CHECK(length % kGranuleBytes == 0 || offset + length == place_.bytes.size());
  const auto first = checksums_.begin() + offset / kGranuleBytes;
  return std::vector<std::uint32_t>(first, first + GranulesOf(length));
}

std::uint32_t TierBlock::BytesOf(std::size_t granules) const {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(std::uint64_t{granules} * kGranuleBytes, length()));
}

void TierBlock::Advance(std::uint32_t filled, bool publish) {
  CHECK(filled <= length());
  const std::uint32_t granules = filled == length() ? GranulesOf(filled) : filled / kGranuleBytes;
  CHECK(granules >= granules_done_);
  const std::uint32_t done = BytesOf(granules_done_);
  const std::vector<std::uint32_t> checksums =
      GranuleChecksums(place_.bytes.subspan(done, BytesOf(granules) - done));
  Publish(checksums, publish);
}

void TierBlock::AdvanceVerified(std::span<const std::uint32_t> checksums) {
  CHECK(granules_done_ + checksums.size() <= GranulesOf(length()));
  Publish(checksums, true);
}

void TierBlock::Publish(std::span<const std::uint32_t> checksums, bool publish) {
  granules_done_ += static_cast<std::uint32_t>(checksums.size());
  {
    MutexLock lock(mutex_);
    CHECK(state_ == BlockHandle::State::kFilling);
    checksums_.insert(checksums_.end(), checksums.begin(), checksums.end());
    const std::uint32_t ready = BytesOf(checksums_.size());
    if (!publish || ready == ready_bytes_) return;
    ready_bytes_ = ready;
  }
  WakeAll();
}

std::vector<std::uint32_t> TierBlock::AllChecksums() const {
  MutexLock lock(mutex_);
  CHECK(checksums_.size() == GranulesOf(length()));
  return checksums_;
}

bool TierBlock::IsIntact() {
  if (GranuleChecksums(place_.bytes) != AllChecksums()) return false;
  verified_.store(true, std::memory_order_release);
  return true;
}

bool TierBlock::VerifyOnce() {
  if (verified()) return true;
  MutexLock lock(verifying_);
  if (!verified() && !damaged_) damaged_ = !IsIntact();
  return !damaged_;
}

void TierBlock::MarkComplete() {
  {
    MutexLock lock(mutex_);
    CHECK(state_ == BlockHandle::State::kFilling && checksums_.size() == GranulesOf(length()));
    state_ = BlockHandle::State::kComplete;
    ready_bytes_ = length();
  }
  WakeAll();
}

void TierBlock::MarkFailed(Error error) {
  {
    MutexLock lock(mutex_);
    CHECK(state_ == BlockHandle::State::kFilling);
    state_ = BlockHandle::State::kFailed;
    error_ = std::move(error);
  }
  WakeAll();
}

void WaitingShare::End() {
  if (ended_.exchange(true)) return;
  if (const std::shared_ptr<TierState> tier = block_->tier()) tier->EndWaiting(*block_);
}

void TierBlock::WakeAll() {
  std::vector<std::weak_ptr<Waker>> wakers;
  {
    MutexLock lock(mutex_);
    wakers = wakers_;
  }
  for (const std::weak_ptr<Waker>& weak : wakers) {
    if (const std::shared_ptr<Waker> waker = weak.lock()) waker->Wake();
  }
}

}  // namespace forebay
