// FakeUpstream: a store in memory, whose nth read or question can be made to fail.
#pragma once

#include <atomic>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/mutex.h"
#include "base/rng.h"
#include "upstream/upstream.h"

namespace forebay {

// Bytes that tell where they belong: no two files, versions or offsets look alike. Files are at
// most 8 MiB long.
inline std::vector<std::byte> BytesOf(const std::string& path, const std::string& version,
                                      std::uint64_t offset, std::uint64_t length) {
  static constexpr std::size_t kStartsMax = 1u << 20;
  static const std::vector<std::uint64_t> kPattern = [] {
    Rng rng(1);
    std::vector<std::uint64_t> words(((8u << 20) + kStartsMax) / sizeof(std::uint64_t));
    for (std::uint64_t& word : words) word = rng.Next();
    return words;
  }();
  const std::uint64_t start = DigestOf(path + "\n" + version).Low64() % kStartsMax;
  std::vector<std::byte> bytes(length);
  if (length == 0) return bytes;
  std::memcpy(bytes.data(), reinterpret_cast<const std::byte*>(kPattern.data()) + start + offset,
              length);
  return bytes;
}

// Thread safety: safe.
class FakeUpstream : public Upstream {
 public:
  void Put(const std::string& path, const std::string& version, std::uint64_t size)
      EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    files_[path] =
        Attributes{.type = FileType::kFile, .size = size, .mtime_ns = 1, .version = version};
  }
  // Reads number `from` to `until` - 1 fail with `code`.
  void FailReads(int from, int until, Code code) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    fail_from_ = from;
    fail_until_ = until;
    fail_code_ = code;
  }
  // Reads wait until they are cancelled.
  void Hang() { hanging_ = true; }

  int reads() const { return reads_; }
  int stats() const { return stats_; }
  int lists() const { return lists_; }
  int most_at_once() const { return most_at_once_; }

  // From now on every name that is asked for with a '/' at its end is a directory too.
  void MakeAllBoth() { both_ = true; }

  bool ProvenWhileStreaming(const std::string&) const override { return true; }
  bool MayBeBoth(const std::string&) const override { return both_; }

  Result<Attributes> Stat(const std::string& path, Deadline /*deadline*/,
                          std::stop_token /*stop*/) override EXCLUDES(mutex_) {
    ++stats_;
    MutexLock lock(mutex_);
    const auto found = files_.find(path);
    if (found != files_.end()) return found->second;
    if (path.ends_with("/")) return Attributes{.type = FileType::kDirectory, .version = ""};
    return Error(Code::kNotFound, path);
  }

  Result<ListPage> List(const std::string& directory, const std::string& after,
                        Deadline /*deadline*/, std::stop_token /*stop*/) override EXCLUDES(mutex_) {
    ++lists_;
    MutexLock lock(mutex_);
    ListPage page;
    for (const auto& [path, attributes] : files_) {
      if (!path.starts_with(directory)) continue;
      const std::string name = path.substr(directory.size());
      if (name.find('/') != std::string::npos || name <= after) continue;
      if (page.entries.size() == kPageEntries) {
        page.next = page.entries.back().name;
        break;
      }
      page.entries.push_back(Entry{name, attributes});
    }
    return page;
  }

  Result<ReadOutcome> Read(const ReadRange& range, ByteSink& sink, Deadline deadline,
                           std::stop_token stop) override EXCLUDES(mutex_) {
    const int at_once = ++at_once_;
    int most = most_at_once_;
    while (at_once > most && !most_at_once_.compare_exchange_weak(most, at_once)) continue;
    Result<ReadOutcome> outcome = ReadNow(range, sink, deadline, stop);
    --at_once_;
    return outcome;
  }

 private:
  static constexpr std::size_t kPageEntries = 10;

  Result<ReadOutcome> ReadNow(const ReadRange& range, ByteSink& sink, Deadline deadline,
                              std::stop_token stop) EXCLUDES(mutex_) {
    const int number = reads_++;
    if (hanging_) {
      const std::stop_callback wake(stop, [this] {
        MutexLock lock(mutex_);
        changed_.NotifyAll();
      });
      MutexLock lock(mutex_);
      while (!stop.stop_requested() && !Passed(deadline)) changed_.WaitUntil(mutex_, deadline);
      return Error(stop.stop_requested() ? Code::kCancelled : Code::kDeadlineExceeded, "hanging");
    }
    {
      MutexLock lock(mutex_);
      if (number >= fail_from_ && number < fail_until_) return Error(fail_code_, "as told");
      const auto found = files_.find(range.path);
      if (found == files_.end()) return Error(Code::kNotFound, range.path);
      if (found->second.version != range.version) return Error(Code::kChanged, range.path);
    }
    if (Status written = sink.Write(BytesOf(range.path, range.version, range.offset, range.length));
        !written.ok()) {
      return written.error();
    }
    return ReadOutcome{};
  }

  std::atomic<int> reads_ = 0;
  std::atomic<int> stats_ = 0;
  std::atomic<int> lists_ = 0;
  std::atomic<int> at_once_ = 0;
  std::atomic<int> most_at_once_ = 0;
  std::atomic<bool> hanging_ = false;
  std::atomic<bool> both_ = false;
  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, Attributes> files_ GUARDED_BY(mutex_);
  int fail_from_ GUARDED_BY(mutex_) = 0;
  int fail_until_ GUARDED_BY(mutex_) = 0;
  Code fail_code_ GUARDED_BY(mutex_) = Code::kUnavailable;
};

}  // namespace forebay
