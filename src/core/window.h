// Window: how many block requests a client keeps outstanding.
//
// Deep hides latency while workers are idle. When many clients share the workers, a deep window
// only makes queues longer and holders worse chosen: a request is then placed as late as possible.
#pragma once

#include <cstdint>

namespace forebay {

struct WindowOptions {
  std::uint32_t block_bytes = 4u << 20;
  std::uint32_t blocks_min = 2;  // One arriving, one on its way.
  std::uint32_t blocks_max = 16;
  std::uint64_t bytes_max = 16u << 20;
};

// Thread safety: none; the client guards it.
class Window {
 public:
  // A worker whose queue is this long is busy enough; half as long, and it may get more.
  static constexpr std::uint32_t kDepthHigh = 16;

  // Starts closed: when a burst begins, hundreds of clients ask at once, and each of them asks the
  // homes, as nobody knows of more holders yet. What is asked then is asked of too few.
  explicit Window(const WindowOptions& options);

  // Blocks that may be outstanding now, blocks_min to blocks_max.
  std::uint32_t blocks() const { return blocks_; }

  // Whether one more request of `bytes` may be sent. The first always may.
  bool MayStart(std::uint32_t outstanding_blocks, std::uint64_t outstanding_bytes,
                std::uint32_t bytes) const;

  // A reply came; its worker had `queue_depth` blocks waiting. At first every reply opens the
  // window by one, until a queue is deep. From then on it grows by one or shrinks by a quarter once
  // a window of replies, by their mean depth.
  void Replied(std::uint32_t queue_depth);

 private:
  const WindowOptions options_;
  const std::uint32_t blocks_max_;  // By both limits.
  std::uint32_t blocks_;
  bool opening_ = true;
  std::uint32_t replies_ = 0;
  std::uint64_t depths_ = 0;
};

}  // namespace forebay
