#include "mount/listing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// A directory of "000", "001", ... in pages of `page`.
class Directory {
 public:
  Directory(int entries, int page) : entries_(entries), page_(page) {}

  Result<ListedPage> Fetch(const std::string& after) {
    ++fetched;
    if (fails) return Error(Code::kUnavailable, "as told");
    ListedPage listed{{}, {Clock::now(), Clock::now() + (stale ? 0s : 60s)}};
    const int begin = after.empty() ? 0 : std::stoi(after) + 1;
    const int end = std::min(entries_, begin + page_);
    for (int i = begin; i < end; ++i) listed.page.entries.push_back({Name(i), {.version = ""}});
    if (end < entries_) listed.page.next = Name(end - 1);
    return listed;
  }

  static std::string Name(int number) {
    std::string digits = std::to_string(number);
    return std::string(3 - digits.size(), '0') + digits;
  }

  int fetched = 0;
  bool fails = false;
  bool stale = false;

 private:
  const int entries_;
  const int page_;
};

struct ListingTest : testing::Test {
  // As another process would, or with what was kept.
  void StartAnew(bool with_pages = false) {
    listing = nullptr;
    if (!with_pages) pages = std::make_unique<DirectoryPages>(valid_max);
    listing = std::make_unique<Listing>(*pages, node);
  }

  // At most `most` names behind `offset`, which moves on.
  std::vector<std::string> Read(Directory& directory, std::uint64_t& offset, std::size_t most) {
    std::vector<std::string> names;
    status = listing->Read(
        offset, [&](const std::string& after) { return directory.Fetch(after); },
        [&](const DirectoryPage& page, std::size_t index) {
          if (names.size() == most) return false;
          names.push_back(page.entry(index).name);
          offset = page.OffsetBehind(index);
          return true;
        });
    return names;
  }

  std::vector<std::string> ReadAll(Directory& directory) {
    std::uint64_t offset = DirectoryPage::kFirstOffset;
    return Read(directory, offset, 1'000'000);
  }

  std::chrono::nanoseconds valid_max = 60s;
  NodeRef node = std::make_shared<KnownNode>(
      kRootNode, "", Attributes{.type = FileType::kDirectory, .version = ""});
  std::unique_ptr<DirectoryPages> pages = std::make_unique<DirectoryPages>(valid_max);
  std::unique_ptr<Listing> listing = std::make_unique<Listing>(*pages, node);
  Status status;
};

TEST_F(ListingTest, EveryEntryOnceWhateverTheSteps) {
  for (const std::size_t step : {1u, 3u, 4u, 7u, 100u}) {
    Directory directory(25, 4);
    std::uint64_t offset = DirectoryPage::kFirstOffset;
    std::vector<std::string> all;
    for (auto names = Read(directory, offset, step); !names.empty();
         names = Read(directory, offset, step)) {
      all.insert(all.end(), names.begin(), names.end());
    }
    ASSERT_EQ(all.size(), 25u) << step;
    EXPECT_TRUE(std::ranges::is_sorted(all));
    EXPECT_EQ(directory.fetched, 7) << step;
    StartAnew();
  }
}

TEST_F(ListingTest, AnOffsetFindsItsPlaceAgainAlsoInAnotherProcess) {
  Directory directory(25, 4);
  std::uint64_t offset = DirectoryPage::kFirstOffset;
  Read(directory, offset, 10);
  std::uint64_t later = offset;
  Read(directory, later, 10);
  std::uint64_t back = offset;
  EXPECT_EQ(Read(directory, back, 2), (std::vector<std::string>{"010", "011"}));
  StartAnew();
  EXPECT_EQ(Read(directory, offset, 2), (std::vector<std::string>{"010", "011"}));
}

TEST_F(ListingTest, StartingOverAsksAgainOnlyIfItIsStale) {
  Directory directory(3, 4);
  std::uint64_t offset = DirectoryPage::kFirstOffset;
  Read(directory, offset, 10);
  offset = 0;
  Read(directory, offset, 10);
  EXPECT_EQ(directory.fetched, 1);
  directory.stale = true;
  StartAnew();
  for (int i = 0; i < 2; ++i) {
    offset = 0;
    EXPECT_EQ(Read(directory, offset, 10).size(), 3u);
  }
  EXPECT_EQ(directory.fetched, 3);
}

TEST_F(ListingTest, WhatIsFreshIsNotFetchedAgainByAnother) {
  Directory directory(25, 4);
  const std::vector<std::string> all = ReadAll(directory);
  EXPECT_EQ(directory.fetched, 7);
  StartAnew(true);
  EXPECT_EQ(ReadAll(directory), all);
  EXPECT_EQ(directory.fetched, 7);
  const auto fetch = [&](const std::string& after) { return directory.Fetch(after); };
  const auto page = pages->Get(*node, 0, "", fetch).value();
  EXPECT_GT(pages->FreshnessOf(*page).until, Clock::now());
  pages->Clear();
  EXPECT_LE(pages->FreshnessOf(*page).until, Clock::now());  // Who is at it may go on.
  EXPECT_TRUE(pages->empty());
  EXPECT_EQ(ReadAll(directory), all);
  EXPECT_EQ(directory.fetched, 14);

  valid_max = 0s;
  StartAnew();
  ReadAll(directory);
  ReadAll(directory);
  EXPECT_EQ(directory.fetched, 28);

  valid_max = 10ms;
  StartAnew();
  ReadAll(directory);
  const auto await_expiry = [this] {
    const Deadline expired = Clock::now() + 2 * valid_max;
    while (!Passed(expired)) std::this_thread::yield();
  };
  await_expiry();
  ReadAll(directory);
  EXPECT_EQ(directory.fetched, 42);
  await_expiry();
  EXPECT_TRUE(pages->empty());
}

TEST_F(ListingTest, WhatIsFetchedWhileAllIsForgottenIsNotKept) {
  Directory directory(3, 4);
  std::uint64_t offset = DirectoryPage::kFirstOffset;
  const Status read = listing->Read(
      offset,
      [&](const std::string& after) {
        Result<ListedPage> listed = directory.Fetch(after);
        pages->Clear();
        return listed;
      },
      [](const DirectoryPage&, std::size_t) { return true; });
  EXPECT_TRUE(read.ok());
  EXPECT_TRUE(pages->empty());
}

TEST_F(ListingTest, PagesOfOtherDirectoriesAndNumbersAreOthers) {
  Directory directory(3, 4);
  ReadAll(directory);
  node = std::make_shared<KnownNode>(kRootNode + 1, "below",
                                     Attributes{.type = FileType::kDirectory, .version = ""});
  StartAnew(true);
  Directory below(2, 4);
  EXPECT_EQ(ReadAll(below).size(), 2u);
  const auto fetch = [&](const std::string& after) { return below.Fetch(after); };
  EXPECT_EQ(pages->Get(*node, 1, "", fetch).value()->number(), 1u);
  EXPECT_EQ(below.fetched, 2);
}

TEST_F(ListingTest, NoMoreThanSomePagesAreKept) {
  Directory directory(1'000, 10);
  ReadAll(directory);
  ReadAll(directory);
  EXPECT_EQ(directory.fetched, 200);  // The last ones were kept; the first ones were gone.
}

TEST_F(ListingTest, PagesOfLongNamesAreNotKept) {
  const auto fetch = [](const std::string&) {
    ListedPage listed{{}, {Clock::now(), Clock::now() + 60s}};
    listed.page.entries.resize(1'000, {std::string(500, 'n'), {.version = ""}});
    return listed;
  };
  EXPECT_EQ(pages->Get(*node, 0, "", fetch).value()->size(), 1'000u);
  EXPECT_TRUE(pages->empty());
}

TEST_F(ListingTest, AnErrorIsHandedOnAndForgotten) {
  Directory directory(3, 4);
  directory.fails = true;
  std::uint64_t offset = DirectoryPage::kFirstOffset;
  Read(directory, offset, 10);
  EXPECT_EQ(status.error().code(), Code::kUnavailable);
  directory.fails = false;
  EXPECT_EQ(Read(directory, offset, 10).size(), 3u);
}

TEST_F(ListingTest, AnEmptyDirectoryAndANonsenseOffset) {
  Directory empty(0, 4);
  std::uint64_t offset = DirectoryPage::kFirstOffset;
  EXPECT_TRUE(Read(empty, offset, 10).empty());
  EXPECT_TRUE(status.ok());
  Directory directory(3, 4);
  offset = std::uint64_t{1} << 50;
  EXPECT_TRUE(Read(directory, offset, 10).empty());
  EXPECT_TRUE(status.ok());
}

}  // namespace
}  // namespace forebay
