#include "worker/block_reply.h"

#include <algorithm>
#include <utility>

#include "base/crc32c.h"

namespace forebay {
namespace {

// While a block arrives, runs below this are not worth a frame and a place on the link.
constexpr std::uint32_t kRunBytesMin = 256 << 10;

constexpr std::uint32_t AlignDown(std::uint32_t bytes) {
  return bytes / kGranuleBytes * kGranuleBytes;
}

class LeaseSource : public SendSource {
 public:
  explicit LeaseSource(SendLease lease) : lease_(std::move(lease)) {}

  int fd() const override { return lease_.fd(); }
  off_t offset() const override { return static_cast<off_t>(lease_.file_offset()); }
  std::size_t length() const override { return lease_.length(); }
  void Sent() override { lease_.Sent(); }
  void Acknowledge() override { lease_.Acknowledge(); }

 private:
  SendLease lease_;
};

std::uint16_t SourceFlags(BlockSource source) {
  switch (source) {
    case BlockSource::kLocal: return 0;
    case BlockSource::kPeer: return kFlagFilled | kFlagFromPeer;
    case BlockSource::kUpstream: return kFlagFilled;
  }
  return 0;
}

}  // namespace

BlockReply::BlockReply(BlockHandle handle, Options options)
    : handle_(std::move(handle)), options_(std::move(options)) {
  begin_ = AlignDown(options_.offset);
  const std::uint64_t end = std::uint64_t{options_.offset} + options_.length;
  end_ = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(std::uint64_t{GranulesOf(end)} * kGranuleBytes, handle_.length()));
  position_ = begin_;
  handle_.Subscribe(options_.waker);
}

BlockReply::~BlockReply() {
  handle_.Unsubscribe(options_.waker);
}

bool BlockReply::Ready() {
  switch (handle_.state()) {
    case BlockHandle::State::kFailed:
    case BlockHandle::State::kComplete: return true;
    case BlockHandle::State::kFilling: break;
  }
  if (options_.fill_only) return false;
  const std::uint32_t ready = handle_.ready_bytes();
  return ready >= end_ || (ready > position_ && ready - position_ >= kRunBytesMin);
}

std::optional<ReplyFrame> BlockReply::Next() {
  if (handle_.state() == BlockHandle::State::kFailed) {
    return options_.failed(handle_.error());
  }
  const BlockSource source = options_.source->load();
  if (options_.fill_only) return LastFrame(source);
  const std::uint32_t ready = std::min(handle_.ready_bytes(), end_);
  std::uint32_t until = ready == end_ ? end_ : AlignDown(ready);
  until = std::min(until, position_ + kFramePayloadBytesMax);
  if (until <= position_) return std::nullopt;
  Result<SendLease> lease = handle_.Lease(position_, until - position_);
  if (!lease.ok()) return ErrorFrame(lease.error(), options_.holders);
  ReplyFrame frame;
  frame.type = FrameType::kBlockData;
  frame.flags = SourceFlags(source);
  frame.holders = options_.holders;
  frame.last = until == end_;
  frame.body = Encode(BlockData{position_, lease.value().checksums()});
  frame.payload = std::make_unique<LeaseSource>(std::move(lease).value());
  position_ = until;
  if (frame.last) options_.done(source, end_ - begin_);
  return frame;
}

ReplyFrame BlockReply::LastFrame(BlockSource source) {
  ReplyFrame frame;
  frame.type = FrameType::kBlockData;
  frame.flags = SourceFlags(source);
  frame.holders = options_.holders;
  frame.body = Encode(BlockData{});
  options_.done(source, 0);
  return frame;
}

}  // namespace forebay
