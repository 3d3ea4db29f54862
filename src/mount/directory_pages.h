// DirectoryPages: pages of directories that were listed, for whoever lists them next while they are
// fresh.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "client/client.h"
#include "core/recent_map.h"
#include "mount/nodes.h"

namespace forebay {

// Immutable.
class DirectoryPage {
 public:
  // An offset is a page and a place in it, after these: smaller ones are free for "." and "..".
  static constexpr std::uint64_t kFirstOffset = 2;
  static constexpr unsigned kEntryBits = 20;
  static constexpr std::uint64_t kEntryMask = (std::uint64_t{1} << kEntryBits) - 1;

  // `number` is its place in `directory`, from 0; `generation` DirectoryPages' own. At most
  // kEntryMask entries.
  DirectoryPage(const KnownNode& directory, std::uint64_t number, std::uint64_t generation,
                ListedPage listed);

  std::uint64_t number() const { return number_; }
  std::uint64_t generation() const { return generation_; }
  std::size_t size() const { return listed_.page.entries.size(); }
  bool is_last() const { return listed_.page.next.empty(); }
  const std::string& next() const { return listed_.page.next; }
  const Freshness& freshness() const { return listed_.freshness; }
  const Entry& entry(std::size_t index) const { return listed_.page.entries[index]; }
  // Where reading goes on after it.
  std::uint64_t OffsetBehind(std::size_t index) const;
  // As DirectoryReply takes it. Empty: the entry is not shown.
  std::span<const std::byte> Dirent(std::size_t index) const;
  std::size_t dirent_bytes() const { return dirents_.size(); }

 private:
  const std::uint64_t number_;
  const std::uint64_t generation_;
  const ListedPage listed_;
  std::vector<std::byte> dirents_;
  std::vector<std::uint32_t> ends_;  // Of each entry in `dirents_`.
};

// Thread safety: safe; pages are fetched without a lock.
// Memory: about 250 bytes an entry, in all 10 MiB, or 20 where names are long; what is not fresh
// any more goes when something else is listed.
class DirectoryPages {
 public:
  using PageRef = std::shared_ptr<const DirectoryPage>;
  // The page after the one that ended with `after`; "": the first.
  using Fetch = std::function<Result<ListedPage>(const std::string& after)>;

  // Pages are kept for `valid_max` at most.
  explicit DirectoryPages(std::chrono::nanoseconds valid_max) : valid_max_(valid_max) {}

  // Page `number` of `directory`, which comes after `after`. Errors: those of `fetch`.
  Result<PageRef> Get(const KnownNode& directory, std::uint64_t number, const std::string& after,
                      const Fetch& fetch) EXCLUDES(mutex_);
  // Nothing that was fetched before is handed out again; who is at such a page sees it to its end.
  void Clear() EXCLUDES(mutex_);
  // How long the kernel may keep what `page` says: not at all if that was cleared since.
  Freshness FreshnessOf(const DirectoryPage& page) const;
  // Whether no page is fresh.
  bool empty() EXCLUDES(mutex_);

 private:
  static constexpr std::size_t kPagesMax = 40;
  // A longer page is handed on, not kept.
  static constexpr std::size_t kEntriesMax = 1'000;
  static constexpr std::size_t kDirentBytesMax = std::size_t{128} << 10;

  // Those that were used last may stay.
  void ForgetOld() REQUIRES(mutex_);

  const std::chrono::nanoseconds valid_max_;
  std::atomic<std::uint64_t> generation_ = 0;  // Counts Clear.
  Mutex mutex_;
  // By directory and `after`.
  RecentMap<std::string, PageRef, KeyHash> pages_ GUARDED_BY(mutex_){kPagesMax};
};

}  // namespace forebay
