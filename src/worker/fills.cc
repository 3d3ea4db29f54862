#include "worker/fills.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
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
  std::set<std::string, std::less<>> asked;  // Peers, for this fill.
  bool looked = false;                       // Control was asked for news since the last step.
  FillAction action = FillAction::kUpstream;
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

Fills::Fills(FillOptions options, GroupSource& group, Peers& peers)
    : options_(options),
      group_(group),
      peers_(peers),
      local_(std::make_shared<const std::atomic<BlockSource>>(BlockSource::kLocal)),
      upstream_queue_(options.queue_max),
      peer_queue_(options.queue_max) {
  constexpr std::uint32_t kSpare = 3;  // One thread more for every three.
  const std::uint32_t threads = options_.upstream_threads + options_.upstream_threads / kSpare + 1;
  for (std::uint32_t i = 0; i < threads; ++i) {
    threads_.Run("fill-upstream", [this](std::stop_token) { RunUpstream(); });
  }
  for (std::uint32_t i = 0; i < options_.peer_threads; ++i) {
    threads_.Run("fill-peer", [this](std::stop_token stop) { RunPeers(stop); });
  }
}

Fills::~Fills() {
  threads_.RequestStop();
  upstream_queue_.Close();
  peer_queue_.Close();
  threads_.StopAndJoin();
}

Fills::Source Fills::Start(FillJob job, BlockWriter writer) {
  auto task = std::make_shared<Task>(std::move(job), std::move(writer));
  task->deadline = Clock::now() + options_.timeout;
  task->source = std::make_shared<std::atomic<BlockSource>>(BlockSource::kPeer);
  const Source source = task->source;
  const std::shared_ptr<const GroupView> view = group_.view();
  const FillAction action = NextStep(*view, *task).action;
  {
    MutexLock lock(mutex_);
    flights_[task->job.key] = {task->source, action};
  }
  HandOn(task, action);
  return source;
}

// To the threads that can take step `action`.
void Fills::HandOn(const TaskPointer& task, FillAction action) {
  SetUnderWay(*task, action);
  const bool upstream = action == FillAction::kUpstream;
  task->source->store(upstream ? BlockSource::kUpstream : BlockSource::kPeer);
  if (!(upstream ? upstream_queue_ : peer_queue_).TryPush(task)) {
    End(*task, Error(Code::kOverloaded, "too many blocks wait to be filled"), false);
  }
}

void Fills::SetUnderWay(Task& task, FillAction action) {
  task.action = action;
  MutexLock lock(mutex_);
  const auto flight = flights_.find(task.job.key);
  if (flight != flights_.end()) flight->second.under_way = action;
}

Fills::Source Fills::SourceOf(const BlockKey& key) const {
  MutexLock lock(mutex_);
  const auto found = flights_.find(key);
  return found == flights_.end() ? local_ : Source(found->second.source);
}

namespace {

FillView ViewOf(const GroupView& view, std::uint64_t newest, const std::string& self) {
  return {view.placement, view.map.epoch, newest, self, view.returned};
}

}  // namespace

FillStep Fills::NextStep(const GroupView& view, const Task& task) {
  FillQuestion question = task.job.question;
  std::uint64_t newest = group_.newest_epoch();
  if (task.looked) {
    // Nothing newer can be had: what is known has to do.
    newest = view.map.epoch;
    question.epoch = std::min(question.epoch, view.map.epoch);
  }
  return NextFillStep(ViewOf(view, newest, peers_.self()), question,
                      [this, &task](std::string_view peer) {
                        return !task.asked.contains(peer) && peers_.MayTry(peer);
                      });
}

FillAction Fills::FirstStep(const FillQuestion& question, bool looked) {
  const std::shared_ptr<const GroupView> view = group_.view();
  FillQuestion known = question;
  if (looked) known.epoch = std::min(known.epoch, view->map.epoch);
  const std::uint64_t newest = looked ? view->map.epoch : group_.newest_epoch();
  return NextFillStep(ViewOf(*view, newest, peers_.self()), known,
                      [this](std::string_view peer) { return peers_.MayTry(peer); })
      .action;
}

bool Fills::MayJoin(const BlockKey& key, const FillQuestion& question) {
  const std::shared_ptr<const GroupView> view = group_.view();
  MutexLock lock(mutex_);
  const auto flight = flights_.find(key);
  std::optional<FillAction> under_way;
  if (flight != flights_.end()) under_way = flight->second.under_way;
  return MayJoinFill(ViewOf(*view, view->map.epoch, peers_.self()), question, under_way);
}

void Fills::End(Task& task, Status outcome, bool keep) {
  {
    MutexLock lock(mutex_);
    flights_.erase(task.job.key);
  }
  if (outcome.ok()) {
    task.writer.Complete(keep);
  } else {
    task.writer.Fail(std::move(outcome).error());
  }
}

void Fills::RunUpstream() {
  while (const std::optional<TaskPointer> popped = upstream_queue_.Pop()) {
    if (!Admit(*popped)) continue;
    const std::uint64_t store = (*popped)->job.path.store->number;
    for (TaskPointer task = *popped; task != nullptr; task = NextOf(store)) FillFromUpstream(task);
  }
}

// Whether the task's store may have one more fill now; else it waits for one of that store to end.
bool Fills::Admit(const TaskPointer& task) {
  {
    MutexLock lock(mutex_);
    StoreLoad& load = stores_[task->job.path.store->number];
    if (load.running < options_.upstream_threads) {
      ++load.running;
      return true;
    }
    if (waiting_ < options_.queue_max) {
      ++waiting_;
      load.waiting.push_back(task);
      return false;
    }
  }
  End(*task, Error(Code::kOverloaded, "too many blocks wait for this store"), false);
  return false;
}

Fills::TaskPointer Fills::NextOf(std::uint64_t store) {
  MutexLock lock(mutex_);
  StoreLoad& load = stores_[store];
  if (load.waiting.empty() || threads_.stop_token().stop_requested()) {
    if (--load.running == 0 && load.waiting.empty()) stores_.erase(store);
    return nullptr;
  }
  TaskPointer next = std::move(load.waiting.front());
  load.waiting.pop_front();
  --waiting_;
  return next;
}

void Fills::RunPeers(const std::stop_token& stop) {
  while (const std::optional<TaskPointer> task = peer_queue_.Pop()) Advance(*task, stop);
}

// Takes steps until the block is filled or failed, or the store is to be asked.
void Fills::Advance(const TaskPointer& task, const std::stop_token& stop) {
  while (true) {
    if (stop.stop_requested())
      return End(*task, Error(Code::kCancelled, "the worker stops"), false);
    if (Passed(task->deadline)) {
      return End(*task, Error(Code::kDeadlineExceeded, "nobody filled the block in time"), false);
    }
    const std::shared_ptr<const GroupView> view = group_.view();
    const FillStep step = NextStep(*view, *task);
    switch (step.action) {
      case FillAction::kAskHolder:
      case FillAction::kAskBefore: {
        SetUnderWay(*task, step.action);
        const std::string peer(step.peer);
        task->asked.insert(peer);
        if (FillFromPeer(*task, peer, stop)) return;
        task->looked = false;
        break;
      }
      case FillAction::kRefreshFirst:
        group_.AwaitNews(std::min(task->deadline, Clock::now() + options_.news_patience), stop);
        task->looked = true;
        break;
      case FillAction::kUpstream: return HandOn(task, FillAction::kUpstream);
      case FillAction::kStale:
        return End(*task, Error(Code::kStale, "the group has a newer map"), false);
      case FillAction::kNotHere:
        return End(*task, Error(Code::kNotHere, "another worker holds the block"), false);
    }
  }
}

void Fills::FillFromUpstream(const TaskPointer& pointer) {
  Task& task = *pointer;
  {
    // The group may have changed while the task waited.
    const std::shared_ptr<const GroupView> view = group_.view();
    const FillAction action = NextStep(*view, task).action;
    if (action != FillAction::kUpstream) return HandOn(pointer, action);
  }
  const ServedStore& store = *task.job.path.store;
  const std::uint64_t start = std::uint64_t{task.job.key.index} * task.job.request.block_bytes;
  const ReadRange range{.path = task.job.path.path,
                        .version = task.job.request.version,
                        .file_size = task.job.request.file_size,
                        .offset = start + task.filled,
                        .length = task.writer.bytes().size() - task.filled};
  BlockSink sink(task.writer, task.filled,
                 store.upstream->ProvenWhileStreaming(task.job.path.path));
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

bool Fills::FillFromPeer(Task& task, const std::string& peer, const std::stop_token& stop) {
  for (const bool recheck : {false, true}) {
    Status status = AskPeer(task, peer, recheck, stop);
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
      case Code::kStale:
        // Ordinary while rings change.
        if (task.action == FillAction::kAskBefore) return false;
        break;
      case Code::kUnavailable:
      case Code::kOverloaded:
      case Code::kInternal:
      case Code::kDeadlineExceeded: break;
      case Code::kNotFound:
      case Code::kInvalidArgument:
      case Code::kChanged:
      case Code::kDenied: End(task, std::move(status), false); return true;
      case Code::kCancelled:
        // The peer left the group under this call, or this worker stops.
        if (!stop.stop_requested()) break;
        End(task, std::move(status), false);
        return true;
    }
    Log(Level::kWarning, "peer did not fill a block",
        {{"peer", peer}, {"error", status.error().message()}});
    break;
  }
  return false;
}

Status Fills::AskPeer(Task& task, const std::string& peer, bool recheck,
                      const std::stop_token& stop) {
  const std::shared_ptr<Channel> held = peers_.channel(peer);
  if (held == nullptr) return Error(Code::kUnavailable, "it is no member any more");
  Channel& channel = *held;
  BlockCall call;
  call.block = task.job.request;
  call.block.offset = task.filled;
  call.block.length = task.size() - task.filled;
  call.insist = true;
  call.peer = true;
  call.held_only = task.action == FillAction::kAskBefore;
  call.recheck = recheck;
  call.domain = task.job.domain;
  call.deadline = task.deadline;
  const auto receiver = std::make_shared<PeerReceiver>(task);
  const Deadline asked_at = Clock::now();
  peers_.Tried(peer);
  const Channel::CallId id = channel.StartRead(call, receiver);
  std::optional<BlockReceiver::Outcome> outcome =
      receiver->Await(channel, options_.patience, task.deadline, stop);
  if (!outcome) {
    channel.Cancel(id);
    // All bytes are here and verified; only the end of the call is missing.
    if (task.filled == task.size()) return {};
    if (stop.stop_requested()) return Error(Code::kCancelled, "the worker stops");
    peers_.Failed(peer);
    return Error(Code::kUnavailable, "it sent nothing for a while");
  }
  if (task.filled == task.size()) outcome->status = {};
  if (outcome->status.ok() && task.filled != task.size()) {
    return Error(Code::kInternal, "it sent less than was asked for");
  }
  // An error that it answered is the store's or the file's; only silence is the peer's own.
  if (outcome->status.ok() || channel.last_heard() >= asked_at) {
    peers_.Answered(peer);
  } else {
    peers_.Failed(peer);
  }
  return std::move(outcome->status);
}

}  // namespace forebay
