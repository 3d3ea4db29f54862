#include "mount/directory_pages.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "mount/own_files.h"
#include "mount/reply.h"

namespace forebay {
namespace {

constexpr std::size_t kNameMax = 1024;  // The kernel refuses a listing with a longer one.

bool IsShown(const KnownNode& directory, const Entry& entry) {
  const bool is_hidden = entry.name == OwnFiles::kDirectory && directory.id == kRootNode;
  return !is_hidden && entry.name.size() <= kNameMax;
}

std::string KeyOf(const KnownNode& directory, const std::string& after) {
  std::string key(sizeof(directory.id), '\0');
  std::memcpy(key.data(), &directory.id, sizeof(directory.id));
  return key + after;
}

}  // namespace

DirectoryPage::DirectoryPage(const KnownNode& directory, std::uint64_t number, ListedPage listed)
    : number_(number), listed_(std::move(listed)) {
  CHECK(size() <= kEntryMask);
  constexpr std::size_t kUsualBytes = 48;
  ends_.reserve(size());
  dirents_.reserve(size() * kUsualBytes);
  std::string path = directory.path.empty() ? "" : directory.path + '/';
  const std::size_t above = path.size();
  for (std::size_t i = 0; i < size(); ++i) {
    if (IsShown(directory, entry(i))) {
      path.resize(above);
      path += entry(i).name;
      AppendDirent(dirents_, entry(i).name,
                   {.ino = InodeOf(path),
                    .is_directory = entry(i).attributes.type == FileType::kDirectory,
                    .offset = OffsetBehind(i)});
    }
    ends_.push_back(static_cast<std::uint32_t>(dirents_.size()));
  }
}

std::uint64_t DirectoryPage::OffsetBehind(std::size_t index) const {
  const bool is_on_next_page = index + 1 == size() && !is_last();
  const std::uint64_t place =
      is_on_next_page ? (number_ + 1) << kEntryBits : (number_ << kEntryBits) | (index + 1);
  return place + kFirstOffset;
}

std::span<const std::byte> DirectoryPage::Dirent(std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
  return std::span(dirents_).subspan(begin, ends_[index] - begin);
}

Result<DirectoryPages::PageRef> DirectoryPages::Get(const KnownNode& directory,
                                                    std::uint64_t number, const std::string& after,
                                                    const Fetch& fetch) {
  const std::string key = KeyOf(directory, after);
  std::uint64_t cleared = 0;
  {
    MutexLock lock(mutex_);
    const PageRef* const known = pages_.Find(key);
    const bool is_good = known != nullptr && (*known)->number() == number &&
                         Clock::now() < (*known)->freshness().until;
    if (is_good) return *known;
    cleared = cleared_;
  }
  Result<ListedPage> listed = fetch(after);
  if (!listed.ok()) return std::move(listed).error();
  if (listed.value().page.entries.size() > DirectoryPage::kEntryMask) {
    return Error(Code::kInternal, "a page of a listing is too long");
  }
  Clock::time_point& until = listed.value().freshness.until;
  const Clock::time_point now = Clock::now();
  until = std::min(until, now + valid_max_);
  const auto page =
      std::make_shared<const DirectoryPage>(directory, number, std::move(listed).value());
  MutexLock lock(mutex_);
  const auto is_old = [now](const PageRef& kept) { return kept->freshness().until <= now; };
  pages_.ForgetOldest(is_old);
  if (page->size() <= kEntriesMax && !is_old(page) && cleared == cleared_) {
    pages_.Use(key, [](const PageRef&) {}) = page;
  }
  return page;
}

void DirectoryPages::Clear() {
  MutexLock lock(mutex_);
  pages_.ForgetOldest([](const PageRef&) { return true; });
  ++cleared_;
}

bool DirectoryPages::empty() const {
  MutexLock lock(mutex_);
  return pages_.size() == 0;
}

}  // namespace forebay
