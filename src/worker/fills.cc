#include "worker/fills.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/metrics.h"

namespace forebay {
namespace {

Counter& FillChecksumFailures() {
  static Counter& counter =
      Metrics().AddCounter("forebay_checksum_failures_total",
                           "Bytes that did not match their checksum.", {{"where", "fill"}});
  return counter;
}

// Copies what the upstream sends into the block, and shows it to readers once it is proven.
class BlockSink : public ByteSink {
 public:
  BlockSink(BlockWriter& writer, std::uint32_t filled, bool proven)
      : writer_(writer), proven_(proven), filled_(filled) {}

  Status Write(std::span<const std::byte> bytes) override {
    const std::span<std::byte> space = writer_.bytes().subspan(filled_);
    if (bytes.size() > space.size()) {
      return Error(Code::kInternal, "the upstream sent more than was asked for");
    }
    std::memcpy(space.data(), bytes.data(), bytes.size());
    filled_ += static_cast<std::uint32_t>(bytes.size());
    // The last byte is shown when the whole read has succeeded.
    if (filled_ < writer_.bytes().size()) writer_.Advance(filled_, proven_);
    return {};
  }

  std::uint32_t filled() const { return filled_; }

 private:
  BlockWriter& writer_;
  const bool proven_;
  std::uint32_t filled_;
};

}  // namespace

struct Fills::Task {
  Task(FillJob fill_job, BlockWriter block_writer)
      : job(std::move(fill_job)), writer(std::move(block_writer)) {}

  FillJob job;
  BlockWriter writer;
  std::uint32_t size() { return static_cast<std::uint32_t>(writer.bytes().size()); }

  std::uint32_t filled = 0;  // From peers, verified; a second peer goes on from there.
  std::shared_ptr<std::atomic<BlockSource>> source;
  Deadline deadline;
};

// Takes a block's bytes from a peer straight into the slot.
class Fills::PeerReceiver : public BlockReceiver {
 public:
  explicit PeerReceiver(Task& task) : task_(task) {}

  std::span<std::byte> Destination(std::uint32_t offset, std::uint32_t length) override {
    const std::span<std::byte> space = task_.writer.bytes();
    if (offset != task_.filled || length > space.size() - offset) return {};
    return space.subspan(offset, length);
  }

  void Received(std::uint32_t offset, std::uint32_t length,
                std::span<const std::uint32_t> checksums) override {
    task_.writer.AdvanceVerified(checksums);
    task_.filled = offset + length;
  }

  void Done(Outcome outcome) override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    outcome_ = std::move(outcome);
    changed_.NotifyAll();
  }

  // Waits for the end. Nothing: no progress for `patience`, or asked to stop.
  // A peer that is alive but has to wait itself answers pings, and is waited for.
  std::optional<Outcome> Await(Channel& channel, std::chrono::milliseconds patience,
                               Deadline deadline, const std::stop_token& stop) EXCLUDES(mutex_) {
    constexpr std::chrono::milliseconds kStopPoll{100};
    const Deadline started = Clock::now();
    Deadline pinged = started;
    while (true) {
      const Deadline now = Clock::now();
      const Deadline heard = std::max(started, channel.last_heard());
      if (now >= std::min(deadline, heard + patience) || stop.stop_requested()) {
        return std::nullopt;
      }
      if (now - std::max(heard, pinged) > patience / 3) {
        channel.Ping();
        pinged = now;
      }
      MutexLock lock(mutex_);
      if (!outcome_) changed_.WaitUntil(mutex_, now + kStopPoll);
      if (outcome_) return std::move(outcome_);
    }
  }

 private:
  Task& task_;
  Mutex mutex_;
  CondVar changed_;
  std::optional<Outcome> outcome_ GUARDED_BY(mutex_);
};

Fills::Fills(FillOptions options, Peers& peers)
    : options_(options),
      peers_(peers),
      local_(std::make_shared<const std::atomic<BlockSource>>(BlockSource::kLocal)),
      upstream_queue_(options.queue_max),
      peer_queue_(options.queue_max) {
  for (std::uint32_t i = 0; i < options_.upstream_threads; ++i) {
    threads_.Run("fill-upstream", [this](std::stop_token) { RunUpstream(); });
  }
  for (std::uint32_t i = 0; i < options_.peer_threads; ++i) {
    threads_.Run("fill-peer", [this](std::stop_token stop) { RunPeers(std::move(stop)); });
  }
}

Fills::~Fills() {
  threads_.RequestStop();
  upstream_queue_.Close();
  peer_queue_.Close();
  threads_.StopAndJoin();
}

Fills::Source Fills::Start(FillJob job, BlockWriter writer) {
  const bool home = peers_.IsHome(job.key.Hash64());
  auto task = std::make_shared<Task>(std::move(job), std::move(writer));
  task->deadline = Clock::now() + options_.timeout;
  task->source = std::make_shared<std::atomic<BlockSource>>(home ? BlockSource::kUpstream
                                                                 : BlockSource::kPeer);
  const Source source = task->source;
  {
    MutexLock lock(mutex_);
    sources_[task->job.key] = task->source;
  }
  if (!(home ? upstream_queue_ : peer_queue_).TryPush(task)) {
    End(*task, Error(Code::kOverloaded, "too many blocks wait to be filled"), false);
  }
  return source;
}

Fills::Source Fills::SourceOf(const BlockKey& key) const {
  MutexLock lock(mutex_);
  const auto found = sources_.find(key);
  return found == sources_.end() ? local_ : Source(found->second);
}

void Fills::End(Task& task, Status outcome, bool keep) {
  {
    MutexLock lock(mutex_);
    sources_.erase(task.job.key);
  }
  if (outcome.ok()) {
    task.writer.Complete(keep);
  } else {
    task.writer.Fail(std::move(outcome).error());
  }
}

void Fills::RunUpstream() {
  while (std::optional<std::shared_ptr<Task>> task = upstream_queue_.Pop()) {
    FillFromUpstream(**task);
  }
}

void Fills::RunPeers(std::stop_token stop) {
  while (std::optional<std::shared_ptr<Task>> task = peer_queue_.Pop()) {
    if (FillFromPeers(**task, stop)) continue;
    (*task)->source->store(BlockSource::kUpstream);
    if (!upstream_queue_.TryPush(*task)) {
      End(**task, Error(Code::kOverloaded, "too many blocks wait to be filled"), false);
    }
  }
}

void Fills::FillFromUpstream(Task& task) {
  ServedStore& store = *task.job.path.store;
  const std::uint64_t start = std::uint64_t{task.job.key.index} * options_.block_bytes;
  const ReadRange range{.path = task.job.path.path,
                        .version = task.job.request.version,
                        .file_size = task.job.request.file_size,
                        .offset = start + task.filled,
                        .length = task.writer.bytes().size() - task.filled};
  BlockSink sink(task.writer, task.filled, store.upstream->ProvenWhileStreaming(task.job.path.path));
  const Result<ReadOutcome> read =
      store.upstream->Read(range, sink, task.deadline, threads_.stop_token());
  if (!read.ok()) {
    End(task, read.error(), false);
    return;
  }
  if (sink.filled() != task.writer.bytes().size()) {
    End(task, Error(Code::kInternal, "the upstream sent less than was asked for"), false);
    return;
  }
  task.writer.Advance(sink.filled(), /*publish=*/true);
  End(task, {}, read.value().cacheable);
}

bool Fills::FillFromPeers(Task& task, std::stop_token stop) {
  for (const std::uint32_t member : peers_.Before(task.job.key.Hash64())) {
    for (const bool recheck : {false, true}) {
      Status status = FillFromPeer(task, member, recheck, stop);
      if (status.ok()) {
        End(task, {}, /*keep=*/true);
        return true;
      }
      switch (status.error().code()) {
        case Code::kCorrupt:
          FillChecksumFailures().Add();
          if (!recheck) continue;  // Once more, and the peer looks at its copy first.
          break;
        case Code::kNotHere:
        case Code::kUnavailable:
        case Code::kOverloaded:
        case Code::kStale:
        case Code::kInternal:
        case Code::kDeadlineExceeded: break;
        case Code::kNotFound:
        case Code::kInvalidArgument:
        case Code::kChanged:
        case Code::kDenied:
        case Code::kCancelled: End(task, std::move(status), false); return true;
      }
      Log(Level::kWarning, "peer did not fill a block",
          {{"peer", peers_.ring().name(member)}, {"error", status.error().message()}});
      break;
    }
  }
  return false;
}

Status Fills::FillFromPeer(Task& task, std::uint32_t member, bool recheck, std::stop_token stop) {
  BlockCall call;
  call.block = task.job.request;
  call.block.offset = task.filled;
  call.block.length = task.size() - task.filled;
  call.insist = true;
  call.peer = true;
  call.recheck = recheck;
  call.domain = task.job.domain;
  call.deadline = task.deadline;
  const auto receiver = std::make_shared<PeerReceiver>(task);
  Channel& channel = peers_.channel(member);
  const Deadline asked_at = Clock::now();
  peers_.Tried(member);
  const Channel::CallId id = channel.StartRead(call, receiver);
  std::optional<BlockReceiver::Outcome> outcome =
      receiver->Await(channel, options_.patience, task.deadline, stop);
  if (!outcome) {
    channel.Cancel(id);
    // All bytes are here and verified; only the end of the call is missing.
    if (task.filled == task.size()) return {};
    if (stop.stop_requested()) return Error(Code::kCancelled, "the worker stops");
    peers_.Failed(member);
    return Error(Code::kUnavailable, "it sent nothing for a while");
  }
  if (task.filled == task.size()) outcome->status = {};
  if (outcome->status.ok() && task.filled != task.size()) {
    return Error(Code::kInternal, "it sent less than was asked for");
  }
  // An error that it answered is the store's or the file's; only silence is the peer's own.
  if (outcome->status.ok() || channel.last_heard() >= asked_at) {
    peers_.Answered(member);
  } else {
    peers_.Failed(member);
  }
  return std::move(outcome->status);
}

}  // namespace forebay
