#include "core/read_ahead.h"

#include <algorithm>

#include "base/check.h"

namespace forebay {

ReadAhead::ReadAhead(std::uint64_t file_bytes, std::uint32_t block_bytes,
                     std::uint64_t ahead_max_bytes)
    : file_bytes_(file_bytes), block_bytes_(block_bytes), ahead_max_bytes_(ahead_max_bytes) {
  CHECK(block_bytes > 0);
}

ByteRange ReadAhead::Read(std::uint64_t offset, std::uint64_t length) {
  const bool in_order =
      offset >= expected_ && offset - expected_ <= block_bytes_ && (expected_ > 0 || offset == 0);
  const std::uint64_t end = offset + std::min(length, file_bytes_ - std::min(offset, file_bytes_));
  expected_ = end;
  if (!in_order) {
    ahead_bytes_ = 0;
    asked_until_ = 0;
    return {};
  }
  ahead_bytes_ = std::min(ahead_bytes_ == 0 ? block_bytes_ : 2 * ahead_bytes_, ahead_max_bytes_);
  const auto round_up = [this](std::uint64_t at) {
    return (at + block_bytes_ - 1) / block_bytes_ * block_bytes_;
  };
  const std::uint64_t from = std::max(round_up(end), asked_until_);
  const std::uint64_t until =
      std::min(round_up(end) + ahead_bytes_ / block_bytes_ * block_bytes_, file_bytes_);
  if (until <= from) return {};
  asked_until_ = until;
  return {from, until - from};
}

}  // namespace forebay
