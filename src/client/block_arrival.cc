#include "client/block_arrival.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"

namespace forebay {

BlockArrival::BlockArrival(const ArrivalRange& range, std::function<void(Outcome)> done)
    : range_(range),
      end_(range.offset + static_cast<std::uint32_t>(range.destination.size())),
      done_(std::move(done)),
      granules_(GranulesOf(end_) - first_granule()),
      missing_(static_cast<std::uint32_t>(granules_.size())) {
  CHECK(!range.destination.empty() && end_ <= range.block_bytes);
}

std::uint32_t BlockArrival::first_granule() const {
  return range_.offset / kGranuleBytes;
}

bool BlockArrival::Fits(std::uint32_t offset, std::uint32_t length) const {
  const std::uint64_t end = std::uint64_t{offset} + length;
  return length > 0 && offset % kGranuleBytes == 0 && offset / kGranuleBytes >= first_granule() &&
         end <= std::min<std::uint64_t>(std::uint64_t{GranulesOf(end_)} * kGranuleBytes,
                                        range_.block_bytes) &&
         (end % kGranuleBytes == 0 || end == range_.block_bytes);
}

bool BlockArrival::Inside(std::uint32_t offset, std::uint32_t length) const {
  return offset >= range_.offset && offset + length <= end_;
}

std::span<std::byte> BlockArrival::Destination(std::uint32_t offset, std::uint32_t length) {
  if (!Fits(offset, length)) return {};
  if (Inside(offset, length)) return range_.destination.subspan(offset - range_.offset, length);
  scratch_.resize(length);
  return scratch_;
}

void BlockArrival::Received(std::uint32_t offset, std::uint32_t length,
                            std::span<const std::uint32_t> /*checksums*/) {
  Progressed();
  if (!Inside(offset, length)) {
    const std::uint32_t from = std::max(offset, range_.offset);
    const std::uint32_t until = std::min(offset + length, end_);
    std::memcpy(range_.destination.data() + (from - range_.offset),
                scratch_.data() + (from - offset), until - from);
  }
  const std::uint32_t first = offset / kGranuleBytes - first_granule();
  for (std::uint32_t granule = first; granule < first + GranulesOf(length); ++granule) {
    if (!granules_[granule]) --missing_;
    granules_[granule] = true;
  }
}

void BlockArrival::Done(Outcome outcome) {
  if (outcome.status.ok() && missing_ > 0) {
    outcome.status = Error(Code::kInternal, "the reply ended before its last byte");
  }
  done_(std::move(outcome));
}

ChunkArrival::ChunkArrival(std::uint32_t begin, std::uint32_t end, std::shared_ptr<BufferPool> pool,
                           Take take)
    : next_(begin), end_(end), pool_(std::move(pool)), take_(std::move(take)) {
  CHECK(begin % kGranuleBytes == 0 && begin < end);
}

std::span<std::byte> ChunkArrival::Destination(std::uint32_t offset, std::uint32_t length) {
  const bool whole = length % kGranuleBytes == 0 || length == end_ - next_;
  if (offset != next_ || length == 0 || length > end_ - next_ || !whole) return {};
  arriving_.buffer = pool_->Get(length);
  return std::span(arriving_.buffer.memory.get(), length);
}

void ChunkArrival::Received(std::uint32_t /*offset*/, std::uint32_t length,
                            std::span<const std::uint32_t> /*checksums*/) {
  Progressed();
  next_ += length;
  Chunk chunk{std::exchange(arriving_, {}).buffer, length};
  if (next_ < end_) return take_(std::move(chunk), std::nullopt);
  last_ = std::move(chunk);
}

void ChunkArrival::Done(Outcome outcome) {
  if (outcome.status.ok() && next_ < end_) {
    outcome.status = Error(Code::kInternal, "the reply ended before its last byte");
  }
  take_(std::move(last_), std::move(outcome));
}

}  // namespace forebay
