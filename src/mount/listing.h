// Listing: an open directory, read page by page.
//
// Of however large a directory it keeps no more than one page, and where each page begins. Offsets
// are DirectoryPage's, so that seekdir(3) finds its way back, also in another process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "mount/directory_pages.h"

namespace forebay {

// Thread safety: safe; pages are fetched without a lock.
class Listing {
 public:
  using Fetch = DirectoryPages::Fetch;
  // Takes the entry at `index`; false: no more.
  using Visit = std::function<bool(const DirectoryPage& page, std::size_t index)>;

  // `pages` outlives this.
  Listing(DirectoryPages& pages, NodeRef directory)
      : pages_(pages), directory_(std::move(directory)) {}

  // Visits the entries behind `offset`, which is kFirstOffset or that behind an entry. Starting
  // over asks again, unless what is known may still be used. Errors: those of `fetch`.
  Status Read(std::uint64_t offset, const Fetch& fetch, const Visit& visit) EXCLUDES(mutex_);

 private:
  using PageRef = DirectoryPages::PageRef;

  // Null: there are fewer pages.
  Result<PageRef> FindPage(std::uint64_t number, const Fetch& fetch) EXCLUDES(mutex_);

  DirectoryPages& pages_;
  const NodeRef directory_;
  Mutex mutex_;
  PageRef page_ GUARDED_BY(mutex_);  // The last one that was read.
  // What each page comes after.
  std::vector<std::string> begins_ GUARDED_BY(mutex_) = {""};
};

}  // namespace forebay
