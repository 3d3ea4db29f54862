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
#include "client/worker_link.h"

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
};

// Replies come before StartRead returns or, with `StartPump`, from a thread and in any order.
//
// Thread safety: safe.
class FakeWorker : public WorkerLink {
 public:
  FakeWorker(FakeUpstream& store, std::uint32_t block_bytes)
      : store_(store), block_bytes_(block_bytes) {}

  // Requests number `from` to `until` - 1 get `trick`.
  void Play(int from, int until, Trick trick, Code code = Code::kUnavailable) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    from_ = from;
    until_ = until;
    trick_ = trick;
    code_ = code;
  }
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
    ++lookups_;
    if (const auto code = lookup_code()) return Error(*code, "as told");
    Result<Attributes> attributes = store_.Stat(lookup.path, deadline, stop);
    if (!attributes.ok()) return attributes.error();
    LookupReply reply;
    reply.entries.push_back(WireEntry{"", Wire(attributes.value())});
    return reply;
  }

  Result<LookupReply> List(const Lookup& lookup, Deadline deadline, std::stop_token stop) override
      EXCLUDES(mutex_) {
    ++lookups_;
    if (const auto code = lookup_code()) return Error(*code, "as told");
    Result<ListPage> page = store_.List(lookup.path, lookup.after, deadline, stop);
    if (!page.ok()) return page.error();
    LookupReply reply;
    reply.next = page.value().next;
    for (const Entry& entry : page.value().entries) {
      reply.entries.push_back(WireEntry{entry.name, Wire(entry.attributes)});
    }
    return reply;
  }

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

  std::optional<Code> lookup_code() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return lookup_code_;
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
    BlockReceiver::Outcome outcome{.status = {}, .load = load_};
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
  TaskGroup pump_;  // Last: joined first.
};

}  // namespace forebay
