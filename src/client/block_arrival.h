// BlockArrival: takes the frames of one block reply, and puts the wanted bytes where they belong.
//
// Invariant: a reply counts as complete only once every wanted byte came with a good checksum.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "rpc/channel.h"

namespace forebay {

// The part of a block that is wanted, and where it goes.
struct ArrivalRange {
  std::uint32_t block_bytes = 0;  // Of this block: the last one of a file may be shorter.
  std::uint32_t offset = 0;       // In the block.
  std::span<std::byte> destination;
};

// Thread safety: as BlockReceiver says; `last_progress` from any thread.
class BlockArrival : public BlockReceiver {
 public:
  // `done` is called once, at the end; it must not block. An end without all bytes is kInternal.
  BlockArrival(const ArrivalRange& range, std::function<void(Outcome)> done);

  std::span<std::byte> Destination(std::uint32_t offset, std::uint32_t length) override;
  void Received(std::uint32_t offset, std::uint32_t length,
                std::span<const std::uint32_t> checksums) override;
  void Done(Outcome outcome) override;

  Clock::time_point last_progress() const {
    return Clock::time_point(Clock::duration(last_progress_.load()));
  }

 private:
  std::uint32_t first_granule() const;
  // Whether the run is one that may be an answer to what was asked.
  bool Fits(std::uint32_t offset, std::uint32_t length) const;
  bool Inside(std::uint32_t offset, std::uint32_t length) const;

  const ArrivalRange range_;
  const std::uint32_t end_;  // Of the wanted bytes, in the block.
  const std::function<void(Outcome)> done_;
  std::vector<bool> granules_;      // Which of the wanted ones are there.
  std::uint32_t missing_;           // How many are not.
  std::vector<std::byte> scratch_;  // For runs that reach beyond the wanted bytes.
  std::atomic<Clock::rep> last_progress_;
};

}  // namespace forebay
