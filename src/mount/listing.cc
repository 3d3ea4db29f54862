#include "mount/listing.h"

#include <utility>

namespace forebay {
namespace {

// Pages are of 1,000 entries at most; a wider one is cut into steps of this many.
constexpr unsigned kEntryBits = 20;
constexpr std::uint64_t kEntryMask = (std::uint64_t{1} << kEntryBits) - 1;

std::uint64_t OffsetOf(std::uint64_t page, std::uint64_t entry) {
  return ((page << kEntryBits) | entry) + Listing::kFirstOffset;
}

}  // namespace

Status Listing::Read(std::uint64_t offset, const Fetch& fetch, const Visit& visit) {
  const std::uint64_t place = offset < kFirstOffset ? 0 : offset - kFirstOffset;
  std::uint64_t entry = place & kEntryMask;
  for (std::uint64_t number = place >> kEntryBits;; ++number) {
    const Result<PageRef> page = FindPage(number, fetch);
    if (!page.ok()) return page.error();
    if (page.value() == nullptr) return {};
    const ListedPage& listed = page.value()->listed;
    for (; entry < listed.page.entries.size(); ++entry) {
      const bool is_on_next_page =
          entry + 1 == listed.page.entries.size() && !listed.page.next.empty();
      const std::uint64_t behind =
          is_on_next_page ? OffsetOf(number + 1, 0) : OffsetOf(number, entry + 1);
      if (!visit(listed.page.entries[entry], listed.freshness, behind)) return {};
    }
    if (listed.page.next.empty()) return {};
    entry = 0;
  }
}

Result<Listing::PageRef> Listing::FindPage(std::uint64_t number, const Fetch& fetch) {
  while (true) {
    std::uint64_t known = 0;
    std::string after;
    {
      MutexLock lock(mutex_);
      // Within a pass a page stays as it is; the first one begins a new pass.
      if (page_ && page_->number == number &&
          (number > 0 || Clock::now() < page_->listed.freshness.until)) {
        return page_;
      }
      if (number == 0) begins_.resize(1);
      known = std::min<std::uint64_t>(number, begins_.size() - 1);
      after = begins_[known];
    }
    Result<ListedPage> listed = fetch(after);
    if (!listed.ok()) return std::move(listed).error();
    if (listed.value().page.entries.size() > kEntryMask) {
      return Error(Code::kInternal, "a page of a listing is too long");
    }
    auto page = std::make_shared<const Page>(Page{known, std::move(listed).value()});
    const std::string& next = page->listed.page.next;
    MutexLock lock(mutex_);
    if (!next.empty() && begins_.size() == known + 1) begins_.push_back(next);
    page_ = page;
    if (known == number) return page;
    if (next.empty()) return PageRef();
  }
}

}  // namespace forebay
