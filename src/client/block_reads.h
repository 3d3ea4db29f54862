// BlockReads: reads of parts of blocks that are under way, each followed until it has succeeded or
// nobody can help: next holder, next holder insisted upon, then the upstream.
//
// "A cache may make a read faster; it may never make a read fail": trouble with workers is reported
// to Workers and stepped over. Only answers about the file itself and the caller's own limits end a
// read.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "client/backends.h"
#include "client/block_arrival.h"
#include "client/mailbox.h"
#include "core/window.h"

namespace forebay {

struct BlockWant {
  std::shared_ptr<const FileVersion> file;
  std::uint64_t offset = 0;  // In the file; the range may not cross a block's border.
  std::span<std::byte> destination;
  Deadline deadline;
  // Instead of `destination`: the bytes come in chunks, in order, in this pool's memory. `offset`
  // is then a block's start, and the range goes to its end.
  std::shared_ptr<BufferPool> pool = nullptr;
  std::size_t chunked_bytes = 0;

  std::size_t bytes() const { return pool ? chunked_bytes : destination.size(); }
};

// Thread safety: none; one thread drives it, and nothing is decided between its calls.
class BlockReads {
 public:
  using Id = std::uint64_t;

  struct Ended {
    Id id = 0;
    Status status;
    Chunk chunk = {};   // Of a read that comes in chunks; may be empty.
    bool more = false;  // It has not ended: this is only a chunk.
  };

  explicit BlockReads(Backends& backends);
  // Cancels what is under way: afterwards nothing writes to any destination.
  ~BlockReads();
  BlockReads(const BlockReads&) = delete;
  BlockReads& operator=(const BlockReads&) = delete;

  // Whether one more read of `bytes` should be started now, by the adaptive window. With none under
  // way it always should.
  bool MayStart(std::size_t bytes) const;

  Id Start(BlockWant want);

  // Waits for a read to end, or for a chunk of one. Nothing once `until` has passed, a stop was
  // requested (at once), or Wake was called.
  std::optional<Ended> Next(Deadline until, const std::stop_token& stop);

  // Nothing writes to its destination any more. It must not have been returned by Next.
  void Cancel(Id id);

  // Ends the current or the next wait of Next. From any thread.
  void Wake() { mailbox_->Post(Letter{}); }

  std::size_t under_way() const { return reads_.size(); }

 private:
  struct Letter {
    Id id = 0;  // 0: from Wake.
    std::uint32_t attempt = 0;
    bool from_upstream = false;
    std::optional<BlockReceiver::Outcome> outcome = std::nullopt;  // Nothing: only a chunk.
    Chunk chunk = {};
  };

  // Was asked, and did not even answer a ping until then.
  struct Silent {
    WorkerRef worker;
    Clock::time_point until;
  };

  // Where a read is now. Workers in `failed`, `silent` and `refused` were asked and did not help.
  struct Read {
    BlockWant want;
    BlockKey key;
    std::vector<WorkerRef> failed;
    std::vector<Silent> silent;
    std::vector<WorkerRef> refused;  // Overloaded: they may be insisted upon.
    std::vector<WorkerRef> rechecked;
    std::uint32_t attempt = 0;  // Outcomes of earlier ones are ignored.
    bool at_upstream = false;
    WorkerRef worker;              // If not at_upstream.
    Channel::CallId call = 0;      // If not at_upstream.
    UpstreamReads::JobId job = 0;  // If at_upstream.
    Clock::time_point return_at;   // If at_upstream: when to look whether a worker is well again.
    std::shared_ptr<Arrival> arrival;
    std::size_t handed_on = 0;      // Bytes, in chunks.
    BlockBuffer buffer;             // For the rest, if chunks are wanted and it is at_upstream.
    std::uint64_t asked_epoch = 0;  // Of the map by which the worker was chosen.
    Clock::time_point asked_at;
    Clock::time_point pinged_at;
  };

  static bool WasAsked(const Read& read, const WorkerRef& worker);
  static void GiveUpOn(Read& read, const WorkerRef& worker);
  void AskNext(Id id, Read& read);
  void AskWorker(Id id, Read& read, WorkerRef worker, bool insist);
  void AskUpstream(Id id, Read& read);
  void GiveUp(Read& read);
  void Handle(Letter letter);
  std::shared_ptr<Arrival> MakeArrival(Id id, const Read& read, std::uint32_t offset);
  void HandleChunk(Id id, Read& read, Chunk chunk);
  void HandleWorker(Id id, Read& read, BlockReceiver::Outcome outcome);
  void End(Id id, Status status);
  void CheckTime(Clock::time_point now);
  void CheckWorker(Id id, Read& read, Clock::time_point now);
  void ReturnToWorkers(Id id, Read& read, Clock::time_point now);
  // When something is to be done about a silent worker: first to ping it, then to give it up.
  Clock::time_point PingAt(const Read& read) const;
  Clock::time_point GiveUpAt(const Read& read) const;
  bool Pinged(const Read& read) const;
  Clock::duration Patience(const Read& read) const;
  Clock::time_point LastHeard(const Read& read) const;
  Clock::time_point NextCheck(const Read& read) const;

  Backends& backends_;
  const std::shared_ptr<Mailbox<Letter>> mailbox_;
  // By the largest blocks seen so far; nothing before the first read.
  std::uint32_t window_block_bytes_ = 0;
  std::optional<Window> window_;
  Id next_id_ = 1;
  std::map<Id, Read> reads_;
  std::uint64_t bytes_under_way_ = 0;
  std::deque<Ended> ended_;
  // When to look at the reads next: not later than anything is to be done about one of them.
  Clock::time_point check_at_ = Clock::time_point::max();
};

}  // namespace forebay
