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

DirectoryPage::DirectoryPage(const KnownNode& directory, std::uint64_t number,
                             std::uint64_t generation, ListedPage listed)
    : number_(number), generation_(generation), listed_(std::move(listed)) {
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
  const std::uint64_t generation = generation_;
  {
    MutexLock lock(mutex_);
    const PageRef* const known = pages_.Find(key);
    const bool is_good = known != nullptr && (*known)->number() == number &&
                         Clock::now() < (*known)->freshness().until;
    if (is_good) return *known;
  }
  Result<ListedPage> listed = fetch(after);
  if (!listed.ok()) return std::move(listed).error();
  if (listed.value().page.entries.size() > DirectoryPage::kEntryMask) {
    return Error(Code::kInternal, "a page of a listing is too long");
  }
  const Clock::time_point now = Clock::now();
  const Clock::time_point until = std::min(listed.value().freshness.until, now + valid_max_);
  listed.value().freshness.until = until;
  const auto page = std::make_shared<const DirectoryPage>(directory, number, generation,
                                                          std::move(listed).value());
  const bool is_large = page->size() > kEntriesMax || page->dirent_bytes() > kDirentBytesMax;
  MutexLock lock(mutex_);
  ForgetOld();
  if (!is_large && now < until && generation == generation_) {
    pages_.Use(key, [](const PageRef&) {}) = page;
  }
  return page;
}

void DirectoryPages::Clear() {
  MutexLock lock(mutex_);
  pages_.ForgetOldest([](const PageRef&) { return true; });
  ++generation_;
}

void DirectoryPages::ForgetOld() {
  const Clock::time_point now = Clock::now();
  pages_.ForgetOldest([now](const PageRef& page) { return page->freshness().until <= now; });
}

Freshness DirectoryPages::FreshnessOf(const DirectoryPage& page) const {
  Freshness freshness = page.freshness();
  if (page.generation() != generation_) freshness.until = freshness.as_of;
  return freshness;
}

bool DirectoryPages::empty() {
  MutexLock lock(mutex_);
  ForgetOld();
  return pages_.size() == 0;
}

}  // namespace forebay
