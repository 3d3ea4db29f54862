#include "near/near_files.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/wall_clock.h"
#include "core/near_read.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

// How far ahead of a reader in order: 16 MiB.
constexpr std::uint32_t kAheadChunksMax = 8;
// Of a file that is not whole no more are told, so that its reader asks again, and more are
// fetched, long before it comes to the end of what is there.
constexpr std::uint32_t kToldChunksMax = 4;
constexpr std::size_t kJobsMax = 64;
constexpr std::size_t kOrdersMax = 4096;  // Files whose order of reads is remembered.
constexpr std::chrono::seconds kAheadTimeout{30};
constexpr std::chrono::seconds kScrubPause{60};
constexpr std::chrono::seconds kIdleThread{10};

// `where`: "tier", when a file was completed, or "scrub", later.
void CountCorrupt(const char* where) {
  Metrics()
      .AddCounter("forebay_checksum_failures_total", "Bytes that did not match their checksum.",
                  {{"where", where}})
      .Add();
}

const Labels& TierLabels() {
  static const Labels labels = {{"tier", "near"}};
  return labels;
}

Attributes AttributesOf(const NearQuestion& question) {
  return {.type = FileType::kFile,
          .size = question.size,
          .mtime_ns = question.mtime_ns,
          .version = question.version};
}

}  // namespace

NearFiles::NearFiles(Client& client, std::unique_ptr<WholeFiles> files)
    : client_(client), files_(std::move(files)), orders_(kOrdersMax) {
  CHECK(files_->chunk_bytes() == kNearChunkBytes);
  Metrics().SetGauge("forebay_cache_used_bytes", "Bytes of blocks held.", TierLabels(),
                     [this] { return static_cast<double>(figures().used_bytes); });
  Metrics().SetGauge("forebay_cache_capacity_bytes", "Quota of the tier.", TierLabels(),
                     [this] { return static_cast<double>(figures().capacity_bytes); });
  Metrics().SetGauge("forebay_near_file_count", "Files that a near worker holds, whole or in part.",
                     {{"whole", "true"}},
                     [this] { return static_cast<double>(figures().whole_files); });
  Metrics().SetGauge("forebay_near_file_count", "Files that a near worker holds, whole or in part.",
                     {{"whole", "false"}}, [this] {
                       const WholeFiles::Figures now = figures();
                       return static_cast<double>(now.files - now.whole_files);
                     });
  group_.Run("near-scrub", [this](const std::stop_token& stop) { Scrub(stop); });
}

NearFiles::~NearFiles() {
  Metrics().RemoveGauge("forebay_cache_used_bytes", TierLabels());
  Metrics().RemoveGauge("forebay_cache_capacity_bytes", TierLabels());
  Metrics().RemoveGauge("forebay_near_file_count", {{"whole", "true"}});
  Metrics().RemoveGauge("forebay_near_file_count", {{"whole", "false"}});
}

NearFiles::Opened NearFiles::Open(const NearQuestion& question, const std::stop_token& stop) {
  const Deadline deadline = Clock::now() + std::chrono::milliseconds(question.timeout_ms);
  const Source source{question.url, AttributesOf(question)};
  // What may still change under this version's name is not kept.
  const bool is_young = WallClockNanoseconds() < SettledAtNanoseconds(source.attributes);
  if (question.size == 0 || is_young) return {};
  const Result<FileKey> key = client_.KeyOf(source.url, source.attributes, deadline, stop);
  if (!key.ok()) return {};
  Result<WholeFiles::Opened> opened = files_->OpenFile(key.value(), question.size);
  if (!opened.ok()) return {};
  const FileRef& file = opened.value().file;
  if (file->size != question.size) return {};
  if (file->chunks == 1) {
    if (!FillChunk(file, source, 0, deadline, stop).ok()) return {};
  }
  return {.answer = {.kind = NearAnswerKind::kDone,
                     .incarnation = file->incarnation,
                     .whole = file->is_whole(),
                     .first_chunk = 0,
                     .chunks = Told(file, 0)},
          .reader = std::move(opened.value().reader)};
}

NearAnswer NearFiles::Fill(const NearQuestion& question, const std::stop_token& stop) {
  const Deadline deadline = Clock::now() + std::chrono::milliseconds(question.timeout_ms);
  const Source source{question.url, AttributesOf(question)};
  NearAnswer answer;
  const Result<FileKey> key = client_.KeyOf(source.url, source.attributes, deadline, stop);
  if (!key.ok()) return answer;
  const FileRef file = files_->Find(key.value(), question.incarnation);
  if (!file || file->size != question.size) return answer;
  answer.incarnation = file->incarnation;
  const std::uint32_t ahead = NoteRead(file, question);
  const auto first = static_cast<std::uint32_t>(question.offset / kNearChunkBytes);
  const auto last =
      static_cast<std::uint32_t>((question.offset + question.length - 1) / kNearChunkBytes);
  const NearRead read{.file_bytes = file->size,
                      .length = question.length,
                      .in_order = ahead > 0,
                      .touched_before = files_->Touch(file, first)};
  if (!IsWorthKeeping(read)) return answer;
  StartAhead(file, source, last + 1, ahead);
  for (std::uint32_t chunk = first; chunk <= last; ++chunk) {
    if (!FillChunk(file, source, chunk, deadline, stop).ok()) return answer;
  }
  answer.kind = NearAnswerKind::kDone;
  answer.whole = file->is_whole();
  answer.first_chunk = first;
  answer.chunks = Told(file, first);
  return answer;
}

Status NearFiles::FillChunk(const FileRef& file, const Source& source, std::uint32_t chunk,
                            Deadline deadline, const std::stop_token& stop) {
  while (true) {
    const Result<WholeFiles::Claimed> claimed = files_->ClaimChunk(file, chunk);
    if (!claimed.ok()) return claimed.error();
    switch (claimed.value().claim) {
      case WholeFiles::Claim::kReady: return {};
      case WholeFiles::Claim::kOurs:
        return ReadChunk(file, source, chunk, claimed.value().bytes, deadline, stop);
      case WholeFiles::Claim::kFilling:
        if (files_->AwaitChunk(file, chunk, deadline, stop)) return {};
        if (stop.stop_requested()) return Error(Code::kCancelled, "cancelled");
        if (Clock::now() >= deadline) return Error(Code::kDeadlineExceeded, "no time is left");
        break;  // Whoever filled it failed; now it is our turn.
    }
  }
}

Status NearFiles::ReadChunk(const FileRef& file, const Source& source, std::uint32_t chunk,
                            std::span<std::byte> bytes, Deadline deadline,
                            const std::stop_token& stop) {
  const std::uint64_t offset = std::uint64_t{chunk} * kNearChunkBytes;
  Status status;
  Result<std::unique_ptr<File>> opened =
      client_.OpenVersion(source.url, source.attributes, deadline, stop);
  if (!opened.ok()) {
    status = opened.error();
  } else {
    const Result<std::size_t> read = opened.value()->ReadAlone(offset, bytes, deadline, stop);
    if (!read.ok()) {
      status = read.error();
    } else if (read.value() != bytes.size()) {
      status = Error(Code::kInternal, "fewer bytes than the file has");
    }
  }
  if (!status.ok()) {
    files_->Abandon(file, chunk);
    return status;
  }
  if (!files_->Commit(file, chunk, Crc32c(bytes))) return {};
  Status sealed = files_->Seal(file);
  if (!sealed.ok()) CountCorrupt("tier");
  return sealed;
}

std::uint32_t NearFiles::Told(const FileRef& file, std::uint32_t first) const {
  const std::uint32_t ready = files_->ReadyFrom(file, first);
  return file->is_whole() ? ready : std::min(ready, kToldChunksMax);
}

std::uint32_t NearFiles::NoteRead(const FileRef& file, const NearQuestion& question) {
  MutexLock lock(mutex_);
  Order& order = orders_.Use(file->key, [](const Order&) {});
  const std::uint64_t end = question.offset + question.length;
  // What is known to be there is read without asking.
  const auto expected_chunk = static_cast<std::uint32_t>(order.expected / kNearChunkBytes);
  // What a program looks at first, to see what a file is, is no reading in order.
  const bool is_first_look = order.expected == 0 && question.length <= kNearFirstLookBytes;
  const bool goes_on =
      question.offset <= order.expected ||
      question.offset <= (expected_chunk + std::uint64_t{files_->ReadyFrom(file, expected_chunk)}) *
                             kNearChunkBytes;
  if (end > order.expected && goes_on && !is_first_look) {
    order.ahead_chunks = std::clamp(order.ahead_chunks * 2, 1u, kAheadChunksMax);
  } else {
    order.ahead_chunks = 0;
  }
  order.expected = std::min(end, file->size - 1);
  return order.ahead_chunks;
}

void NearFiles::StartAhead(const FileRef& file, const Source& source, std::uint32_t first,
                           std::uint32_t count) {
  const std::uint32_t end = std::min<std::uint32_t>(file->chunks, first + count);
  std::size_t to_start = 0;
  {
    MutexLock lock(mutex_);
    for (std::uint32_t chunk = first; chunk < end && jobs_.size() < kJobsMax; ++chunk) {
      jobs_.push_back({file, source, chunk});
    }
    if (jobs_.empty()) return;
    const std::size_t wanted = jobs_.size() - std::min(jobs_.size(), ahead_idle_);
    to_start = std::min(wanted, kAheadThreadsMax - ahead_threads_);
    ahead_threads_ += to_start;
  }
  changed_.NotifyAll();
  for (; to_start > 0; --to_start) {
    group_.Run("near-ahead", [this](const std::stop_token& stop) { RunAhead(stop); });
  }
}

void NearFiles::RunAhead(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  while (true) {
    Job job;
    {
      MutexLock lock(mutex_);
      const Deadline until = Clock::now() + kIdleThread;
      ++ahead_idle_;
      while (jobs_.empty() && !stop.stop_requested() && Clock::now() < until) {
        changed_.WaitUntil(mutex_, until);
      }
      --ahead_idle_;
      if (jobs_.empty() || stop.stop_requested()) {
        --ahead_threads_;
        return;
      }
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    const Result<WholeFiles::Claimed> claimed = files_->ClaimChunk(job.file, job.chunk);
    if (!claimed.ok() || claimed.value().claim != WholeFiles::Claim::kOurs) continue;
    // What fails is tried again by whoever reads it, and then said.
    static_cast<void>(ReadChunk(job.file, job.source, job.chunk, claimed.value().bytes,
                                Clock::now() + kAheadTimeout, stop)
                          .ok());
  }
}

void NearFiles::Scrub(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  const auto pause = [&](std::chrono::nanoseconds duration) {
    const Deadline until = Clock::now() + duration;
    MutexLock lock(mutex_);
    while (!stop.stop_requested() && Clock::now() < until) changed_.WaitUntil(mutex_, until);
    return !stop.stop_requested();
  };
  while (pause(kScrubPause)) {
    for (const auto& [key, incarnation] : files_->Files()) {
      const Deadline began = Clock::now();
      FileRef file = files_->Find(key, incarnation);
      if (!file || !file->is_whole()) continue;
      if (Status verified = files_->Verify(file); !verified.ok()) {
        CountCorrupt("scrub");
        Log(Level::kError, "near worker: a file was dropped",
            {{"error", verified.error().message()}, {"bytes", file->size}});
      }
      file.reset();  // It may go while we rest.
      // At most a hundredth of a core.
      constexpr int kRestPerWork = 99;
      if (!pause((Clock::now() - began) * kRestPerWork)) return;
    }
  }
}

}  // namespace forebay
