#include "client/upstream_reads.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace forebay {
namespace {

// Takes exactly as many bytes as there is room for.
class SpanSink : public ByteSink {
 public:
  explicit SpanSink(std::span<std::byte> room) : room_(room) {}

  Status Write(std::span<const std::byte> bytes) override {
    if (bytes.size() > room_.size()) {
      return Error(Code::kInternal, "the store sent more bytes than were asked for");
    }
    std::memcpy(room_.data(), bytes.data(), bytes.size());
    room_ = room_.subspan(bytes.size());
    return {};
  }
  bool full() const { return room_.empty(); }

 private:
  std::span<std::byte> room_;
};

Status ReadOnce(const UpstreamRead& read, std::stop_token stop) {
  if (Passed(read.deadline)) {
    return Error(Code::kDeadlineExceeded, "no turn at the store within the deadline");
  }
  const Attributes& attributes = read.file->attributes;
  const ReadRange range{.path = read.file->path,
                        .version = attributes.version,
                        .file_size = attributes.size,
                        .offset = read.offset,
                        .length = read.destination.size()};
  SpanSink sink(read.destination);
  const Result<ReadOutcome> outcome =
      read.file->store->upstream->Read(range, sink, read.deadline, stop);
  if (!outcome.ok()) return outcome.error();
  if (!sink.full()) return Error(Code::kUnavailable, "the store sent too few bytes");
  return {};
}

// Whether a failure may mean that the store has too much to do.
bool SpeaksOfLoad(Code code) {
  switch (code) {
    case Code::kUnavailable:
    case Code::kOverloaded:
    case Code::kDeadlineExceeded: return true;
    case Code::kNotHere:
    case Code::kNotFound:
    case Code::kInvalidArgument:
    case Code::kChanged:
    case Code::kCorrupt:
    case Code::kDenied:
    case Code::kStale:
    case Code::kCancelled:
    case Code::kInternal: return false;
  }
  return false;
}

}  // namespace

UpstreamReads::~UpstreamReads() {
  MutexLock lock(mutex_);
  CHECK(jobs_.empty());  // So no thread of ours can start another one from here on.
}

void UpstreamReads::AddThread() {
  if (threads_running_ >= pace_.limit()) return;
  ++threads_running_;
  threads_.Run("upstream", [this](std::stop_token stop) { Run(stop); });
}

UpstreamReads::JobId UpstreamReads::Start(UpstreamRead read) {
  auto job = std::make_shared<Job>();
  job->read = std::move(read);
  MutexLock lock(mutex_);
  const JobId id = next_id_++;
  jobs_.emplace(id, std::move(job));
  waiting_.push_back(id);
  AddThread();
  return id;
}

void UpstreamReads::Cancel(JobId id) {
  MutexLock lock(mutex_);
  if (Forget(id)) return;
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  const std::shared_ptr<Job> job = found->second;
  job->cancelled = true;
  job->stop.request_stop();
  while (jobs_.contains(id)) changed_.Wait(mutex_);
}

bool UpstreamReads::Withdraw(JobId id) {
  MutexLock lock(mutex_);
  return Forget(id);
}

// A job that waits for its turn is gone. False: it has begun, or ended.
bool UpstreamReads::Forget(JobId id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second->running) return false;
  std::erase(waiting_, id);
  jobs_.erase(found);
  return true;
}

void UpstreamReads::Run(std::stop_token stop) {
  JobId id = 0;
  while (const std::shared_ptr<Job> job = Take(id, stop)) {
    const Clock::time_point started = Clock::now();
    const std::stop_callback pass_on(stop, [&job] { job->stop.request_stop(); });
    Finish(id, *job, started, ReadOnce(job->read, job->stop.get_token()));
  }
}

std::shared_ptr<UpstreamReads::Job> UpstreamReads::Take(JobId& id, std::stop_token stop) {
  MutexLock lock(mutex_);
  // Idle threads end at once: starting one costs far less than a request to a store.
  if (waiting_.empty() || !pace_.MayStart() || stop.stop_requested()) {
    --threads_running_;
    return nullptr;
  }
  id = waiting_.front();
  waiting_.pop_front();
  pace_.Started();
  std::shared_ptr<Job> job = jobs_.at(id);
  job->running = true;
  return job;
}

void UpstreamReads::Finish(JobId id, Job& job, Clock::time_point started, Status status) {
  const Clock::time_point now = Clock::now();
  std::function<void(Status)> done;
  {
    MutexLock lock(mutex_);
    if (status.ok()) {
      pace_.Succeeded(started, now);
    } else if (SpeaksOfLoad(status.error().code())) {
      pace_.Throttled(started, now);
    } else {
      pace_.Ended();
    }
    if (!job.cancelled) {
      // Under the lock, so that Cancel cannot return before it has ended; it must not block.
      job.read.done(std::move(status));
    }
    jobs_.erase(id);
    if (!waiting_.empty()) AddThread();
  }
  changed_.NotifyAll();
}

}  // namespace forebay
