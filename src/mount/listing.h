// Listing: an open directory, read page by page.
//
// Of however large a directory no more is kept than one page, and where each page begins. An offset
// is a page and a place in it, so that seekdir(3) finds its way back, also in another process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "client/client.h"

namespace forebay {

// Thread safety: safe; pages are fetched without a lock.
class Listing {
 public:
  // Before the first entry. Smaller ones are free for "." and "..".
  static constexpr std::uint64_t kFirstOffset = 2;

  // The page after the one that ended with `after`; "": the first.
  using Fetch = std::function<Result<ListedPage>(const std::string& after)>;
  // Takes an entry and the offset behind it; false: no more.
  using Visit =
      std::function<bool(const Entry& entry, const Freshness& freshness, std::uint64_t offset)>;

  // Visits the entries behind `offset`, which is kFirstOffset or what a visit was given. Starting
  // over asks again, unless what is known may still be used. Errors: those of `fetch`.
  Status Read(std::uint64_t offset, const Fetch& fetch, const Visit& visit) EXCLUDES(mutex_);

 private:
  struct Page {
    std::uint64_t number = 0;
    ListedPage listed;
  };
  using PageRef = std::shared_ptr<const Page>;

  // Null: there are fewer pages.
  Result<PageRef> FindPage(std::uint64_t number, const Fetch& fetch) EXCLUDES(mutex_);

  Mutex mutex_;
  PageRef page_ GUARDED_BY(mutex_);  // The last one that was read.
  // What each page comes after.
  std::vector<std::string> begins_ GUARDED_BY(mutex_) = {""};
};

}  // namespace forebay
