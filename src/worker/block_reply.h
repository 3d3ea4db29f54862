// BlockReply: sends a range of a block, as far as it is there, while it arrives.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "rpc/server.h"
#include "store/memory_tier.h"
#include "worker/stores.h"

namespace forebay {

class BlockReply : public Reply {
 public:
  struct Options {
    std::uint32_t offset = 0;  // Of the range in the block; need not be aligned.
    std::uint32_t length = 0;
    bool fill_only = false;
    std::uint16_t holders = 1;
    std::shared_ptr<Waker> waker;
    // Where the block came from; read when it is sent, as a fill may learn it late.
    std::shared_ptr<const std::atomic<BlockSource>> source;
    // Called once, with the bytes sent, when all of the range was.
    std::function<void(BlockSource, std::uint64_t)> done;
    // The frame that ends the reply when the fill failed.
    std::function<ReplyFrame(const Error&)> failed;
  };

  BlockReply(BlockHandle handle, Options options);
  ~BlockReply() override;

  bool Ready() override;
  bool NeedsLink() const override { return !options_.fill_only; }
  std::optional<ReplyFrame> Next() override;

 private:
  ReplyFrame LastFrame(BlockSource source);

  const BlockHandle handle_;
  const Options options_;
  std::uint32_t begin_ = 0;  // Granule-aligned.
  std::uint32_t end_ = 0;    // Granule-aligned, or the block's end.
  std::uint32_t position_ = 0;
};

}  // namespace forebay
