#include "client/block_reads.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace forebay {
namespace {

// Requests for small parts cost a worker little: so many count as one block of the window.
constexpr std::size_t kSmallPerBlock = 8;

// So many holders may send a read on; then the less busy of them is insisted upon.
constexpr std::size_t kRefusalsMax = 2;

// A read that waits for its turn at the upstream looks so often for a worker that is well again.
constexpr std::chrono::milliseconds kReturnAfter{200};

template <typename T>
bool Contains(const std::vector<T>& all, const T& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

BlockReads::BlockReads(Backends& backends)
    : backends_(backends), mailbox_(std::make_shared<Mailbox<Letter>>()) {}

BlockReads::~BlockReads() {
  for (auto& [id, read] : reads_) GiveUp(read);
}

bool BlockReads::MayStart(std::size_t bytes) const {
  if (!window_) return true;
  const std::uint64_t block_bytes = window_block_bytes_;
  const std::uint64_t by_bytes = (bytes_under_way_ + block_bytes - 1) / block_bytes;
  const std::uint64_t by_count = (reads_.size() + kSmallPerBlock - 1) / kSmallPerBlock;
  return window_->MayStart(static_cast<std::uint32_t>(std::max(by_bytes, by_count)),
                           bytes_under_way_, static_cast<std::uint32_t>(bytes));
}

BlockReads::Id BlockReads::Start(BlockWant want) {
  const std::uint32_t block_bytes = want.file->store->rules.block_bytes;
  if (block_bytes > window_block_bytes_) {
    window_block_bytes_ = block_bytes;
    window_.emplace(
        WindowOptions{.block_bytes = block_bytes, .bytes_max = backends_.limits.window_bytes_max});
  }
  CHECK(want.bytes() > 0);
  CHECK(want.offset + want.bytes() <= want.file->attributes.size);
  CHECK(want.offset % block_bytes + want.bytes() <= block_bytes);
  const Id id = next_id_++;
  Read read;
  read.key = BlockKey{want.file->key, static_cast<std::uint32_t>(want.offset / block_bytes)};
  read.want = std::move(want);
  bytes_under_way_ += read.want.bytes();
  AskNext(id, reads_.emplace(id, std::move(read)).first->second);
  return id;
}

bool BlockReads::WasAsked(const Read& read, const WorkerRef& worker) {
  const bool silent = std::ranges::any_of(read.silent, [&worker](const Silent& asked) {
    return asked.worker == worker && worker->link->last_heard() <= asked.until;
  });
  return silent || Contains(read.failed, worker) || Contains(read.refused, worker);
}

// Not to be insisted upon either.
void BlockReads::GiveUpOn(Read& read, const WorkerRef& worker) {
  std::erase(read.refused, worker);
  read.failed.push_back(worker);
}

// The next to ask: a holder that was not asked yet, else one that refused for want of room, else
// who acts as home when no holder answers, else the upstream.
void BlockReads::AskNext(Id id, Read& read) {
  if (!backends_.workers.empty()) {
    const auto was_asked = [&read](const WorkerRef& worker) { return WasAsked(read, worker); };
    std::vector<WorkerRef> fresh =
        backends_.workers.Holders(read.key, read.want.file->store->rules.replicas);
    const std::size_t holders = fresh.size();
    std::erase_if(fresh, was_asked);
    // Two queues compared are nearly as good as all (and every refusal is a round trip).
    if (read.refused.size() >= kRefusalsMax) fresh.clear();
    if (WorkerRef worker = backends_.workers.Ask(fresh)) {
      return AskWorker(id, read, std::move(worker), false);
    }
    if (WorkerRef worker = backends_.workers.Ask(read.refused)) {
      return AskWorker(id, read, std::move(worker), true);
    }
    std::vector<WorkerRef> successors = backends_.workers.Successors(read.key, holders);
    std::erase_if(successors, was_asked);
    for (const WorkerRef& successor : successors) {  // In the ring's order, whoever is idle.
      if (backends_.workers.Ask(std::span(&successor, 1))) {
        return AskWorker(id, read, successor, true);
      }
    }
  }
  AskUpstream(id, read);
}

void BlockReads::AskWorker(Id id, Read& read, WorkerRef worker, bool insist) {
  const BlockWant& want = read.want;
  const std::uint32_t block_bytes = want.file->store->rules.block_bytes;
  const std::uint64_t block_start = std::uint64_t{read.key.index} * block_bytes;
  const auto offset = static_cast<std::uint32_t>(want.offset + read.handed_on - block_start);
  read.at_upstream = false;
  read.worker = std::move(worker);
  read.asked_epoch = backends_.workers.epoch();
  read.asked_at = Clock::now();
  ++read.attempt;
  read.arrival = MakeArrival(id, read, offset);
  const BlockCall call{
      .block = ReadBlock{.store = want.file->store->url,
                         .path = want.file->path,
                         .version = want.file->attributes.version,
                         .file_size = want.file->attributes.size,
                         .index = read.key.index,
                         .offset = offset,
                         .length = static_cast<std::uint32_t>(want.bytes() - read.handed_on),
                         .block_bytes = block_bytes},
      .insist = insist,
      .recheck = Contains(read.rechecked, read.worker),
      .domain = want.file->key.domain,
      .deadline = want.deadline};
  read.call = read.worker->link->StartRead(call, read.arrival);
  check_at_ = std::min(check_at_, NextCheck(read));
}

std::shared_ptr<Arrival> BlockReads::MakeArrival(Id id, const Read& read, std::uint32_t offset) {
  const BlockWant& want = read.want;
  if (want.pool) {
    return std::make_shared<ChunkArrival>(
        offset, offset + static_cast<std::uint32_t>(want.bytes() - read.handed_on), want.pool,
        [mailbox = mailbox_, id, attempt = read.attempt](
            Chunk chunk, std::optional<BlockReceiver::Outcome> outcome) {
          mailbox->Post(Letter{id, attempt, false, std::move(outcome), std::move(chunk)});
        });
  }
  const std::uint32_t block_bytes = want.file->store->rules.block_bytes;
  const std::uint64_t block_start = std::uint64_t{read.key.index} * block_bytes;
  const ArrivalRange range{.block_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(
                               want.file->attributes.size - block_start, block_bytes)),
                           .offset = offset,
                           .destination = want.destination};
  return std::make_shared<BlockArrival>(
      range, [mailbox = mailbox_, id, attempt = read.attempt](BlockReceiver::Outcome outcome) {
        mailbox->Post(Letter{id, attempt, false, std::move(outcome)});
      });
}

void BlockReads::AskUpstream(Id id, Read& read) {
  read.at_upstream = true;
  read.return_at = Clock::now() + kReturnAfter;
  read.arrival = nullptr;
  ++read.attempt;
  std::span<std::byte> destination = read.want.destination;
  if (read.want.pool) {
    const std::size_t left = read.want.bytes() - read.handed_on;
    read.buffer = read.want.pool->Get(left);
    destination = {read.buffer.memory.get(), left};
  }
  check_at_ = std::min(check_at_, NextCheck(read));
  read.job = backends_.upstream_reads.Start(UpstreamRead{
      .file = read.want.file,
      .offset = read.want.offset + read.handed_on,
      .destination = destination,
      .deadline = read.want.deadline,
      .done = [mailbox = mailbox_, id, attempt = read.attempt](Status status) {
        mailbox->Post(Letter{id, attempt, true, BlockReceiver::Outcome{std::move(status), {}}});
      }});
}

// Ends the current attempt; its letter, if it is in the mailbox already, will be ignored.
void BlockReads::GiveUp(Read& read) {
  ++read.attempt;
  if (read.at_upstream) {
    backends_.upstream_reads.Cancel(read.job);
  } else {
    read.worker->link->Cancel(read.call);
    backends_.workers.Abandoned(read.worker);
  }
}

void BlockReads::Cancel(Id id) {
  std::erase_if(ended_, [id](const Ended& ended) { return ended.id == id; });
  const auto found = reads_.find(id);
  if (found == reads_.end()) return;  // It had ended, and nobody had asked yet.
  GiveUp(found->second);
  bytes_under_way_ -= found->second.want.bytes();
  reads_.erase(found);
}

void BlockReads::End(Id id, Status status) {
  const auto found = reads_.find(id);
  // A snapshot still has the file: it is only its bytes that are nowhere any more.
  if (!status.ok() && status.error().code() == Code::kNotFound &&
      found->second.want.file->store->rules.pinned()) {
    status = Error(Code::kChanged, "the snapshot's version is gone: " + status.error().message());
  }
  bytes_under_way_ -= found->second.want.bytes();
  reads_.erase(found);
  ended_.push_back(Ended{id, std::move(status)});
}

std::optional<BlockReads::Ended> BlockReads::Next(Deadline until, const std::stop_token& stop) {
  Deadline wait_until = Deadline::min();  // First what is there already.
  for (bool looked = false;; looked = true) {
    bool woken = false;
    for (Letter& letter : mailbox_->Take(wait_until, stop)) {
      woken |= letter.id == 0;
      Handle(std::move(letter));
    }
    if (!ended_.empty()) {
      Ended ended = std::move(ended_.front());
      ended_.pop_front();
      return ended;
    }
    const Clock::time_point now = Clock::now();
    if (woken || stop.stop_requested() || (looked && now >= until)) return std::nullopt;
    if (now >= check_at_) CheckTime(now);
    wait_until = ended_.empty() ? std::min(until, check_at_) : Deadline::min();
  }
}

void BlockReads::Handle(Letter letter) {
  const auto found = reads_.find(letter.id);
  if (found == reads_.end() || found->second.attempt != letter.attempt) return;
  Read& read = found->second;
  if (letter.chunk.bytes > 0) HandleChunk(letter.id, read, std::move(letter.chunk));
  if (!letter.outcome) return;
  if (!letter.from_upstream) return HandleWorker(letter.id, read, *std::move(letter.outcome));
  if (letter.outcome->status.ok()) {
    const std::size_t left = read.want.bytes() - read.handed_on;
    backends_.upstream_bytes += left;
    window_->Replied(0);
    if (read.want.pool) HandleChunk(letter.id, read, Chunk{std::move(read.buffer), left});
  }
  End(letter.id, std::move(letter.outcome->status));
}

void BlockReads::HandleChunk(Id id, Read& read, Chunk chunk) {
  read.handed_on += chunk.bytes;
  ended_.push_back(Ended{id, {}, std::move(chunk), /*more=*/true});
}

void BlockReads::HandleWorker(Id id, Read& read, BlockReceiver::Outcome outcome) {
  Workers& workers = backends_.workers;
  const WorkerRef worker = read.worker;
  // All bytes are here and verified, even if only the end of the call is missing.
  if (read.want.pool && read.handed_on == read.want.bytes()) outcome.status = {};
  if (outcome.status.ok()) {
    workers.Answered(worker, read.key.file, outcome.load);
    window_->Replied(outcome.load.queue_depth);
    const bool upstream = outcome.waited_for_fill && !outcome.from_peer;
    (upstream ? backends_.upstream_bytes : backends_.peer_bytes) += read.want.bytes();
    return End(id, {});
  }
  switch (outcome.status.error().code()) {
    case Code::kOverloaded:  // Healthy and full; its reply says who else holds the block.
      workers.Answered(worker, read.key.file, outcome.load);
      window_->Replied(outcome.load.queue_depth);
      if (Contains(read.refused, worker)) {
        // Refused although insisted upon: it takes no more from anybody.
        GiveUpOn(read, worker);
      } else {
        read.refused.push_back(worker);
      }
      return AskNext(id, read);
    case Code::kCorrupt:
      ++backends_.checksum_failures;
      workers.Answered(worker, read.key.file, outcome.load);
      if (!Contains(read.rechecked, worker)) {
        read.rechecked.push_back(worker);
        if (workers.Ask(std::span(&worker, 1))) return AskWorker(id, read, worker, false);
      }
      GiveUpOn(read, worker);
      return AskNext(id, read);
    case Code::kStale:  // Whoever holds the block by the newer map is asked at once.
      workers.AnsweredOther(worker);
      if (workers.epoch() <= read.asked_epoch) GiveUpOn(read, worker);
      return AskNext(id, read);
    case Code::kNotHere:
    case Code::kDeadlineExceeded:  // Of a fill that somebody else began earlier; ours is not over.
      workers.Answered(worker, read.key.file, outcome.load);
      GiveUpOn(read, worker);
      return AskNext(id, read);
    case Code::kUnavailable:
    case Code::kInternal:
    case Code::kCancelled:  // Not by us: the worker is on its way out.
      // What it answered is the store's trouble; only silence is the worker's own.
      if (worker->link->last_heard() >= read.asked_at) {
        workers.Answered(worker, read.key.file, outcome.load);
      } else {
        workers.Failed(worker);
      }
      GiveUpOn(read, worker);
      return AskNext(id, read);
    case Code::kNotFound:
    case Code::kInvalidArgument:  // Also a refused handshake: its words say what to change.
    case Code::kChanged:
    case Code::kDenied:
      workers.Answered(worker, read.key.file, outcome.load);
      return End(id, std::move(outcome.status).error().Within("worker " + worker->name));
  }
}

// What is to be done about a read is never due earlier than was found when it was last looked at:
// signs of life put it off.
void BlockReads::CheckTime(Clock::time_point now) {
  std::vector<Id> ids;
  for (const auto& [id, read] : reads_) ids.push_back(id);
  for (const Id id : ids) {
    Read& read = reads_.at(id);
    if (now >= read.want.deadline) {
      GiveUp(read);
      End(id, Error(Code::kDeadlineExceeded, "no answer within the deadline"));
    } else if (!read.at_upstream) {
      CheckWorker(id, read, now);
    } else if (now >= read.return_at) {
      ReturnToWorkers(id, read, now);
    }
  }
  check_at_ = Clock::time_point::max();
  for (const auto& [id, read] : reads_) check_at_ = std::min(check_at_, NextCheck(read));
}

void BlockReads::CheckWorker(Id id, Read& read, Clock::time_point now) {
  WorkerLink& link = *read.worker->link;
  if (now >= GiveUpAt(read)) {
    ++read.attempt;
    link.Cancel(read.call);
    if (Pinged(read)) {
      backends_.workers.Failed(read.worker);
      std::erase(read.refused, read.worker);
      read.silent.push_back({read.worker, now});
    } else {  // It lives, and is only slow.
      backends_.workers.Abandoned(read.worker);
      GiveUpOn(read, read.worker);
    }
    AskNext(id, read);
  } else if (!Pinged(read) && now >= PingAt(read)) {
    read.pinged_at = now;
    link.Ping();
  }
}

// When all workers stood still for a moment, thousands of reads may wait for the few connections to
// the upstream, which was to be spared.
void BlockReads::ReturnToWorkers(Id id, Read& read, Clock::time_point now) {
  read.return_at = now + kReturnAfter;
  std::vector<WorkerRef> holders =
      backends_.workers.Holders(read.key, read.want.file->store->rules.replicas);
  std::erase_if(holders, [&read](const WorkerRef& worker) { return WasAsked(read, worker); });
  WorkerRef worker = backends_.workers.Ask(holders);
  if (!worker) return;
  if (!backends_.upstream_reads.Withdraw(read.job)) return backends_.workers.Abandoned(worker);
  if (read.want.pool) read.want.pool->Put(std::move(read.buffer));
  AskWorker(id, read, std::move(worker), false);
}

// Leaves the upstream half of a short deadline.
Clock::duration BlockReads::Patience(const Read& read) const {
  return std::min<Clock::duration>(backends_.limits.stall_patience,
                                   (read.want.deadline - read.asked_at) / 2);
}

Clock::time_point BlockReads::LastHeard(const Read& read) const {
  return std::max({read.asked_at, read.arrival->last_progress(), read.worker->link->last_heard()});
}

bool BlockReads::Pinged(const Read& read) const {
  return read.pinged_at > LastHeard(read);
}

Clock::time_point BlockReads::PingAt(const Read& read) const {
  return LastHeard(read) + Patience(read) / 2;
}

// A worker that does not answer a ping has stopped; that takes a ping, because silence may also
// mean that this thread was elsewhere. One that answers may have a long queue or a slow store: it
// gets half of the time there is.
Clock::time_point BlockReads::GiveUpAt(const Read& read) const {
  const Clock::time_point progress = std::max(read.asked_at, read.arrival->last_progress());
  const Clock::time_point slow = progress + (read.want.deadline - read.asked_at) / 2;
  return Pinged(read) ? std::min(slow, read.pinged_at + Patience(read) / 2) : slow;
}

Clock::time_point BlockReads::NextCheck(const Read& read) const {
  if (read.at_upstream) {
    return backends_.workers.empty() ? read.want.deadline
                                     : std::min(read.want.deadline, read.return_at);
  }
  const Clock::time_point next = std::min(read.want.deadline, GiveUpAt(read));
  return Pinged(read) ? next : std::min(next, PingAt(read));
}

}  // namespace forebay
