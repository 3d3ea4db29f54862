#include "core/window.h"

#include <algorithm>

#include "base/check.h"

namespace forebay {

Window::Window(const WindowOptions& options)
    : options_(options),
      blocks_max_(static_cast<std::uint32_t>(
          std::clamp<std::uint64_t>(options.bytes_max / options.block_bytes, options.blocks_min,
                                    std::max(options.blocks_min, options.blocks_max)))),
      blocks_(options.blocks_min) {
  CHECK(options.blocks_min > 0);
}

bool Window::MayStart(std::uint32_t outstanding_blocks, std::uint64_t outstanding_bytes,
                      std::uint32_t bytes) const {
  if (outstanding_blocks == 0) return true;
  return outstanding_blocks < blocks_ && outstanding_bytes + bytes <= options_.bytes_max;
}

void Window::Replied(std::uint32_t queue_depth) {
  if (opening_) {
    opening_ = queue_depth < kDepthHigh && blocks_ < blocks_max_;
    if (opening_) ++blocks_;
    return;
  }
  ++replies_;
  depths_ += queue_depth;
  if (replies_ < blocks_) return;
  const std::uint64_t mean = depths_ / replies_;
  if (mean >= kDepthHigh) {
    blocks_ = std::max(options_.blocks_min, blocks_ - (blocks_ + 3) / 4);
  } else if (mean <= kDepthHigh / 2) {
    blocks_ = std::min(blocks_max_, blocks_ + 1);
  }
  replies_ = 0;
  depths_ = 0;
}

}  // namespace forebay
