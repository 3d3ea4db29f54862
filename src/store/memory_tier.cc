#include "store/memory_tier.h"

#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "store/tier_block.h"
#include "store/tier_files.h"
#include "store/tier_state.h"

namespace forebay {

// ---- SendLease ----

struct SendLease::State {
  enum class Phase { kPinned, kSent, kDone };

  ~State() {
    switch (phase) {
      case Phase::kPinned: tier->AbandonPinned(block->place().slot); break;
      case Phase::kSent: tier->AbandonSent(slot); break;
      case Phase::kDone: break;
    }
  }

  std::shared_ptr<TierState> tier;
  std::shared_ptr<TierBlock> block;  // Until sent: an uncacheable block lives by its handles.
  SlotId slot;
  int fd = -1;
  std::uint64_t file_offset = 0;
  std::uint32_t length = 0;
  std::vector<std::uint32_t> checksums;
  Phase phase = Phase::kPinned;
};

SendLease::SendLease(std::unique_ptr<State> state) : state_(std::move(state)) {}
SendLease::SendLease(SendLease&&) noexcept = default;
SendLease& SendLease::operator=(SendLease&&) noexcept = default;
SendLease::~SendLease() = default;

int SendLease::fd() const {
  return state_->fd;
}
std::uint64_t SendLease::file_offset() const {
  return state_->file_offset;
}
std::uint32_t SendLease::length() const {
  return state_->length;
}
const std::vector<std::uint32_t>& SendLease::checksums() const {
  return state_->checksums;
}

void SendLease::Sent() {
  CHECK(state_->phase == State::Phase::kPinned);
  state_->tier->Sent(state_->slot);
  state_->phase = State::Phase::kSent;
  state_->block.reset();
}

void SendLease::Acknowledge() {
  switch (state_->phase) {
    case State::Phase::kPinned: state_->tier->Unpin(state_->slot); break;
    case State::Phase::kSent: state_->tier->Acknowledge(state_->slot); break;
    case State::Phase::kDone: return;
  }
  state_->phase = State::Phase::kDone;
  state_->block.reset();
}

// ---- BlockHandle ----

BlockHandle::BlockHandle(std::shared_ptr<TierBlock> block, bool waiting)
    : block_(std::move(block)),
      share_(waiting ? std::make_shared<WaitingShare>(block_) : nullptr) {}

BlockHandle::State BlockHandle::state() const {
  return block_->state();
}
std::uint32_t BlockHandle::length() const {
  return block_->length();
}
std::uint32_t BlockHandle::ready_bytes() const {
  return block_->ready_bytes();
}
Error BlockHandle::error() const {
  return block_->error();
}

void BlockHandle::Subscribe(const std::shared_ptr<Waker>& waker) const {
  block_->Subscribe(waker);
}
void BlockHandle::Unsubscribe(const std::shared_ptr<Waker>& waker) const {
  block_->Unsubscribe(waker);
}

Result<SendLease> BlockHandle::Lease(std::uint32_t offset, std::uint32_t length) const {
  Result<std::vector<std::uint32_t>> checksums = block_->ChecksumsOf(offset, length);
  if (!checksums.ok()) return std::move(checksums).error();
  CHECK(block_->verified());
  std::shared_ptr<TierState> tier = block_->tier();
  if (!tier || !tier->Pin(*block_)) return Error(Code::kNotHere, "tier: the block was evicted");
  auto state = std::make_unique<SendLease::State>();
  state->tier = std::move(tier);
  state->block = block_;
  state->slot = block_->place().slot;
  state->fd = block_->place().fd;
  state->file_offset = block_->place().file_offset + offset;
  state->length = length;
  state->checksums = std::move(checksums).value();
  // The lease itself keeps the block now.
  if (share_ && offset + length == block_->length()) share_->End();
  return SendLease(std::move(state));
}

// ---- BlockWriter ----

BlockWriter::BlockWriter(std::shared_ptr<TierBlock> block) : block_(std::move(block)) {}
BlockWriter::BlockWriter(BlockWriter&&) noexcept = default;

BlockWriter& BlockWriter::operator=(BlockWriter&& other) noexcept {
  // The old block's fate is decided by this temporary.
  const BlockWriter old(std::exchange(block_, std::move(other.block_)));
  return *this;
}

BlockWriter::~BlockWriter() {
  if (block_) Fail(Error(Code::kUnavailable, "tier: the fill was given up"));
}

std::span<std::byte> BlockWriter::bytes() {
  return block_->place().bytes;
}
void BlockWriter::Advance(std::uint32_t filled, bool publish) {
  block_->Advance(filled, publish);
}
void BlockWriter::AdvanceVerified(std::span<const std::uint32_t> checksums) {
  block_->AdvanceVerified(checksums);
}

void BlockWriter::Complete(bool keep) {
  const std::shared_ptr<TierState> tier = block_->tier();
  CHECK(tier != nullptr);  // No writer may outlive the tier.
  tier->Completed(*block_, keep);
  block_->MarkComplete();
  block_.reset();
}

void BlockWriter::Fail(Error error) {
  const std::shared_ptr<TierState> tier = block_->tier();
  CHECK(tier != nullptr);
  tier->Failed(*block_);
  block_->MarkFailed(std::move(error));
  block_.reset();
}

// ---- MemoryTier ----

MemoryTier::MemoryTier(std::shared_ptr<TierState> state) : state_(std::move(state)) {}
MemoryTier::~MemoryTier() {
  state_->Stop();
}

Result<std::unique_ptr<MemoryTier>> MemoryTier::Create(const TierOptions& options) {
  return Create(options, SystemTierFiles());
}

Result<std::unique_ptr<MemoryTier>> MemoryTier::Create(const TierOptions& options,
                                                       std::shared_ptr<TierFiles> files) {
  Result<std::shared_ptr<TierState>> state = TierState::Create(options, std::move(files));
  if (!state.ok()) return std::move(state).error();
  return std::unique_ptr<MemoryTier>(new MemoryTier(std::move(state).value()));
}

std::optional<BlockHandle> MemoryTier::Find(const BlockKey& key) {
  std::optional<TierState::Begun> found = state_->Find(key);
  if (!found) return std::nullopt;
  return BlockHandle(std::move(found->block), found->waiting);
}

Result<MemoryTier::Admission> MemoryTier::FindOrBegin(const BlockKey& key, std::uint32_t length) {
  Result<TierState::Begun> begun = state_->FindOrBegin(key, length);
  if (!begun.ok()) return std::move(begun).error();
  const std::shared_ptr<TierBlock>& block = begun.value().block;
  Admission admission{BlockHandle(block, begun.value().waiting), std::nullopt};
  if (begun.value().fresh) admission.writer = BlockWriter(block);
  return admission;
}

Status MemoryTier::Recheck(const BlockKey& key) {
  return state_->Recheck(key);
}
std::vector<bool> MemoryTier::Held(const FileKey& file, std::uint32_t blocks) const {
  return state_->Held(file, blocks);
}
Result<std::vector<bool>> MemoryTier::Verify(const FileKey& file, std::uint32_t blocks,
                                             Deadline deadline, const std::stop_token& stop) {
  return state_->Verify(file, blocks, deadline, stop);
}
std::uint64_t MemoryTier::DropIf(const std::function<bool(const BlockKey&)>& matches) {
  return state_->DropIf(matches);
}
void MemoryTier::Inspect() {
  state_->Inspect();
}
TierUsage MemoryTier::usage() const {
  return state_->usage();
}
std::map<DatasetUid, DatasetUsage> MemoryTier::Usage() const {
  return state_->Usage();
}
const TierAdoption& MemoryTier::adoption() const {
  return state_->adoption();
}

}  // namespace forebay
