// FakeWorker: a worker in this process that holds every block of one store, and fails as told.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/mutex.h"
#include "base/rng.h"
#include "base/task_group.h"
#include "client/fake_upstream.h"
#include "client/workers.h"

namespace forebay {

// What a worker makes of one request.
enum class Trick {
  kServe,      // Sends the bytes.
  kFail,       // Answers with a code.
  kBreak,      // Sends the first granule, then answers with a code.
  kStop,       // Says nothing any more, like a stopped process.
  kSlow,       // Says nothing about the request, but answers pings.
  kShort,      // Claims to be done after the first granule.
  kElsewhere,  // Sends a run that nobody asked for.
  kStale,      // Says that its map is newer; see SetEpoch.
};

// Replies come before StartRead returns or, with `StartPump`, from a thread and in any order.
//
// Thread safety: safe.
class FakeWorker : public WorkerLink {
 public:
  FakeWorker(FakeUpstream& store, std::uint32_t block_bytes, Workers::OnNewer on_newer)
      : store_(store), block_bytes_(block_bytes), on_newer_(std::move(on_newer)) {}

  // Requests number `from` to `until` - 1 get `trick`.
  void Play(int from, int until, Trick trick, Code code = Code::kUnavailable) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    from_ = from;
    until_ = until;
    trick_ = trick;
    code_ = code;
  }
  // Answers as if every block had to be filled first.
  void SetFilling() { filling_ = true; }
  void SetLoad(LoadReport load) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    load_ = load;
  }
  // Files that this worker finds to be replaced.
  void Replace(const std::string& path, const std::string& version) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    replaced_[path] = version;
  }
  // Answers nothing before `least_calls` were asked.
  void StartPump(std::uint64_t seed, std::size_t least_calls = 0) {
    least_calls_ = least_calls;
    pumping_ = true;
    pump_.Run("pump", [this, seed](std::stop_token stop) { Pump(seed, stop); });
  }

  // What was asked, in order.
  std::vector<BlockCall> calls() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return calls_;
  }
  int lookups() const { return lookups_; }
  int pings() const { return pings_; }
  std::uint64_t most_outstanding_bytes() const { return most_outstanding_bytes_; }
  // Blocks that it says to hold, by the digests of path and version; and that it was told to
  // forget.
  void Hold(const FileKey& file, std::vector<std::uint8_t> bits) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    held_bits_[{file.path, file.version}] = std::move(bits);
  }
  // Answers questions about the group with `json`; nothing: it does not know.
  void SetGroup(std::string json) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    group_ = std::move(json);
  }
  // Ends reads and lookups of an epoch below `epoch` with Stale, which carries `map`; without
  // `refuse` it only tells the epoch.
  void SetEpoch(std::uint64_t epoch, std::string map, bool refuse) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    own_epoch_ = epoch;
    own_map_ = std::move(map);
    refuses_ = refuse;
  }
  int group_questions() const { return group_questions_; }
  bool verified() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return verified_;
  }
  std::vector<Drop> dropped() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return dropped_;
  }
  // Says nothing any more.
  void Stop() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    stopped_ = true;
  }
  // Lives again, and answers what it was asked meanwhile.
  void Wake() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    stopped_ = false;
    last_heard_ = Clock::now();
    for (auto& [id, held] : std::exchange(held_, {})) {
      held.trick = Trick::kServe;
      Answer(held);
    }
  }
  std::uint64_t asked_epoch() const { return epoch_; }
  void FailLookups(Code code) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    lookup_code_ = code;
  }

  Channel::CallId StartRead(const BlockCall& call, std::shared_ptr<BlockReceiver> receiver) override
      EXCLUDES(mutex_) {
    Held held{call, std::move(receiver)};
    MutexLock lock(mutex_);
    const int number = static_cast<int>(calls_.size());
    calls_.push_back(call);
    const Channel::CallId id = next_id_++;
    const bool tricked = number >= from_ && number < until_;
    if (tricked) held.trick = trick_;
    if (held.trick == Trick::kStop) stopped_ = true;
    if (!stopped_) last_heard_ = Clock::now();
    if (TellEpoch()) held.trick = Trick::kStale;
    outstanding_bytes_ += call.block.length;
    most_outstanding_bytes_ = std::max(most_outstanding_bytes_.load(), outstanding_bytes_);
    if (pumping_ || held.trick == Trick::kStop || held.trick == Trick::kSlow || stopped_) {
      held_.emplace(id, std::move(held));
      changed_.NotifyAll();
    } else {
      Answer(held);
    }
    return id;
  }

  void Cancel(Channel::CallId id) override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    const auto found = held_.find(id);
    if (found == held_.end()) return;
    outstanding_bytes_ -= found->second.call.block.length;
    held_.erase(found);
  }

  Result<LookupReply> Stat(const Lookup& lookup, Deadline deadline, std::stop_token stop) override
      EXCLUDES(mutex_) {
    if (const auto status = BeginLookup(); !status.ok()) return status.error();
    Result<Attributes> attributes = store_.Stat(lookup.path, deadline, stop);
    if (!attributes.ok()) return attributes.error();
    LookupReply reply;
    reply.entries.push_back(WireEntry{"", Wire(attributes.value())});
    return reply;
  }

  Result<LookupReply> List(const Lookup& lookup, Deadline deadline, std::stop_token stop) override
      EXCLUDES(mutex_) {
    if (const auto status = BeginLookup(); !status.ok()) return status.error();
    Result<ListPage> page = store_.List(lookup.path, lookup.after, deadline, stop);
    if (!page.ok()) return page.error();
    LookupReply reply;
    reply.next = page.value().next;
    for (const Entry& entry : page.value().entries) {
      reply.entries.push_back(WireEntry{entry.name, Wire(entry.attributes)});
    }
    return reply;
  }

  Result<std::string> Group(const GroupQuestion& /*question*/, Deadline /*deadline*/,
                            std::stop_token /*stop*/) override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    ++group_questions_;
    last_heard_ = Clock::now();
    if (group_.empty()) return Error(Code::kNotFound, "no such dataset");
    return group_;
  }
  Result<HaveReply> AskHave(const Have& question, bool verify, Deadline deadline,
                            std::stop_token /*stop*/) override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (stopped_) {
      while (!Passed(deadline)) changed_.WaitUntil(mutex_, deadline);
      return Error(Code::kDeadlineExceeded, "stopped");
    }
    verified_ |= verify;
    HaveReply reply;
    for (const Have::File& file : question.files) {
      std::vector<std::uint8_t> bits(HeldBytes(file.blocks));
      const auto found = held_bits_.find({file.path, file.version});
      if (found != held_bits_.end()) bits = found->second;
      reply.bits.insert(reply.bits.end(), bits.begin(), bits.end());
    }
    return reply;
  }
  Result<DropReply> AskDrop(const Drop& question, Deadline /*deadline*/,
                            std::stop_token /*stop*/) override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    dropped_.push_back(question);
    return DropReply{.bytes = 100};
  }
  Result<std::string> AskMetrics(Deadline /*deadline*/, std::stop_token /*stop*/) override {
    return std::string("up 1\n");
  }
  Status Refresh(Deadline /*deadline*/, std::stop_token /*stop*/) override { return {}; }
  void set_epoch(std::uint64_t epoch) override { epoch_ = epoch; }

  void ConnectAhead() override {}
  void Ping() override EXCLUDES(mutex_) {
    ++pings_;
    MutexLock lock(mutex_);
    if (!stopped_) last_heard_ = Clock::now();
  }
  Deadline last_heard() const override { return last_heard_.load(); }

 private:
  struct Held {
    BlockCall call;
    std::shared_ptr<BlockReceiver> receiver;
    Trick trick = Trick::kServe;
  };

  static WireAttributes Wire(const Attributes& attributes) {
    return WireAttributes{.type = static_cast<std::uint8_t>(attributes.type),
                          .size = attributes.size,
                          .mtime_ns = attributes.mtime_ns,
                          .version = attributes.version};
  }

  Status BeginLookup() EXCLUDES(mutex_) {
    ++lookups_;
    MutexLock lock(mutex_);
    if (!stopped_) last_heard_ = Clock::now();
    if (TellEpoch()) return Error(Code::kStale, "a newer map");
    if (lookup_code_) return Error(*lookup_code_, "as told");
    return {};
  }

  // As a channel hears it with every answer. True: the request is refused for its epoch.
  bool TellEpoch() REQUIRES(mutex_) {
    if (own_epoch_ <= epoch_) return false;
    if (refuses_ || told_epoch_ < own_epoch_) on_newer_(own_epoch_, refuses_ ? own_map_ : "");
    told_epoch_ = own_epoch_;
    return refuses_;
  }

  void Pump(std::uint64_t seed, std::stop_token stop) EXCLUDES(mutex_) {
    Rng rng(seed);
    const std::stop_callback wake(stop, [this] {
      MutexLock lock(mutex_);
      changed_.NotifyAll();
    });
    MutexLock lock(mutex_);
    while (!stop.stop_requested()) {
      std::vector<Channel::CallId> ready;
      for (const auto& [id, held] : held_) {
        if (held.trick != Trick::kStop && held.trick != Trick::kSlow) ready.push_back(id);
      }
      if (ready.empty() || stopped_ || calls_.size() < least_calls_) {
        changed_.Wait(mutex_);
        continue;
      }
      const auto chosen = held_.find(ready[rng.Below(ready.size())]);
      const Held held = std::move(chosen->second);
      held_.erase(chosen);
      // Under the lock, so that Cancel waits for it, as a channel's does.
      Answer(held);
    }
  }

  void Answer(const Held& held) REQUIRES(mutex_) {
    outstanding_bytes_ -= held.call.block.length;
    last_heard_ = Clock::now();
    const ReadBlock& block = held.call.block;
    BlockReceiver::Outcome outcome{.status = {}, .load = load_, .waited_for_fill = filling_};
    const auto replaced = replaced_.find(block.path);
    if (replaced != replaced_.end() && replaced->second != block.version) {
      outcome.status = Error(Code::kChanged, "replaced");
      return held.receiver->Done(std::move(outcome));
    }
    const std::uint64_t start = std::uint64_t{block.index} * block_bytes_;
    const auto in_block =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(block_bytes_, block.file_size - start));
    const std::uint32_t begin = block.offset / kGranuleBytes * kGranuleBytes;
    const std::uint32_t end =
        std::min(GranulesOf(block.offset + block.length) * kGranuleBytes, in_block);
    switch (held.trick) {
      case Trick::kStale: outcome.status = Error(Code::kStale, "a newer map"); break;
      case Trick::kServe:
        if (!held.call.fill_only) Send(held, begin, end);
        break;
      case Trick::kFail: outcome.status = Error(code_, "as told"); break;
      case Trick::kBreak:
        Send(held, begin, std::min(begin + kGranuleBytes, end));
        outcome.status = Error(code_, "as told");
        break;
      case Trick::kShort: Send(held, begin, std::min(begin + kGranuleBytes, end)); break;
      case Trick::kElsewhere:
        if (!Send(held, end, end + kGranuleBytes)) {
          outcome.status = Error(Code::kInternal, "nobody asked for it");
        }
        break;
      case Trick::kStop:
      case Trick::kSlow: CHECK(false);
    }
    held.receiver->Done(std::move(outcome));
  }

  // One granule at a time, as a fill on its way would come. False if it was refused.
  bool Send(const Held& held, std::uint32_t begin, std::uint32_t end) {
    const ReadBlock& block = held.call.block;
    for (std::uint32_t at = begin; at < end; at += kGranuleBytes) {
      const std::uint32_t length = std::min(kGranuleBytes, end - at);
      const std::span<std::byte> space = held.receiver->Destination(at, length);
      if (space.size() != length) return false;
      const std::vector<std::byte> bytes = BytesOf(
          block.path, block.version, std::uint64_t{block.index} * block_bytes_ + at, length);
      std::memcpy(space.data(), bytes.data(), length);
      held.receiver->Received(at, length, GranuleChecksums(bytes));
    }
    return true;
  }

  FakeUpstream& store_;
  const std::uint32_t block_bytes_;
  const Workers::OnNewer on_newer_;
  std::atomic<std::uint64_t> epoch_ = 0;  // Of the asker's map.
  std::atomic<int> group_questions_ = 0;
  std::atomic<bool> filling_ = false;
  std::atomic<int> lookups_ = 0;
  std::atomic<int> pings_ = 0;
  std::atomic<std::uint64_t> most_outstanding_bytes_ = 0;
  std::atomic<Deadline> last_heard_ = Deadline();
  std::atomic<bool> pumping_ = false;
  std::atomic<std::size_t> least_calls_ = 0;

  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<BlockCall> calls_ GUARDED_BY(mutex_);
  std::map<Channel::CallId, Held> held_ GUARDED_BY(mutex_);
  Channel::CallId next_id_ GUARDED_BY(mutex_) = 1;
  std::uint64_t outstanding_bytes_ GUARDED_BY(mutex_) = 0;
  bool stopped_ GUARDED_BY(mutex_) = false;
  int from_ GUARDED_BY(mutex_) = 0;
  int until_ GUARDED_BY(mutex_) = 0;
  Trick trick_ GUARDED_BY(mutex_) = Trick::kServe;
  Code code_ GUARDED_BY(mutex_) = Code::kUnavailable;
  LoadReport load_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> replaced_ GUARDED_BY(mutex_);
  std::optional<Code> lookup_code_ GUARDED_BY(mutex_);
  std::map<std::pair<Digest128, Digest128>, std::vector<std::uint8_t>> held_bits_
      GUARDED_BY(mutex_);
  std::vector<Drop> dropped_ GUARDED_BY(mutex_);
  bool verified_ GUARDED_BY(mutex_) = false;
  std::string group_ GUARDED_BY(mutex_);
  std::uint64_t own_epoch_ GUARDED_BY(mutex_) = 0;
  std::uint64_t told_epoch_ GUARDED_BY(mutex_) = 0;
  std::string own_map_ GUARDED_BY(mutex_);
  bool refuses_ GUARDED_BY(mutex_) = false;
  TaskGroup pump_;  // Last: joined first.
};

}  // namespace forebay
