// BlockArrival and ChunkArrival: take the frames of one block reply; the first puts the wanted
// bytes where they belong, the second hands them on in order while more arrive.
//
// Invariant: a reply counts as complete only once every wanted byte came with a good checksum.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "client/buffer_pool.h"
#include "rpc/channel.h"

namespace forebay {

// The part of a block that is wanted, and where it goes.
struct ArrivalRange {
  std::uint32_t block_bytes = 0;  // Of this block: the last one of a file may be shorter.
  std::uint32_t offset = 0;       // In the block.
  std::span<std::byte> destination;
};

// Thread safety: as BlockReceiver says; `last_progress` from any thread.
class Arrival : public BlockReceiver {
 public:
  Clock::time_point last_progress() const {
    return Clock::time_point(Clock::duration(last_progress_.load()));
  }

 protected:
  void Progressed() { last_progress_ = Clock::now().time_since_epoch().count(); }

 private:
  std::atomic<Clock::rep> last_progress_ = Clock::now().time_since_epoch().count();
};

class BlockArrival : public Arrival {
 public:
  // `done` is called once, at the end; it must not block. An end without all bytes is kInternal.
  BlockArrival(const ArrivalRange& range, std::function<void(Outcome)> done);

  std::span<std::byte> Destination(std::uint32_t offset, std::uint32_t length) override;
  void Received(std::uint32_t offset, std::uint32_t length,
                std::span<const std::uint32_t> checksums) override;
  void Done(Outcome outcome) override;

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
};

// The next bytes of a read, verified.
struct Chunk {
  BlockBuffer buffer;
  std::size_t bytes = 0;
};

// Takes bytes into memory of a pool, no more of it than has arrived and is not handed on: memory
// that is used again while it is in a cache costs half of what a block's own does (4 streams over
// loopback: docs/benchmarks.md).
class ChunkArrival : public Arrival {
 public:
  // Takes a chunk while more are to come; or, at the end, the last one with the outcome. It must
  // not block.
  using Take = std::function<void(Chunk chunk, std::optional<Outcome> outcome)>;

  // Bytes [begin, end) of a block: both at granules' borders, or the block's end.
  ChunkArrival(std::uint32_t begin, std::uint32_t end, std::shared_ptr<BufferPool> pool, Take take);

  std::span<std::byte> Destination(std::uint32_t offset, std::uint32_t length) override;
  void Received(std::uint32_t offset, std::uint32_t length,
                std::span<const std::uint32_t> checksums) override;
  void Done(Outcome outcome) override;

 private:
  std::uint32_t next_;
  const std::uint32_t end_;
  const std::shared_ptr<BufferPool> pool_;
  const Take take_;
  Chunk arriving_;
  Chunk last_;  // Complete, and goes with the outcome.
};

}  // namespace forebay
