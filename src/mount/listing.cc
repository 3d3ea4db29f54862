#include "mount/listing.h"

#include <algorithm>

namespace forebay {

Status Listing::Read(std::uint64_t offset, const Fetch& fetch, const Visit& visit) {
  const std::uint64_t place =
      offset < DirectoryPage::kFirstOffset ? 0 : offset - DirectoryPage::kFirstOffset;
  if (place == 0) {  // A new pass.
    MutexLock lock(mutex_);
    page_ = nullptr;
    begins_.resize(1);
  }
  std::uint64_t entry = place & DirectoryPage::kEntryMask;
  for (std::uint64_t number = place >> DirectoryPage::kEntryBits;; ++number) {
    const Result<PageRef> found = FindPage(number, fetch);
    if (!found.ok()) return found.error();
    if (found.value() == nullptr) return {};
    const DirectoryPage& page = *found.value();
    for (; entry < page.size(); ++entry) {
      if (!visit(page, entry)) return {};
    }
    if (page.is_last()) return {};
    entry = 0;
  }
}

Result<Listing::PageRef> Listing::FindPage(std::uint64_t number, const Fetch& fetch) {
  while (true) {
    std::uint64_t known = 0;
    std::string after;
    {
      MutexLock lock(mutex_);
      // Within a pass a page stays as it is.
      if (page_ && page_->number() == number) return page_;
      known = std::min<std::uint64_t>(number, begins_.size() - 1);
      after = begins_[known];
    }
    Result<PageRef> found = pages_.Get(*directory_, known, after, fetch);
    if (!found.ok()) return found;
    const PageRef& page = found.value();
    MutexLock lock(mutex_);
    if (!page->is_last() && begins_.size() == known + 1) begins_.push_back(page->next());
    page_ = page;
    if (known == number) return page;
    if (page->is_last()) return PageRef();
  }
}

}  // namespace forebay
