// forebay verify URL...
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "app/interrupts.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/progress.h"
#include "app/verbs.h"
#include "base/mutex.h"
#include "base/task_group.h"
#include "base/units.h"
#include "client/walk.h"

namespace forebay {
namespace {

constexpr std::size_t kReaders = 4;
constexpr std::size_t kChunkBytes = 4u << 20;

class Verification {
 public:
  Verification(const Context& context, Client& pool, Client& store, const WalkedFiles& walked)
      : context_(context),
        pool_(pool),
        store_(store),
        files_(walked.files),
        progress_(context, walked.bytes, walked.files.size()) {}

  // Compares all files, several at a time.
  void Run(const std::stop_token& stop) EXCLUDES(mutex_) {
    TaskGroup readers;
    for (std::size_t i = 0; i < kReaders; ++i) {
      readers.Run("verify", [this, stop](std::stop_token) { CompareFiles(stop); });
    }
    MutexLock lock(mutex_);
    while (running_ > 0 && !stop.stop_requested()) {
      changed_.WaitUntil(mutex_, Clock::now() + std::chrono::milliseconds(100));
      progress_.Update(bytes_, files_done_);
    }
  }

  std::size_t differences() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return differences_;
  }
  std::uint64_t bytes() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return bytes_;
  }

 private:
  void CompareFiles(const std::stop_token& stop) EXCLUDES(mutex_) {
    for (;;) {
      std::size_t index = 0;
      {
        MutexLock lock(mutex_);
        if (next_ >= files_.size() || stop.stop_requested()) {
          --running_;
          changed_.NotifyAll();
          return;
        }
        index = next_++;
      }
      const Status compared = Compare(files_[index].url, stop);
      MutexLock lock(mutex_);
      ++files_done_;
      if (compared.ok() || compared.error().code() == Code::kCancelled) continue;
      ++differences_;
      Complain(context_, files_[index].url + ": " + compared.error().message());
      // The result proper; that nobody reads it ends nothing.
      static_cast<void>(WriteStdout(files_[index].url + '\n').ok());
    }
  }

  Status Compare(const std::string& url, const std::stop_token& stop) EXCLUDES(mutex_) {
    Result<std::unique_ptr<File>> pooled = pool_.Open(url, ReadDeadline(context_), stop);
    if (!pooled.ok()) return Error(pooled.error()).Within("through the pool");
    Result<std::unique_ptr<File>> stored = store_.Open(url, ReadDeadline(context_), stop);
    if (!stored.ok()) return Error(stored.error()).Within("from the store");
    const Attributes& a = pooled.value()->attributes();
    const Attributes& b = stored.value()->attributes();
    if (a.version != b.version || a.size != b.size) {
      return Error(Code::kCorrupt,
                   fmt::format("the pool has version {} of {} bytes, the store {} of {} bytes; the "
                               "pool follows within its staleness",
                               a.version, a.size, b.version, b.size));
    }
    return CompareBytes(*pooled.value(), *stored.value(), stop);
  }

  Status CompareBytes(File& pooled, File& stored, const std::stop_token& stop) EXCLUDES(mutex_) {
    std::vector<std::byte> left(kChunkBytes);
    std::vector<std::byte> right(kChunkBytes);
    const std::uint64_t size = stored.attributes().size;
    for (std::uint64_t offset = 0; offset < size;) {
      const Result<std::size_t> got = pooled.Read(offset, left, ReadDeadline(context_), stop);
      if (!got.ok()) return Error(got.error()).Within("through the pool");
      const Result<std::size_t> expected = stored.Read(offset, right, ReadDeadline(context_), stop);
      if (!expected.ok()) return Error(expected.error()).Within("from the store");
      const std::size_t length = std::min(got.value(), expected.value());
      const auto [at, other] = std::mismatch(
          left.begin(), left.begin() + static_cast<std::ptrdiff_t>(length), right.begin());
      const auto same = static_cast<std::size_t>(at - left.begin());
      if (same < length || got.value() != expected.value() || length == 0) {
        return Error(Code::kCorrupt, fmt::format("differs from byte {} on", offset + same));
      }
      offset += length;
      MutexLock lock(mutex_);
      bytes_ += length;
    }
    return {};
  }

  const Context& context_;
  Client& pool_;
  Client& store_;
  const std::vector<FileToRead>& files_;
  Mutex mutex_;
  CondVar changed_;
  Progress progress_ GUARDED_BY(mutex_);
  std::size_t next_ GUARDED_BY(mutex_) = 0;
  std::size_t running_ GUARDED_BY(mutex_) = kReaders;
  std::size_t files_done_ GUARDED_BY(mutex_) = 0;
  std::size_t differences_ GUARDED_BY(mutex_) = 0;
  std::uint64_t bytes_ GUARDED_BY(mutex_) = 0;
};

// Has every cached block of `files` compared with its checksums. Adds the files some of whose
// blocks did not match, which workers forget then. Errors: kUnavailable: a worker did not answer.
Status Recheck(const Context& context, Client& pool, std::span<const FileToRead> files,
               std::set<std::string>* corrupt, const std::stop_token& stop) {
  while (!files.empty()) {
    // So much is read back from memory well within a read's deadline.
    constexpr std::uint64_t kBatchBytes = std::uint64_t{1} << 30;
    constexpr std::size_t kBatchFiles = 10'000;
    std::size_t count = 0;
    for (std::uint64_t bytes = 0;
         count < std::min(files.size(), kBatchFiles) && (count == 0 || bytes < kBatchBytes);
         ++count) {
      bytes += files[count].attributes->size;
    }
    const auto batch = files.first(count);
    const Result<PoolCensus> before = pool.Have(batch, false, ReadDeadline(context), stop);
    if (!before.ok()) return before.error();
    const Result<PoolCensus> after = pool.Have(batch, true, ReadDeadline(context), stop);
    if (!after.ok()) return after.error();
    if (!after.value().silent.empty()) {
      return Error(Code::kUnavailable,
                   fmt::format("worker {} did not answer, so its blocks were not checked",
                               fmt::join(after.value().silent, ", ")));
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto& was = before.value().holders[i];
      const auto& is = after.value().holders[i];
      if (!std::ranges::equal(was, is, std::less_equal())) corrupt->insert(batch[i].url);
    }
    files = files.subspan(count);
  }
  return {};
}

}  // namespace

int RunVerifyVerb(const Context& context) {
  Interrupts interrupts;
  Result<std::unique_ptr<Client>> pool = ConnectWorkers(
      context, context.arguments, "without a pool there is nothing to compare the store with");
  if (!pool.ok()) return WrongInput(context, pool.error());
  Result<std::unique_ptr<Client>> store = ConnectStore(context, context.arguments);
  if (!store.ok()) return WrongInput(context, store.error());

  // The store says what there is: a file that the pool does not show is a difference.
  const Result<WalkedFiles> walked =
      WalkFiles(*store.value(), context.arguments,
                {.call_timeout = ReadTimeout(context), .stop = interrupts.token()});
  if (!walked.ok()) return Ended(context, interrupts, walked.error());
  if (walked.value().left_out > 0) Complain(context, LeftOutWarning(walked.value().left_out));
  std::set<std::string> corrupt;
  const Status rechecked =
      Recheck(context, *pool.value(), walked.value().files, &corrupt, interrupts.token());
  if (interrupts.fired()) return kExitInterrupted;
  if (!rechecked.ok()) Complain(context, rechecked.error().message());
  for (const std::string& url : corrupt) {
    Complain(context,
             url + ": a cached block did not match its checksum, or was evicted meanwhile");
    static_cast<void>(WriteStdout(url + '\n').ok());
  }
  Verification verification(context, *pool.value(), *store.value(), walked.value());
  verification.Run(interrupts.token());
  if (interrupts.fired()) return kExitInterrupted;
  const std::size_t differences = verification.differences();
  Note(context, fmt::format("{} files, {} compared, {} {}", walked.value().files.size(),
                            FormatSize(verification.bytes()), differences,
                            differences == 1 ? "differs" : "differ"));
  return differences == 0 && corrupt.empty() && rechecked.ok() ? kExitDone : kExitFailed;
}

}  // namespace forebay
