#include "upstream/s3_fold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/rng.h"

namespace forebay {
namespace {

S3Object Object(const std::string& key, std::uint64_t size = 1) {
  return {.key = key, .etag = "\"e\"", .modified_seconds = 1, .size = size};
}

std::vector<std::string> Shown(const ListPage& page) {
  std::vector<std::string> shown;
  for (const Entry& entry : page.entries) {
    shown.push_back(entry.name + (entry.attributes.type == FileType::kDirectory ? "/" : ""));
  }
  return shown;
}

ListPage Fold(const S3Listing& listing, const std::string& directory) {
  Result<ListPage> page = FoldPage(listing, directory, {}, {});
  CHECK(page.ok());
  return std::move(page).value();
}

// Found by fuzzing: a store that folds at the wrong slash must not make names that lead elsewhere.
TEST(S3Fold, APrefixOfSeveralComponentsIsNoName) {
  const ListPage page =
      Fold({.objects = {}, .common_prefixes = {"p/a/../", "p/b/"}, .continuation_token = ""}, "p/");
  EXPECT_EQ(Shown(page), (std::vector<std::string>{"b/"}));
  EXPECT_EQ(page.left_out, 1u);
}

TEST(S3Fold, ShowsNamesInOrderAndADirectoryInsteadOfAFile) {
  const S3Listing listing{
      .objects = {Object("p/", 0), Object("p/a"), Object("p/a-b"), Object("p/z")},
      .common_prefixes = {"p/a/"},
      .continuation_token = ""};
  const ListPage page = Fold(listing, "p/");
  EXPECT_EQ(Shown(page), (std::vector<std::string>{"a/", "a-b", "z"}));
  EXPECT_EQ(page.left_out, 0u);
}

TEST(S3Fold, CountsWhatATreeCannotShow) {
  const S3Listing listing{.objects = {Object("."), Object(".."), Object(""), Object("ok")},
                          .common_prefixes = {"/", "./", "../"},
                          .continuation_token = ""};
  const ListPage page = Fold(listing, "");
  EXPECT_EQ(Shown(page), std::vector<std::string>{"ok"});
  EXPECT_EQ(page.left_out, 6u);
}

TEST(S3Fold, RefusesKeysFromElsewhere) {
  const S3Listing object{
      .objects = {Object("q/a")}, .common_prefixes = {}, .continuation_token = ""};
  EXPECT_FALSE(FoldPage(object, "p/", {}, {}).ok());
  const S3Listing prefix{.objects = {}, .common_prefixes = {"q/"}, .continuation_token = ""};
  EXPECT_FALSE(FoldPage(prefix, "p/", {}, {}).ok());
}

TEST(S3Fold, FindsDirectoriesThatMayStraddleABorder) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(PendingDirectories("a-b.c", ""), (Names{"a", "a-b", "a-b.c"}));
  EXPECT_EQ(PendingDirectories("a-b.c", "a-b"), (Names{"a-b.c"}));
  EXPECT_EQ(PendingDirectories("abc", ""), (Names{"abc"}));
  EXPECT_EQ(PendingDirectories("a-b/", ""), (Names{"a"}));
  EXPECT_EQ(PendingDirectories("abc/", ""), (Names{}));
}

TEST(S3Fold, BordersSurviveTheirCoding) {
  for (const PageBorder& border :
       {PageBorder{"a:b", "12:tok"}, PageBorder{"", "t"}, PageBorder{std::string("\0x", 2), ""}}) {
    const Result<PageBorder> decoded = DecodeBorder(EncodeBorder(border));
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded.value().last, border.last);
    EXPECT_EQ(decoded.value().token, border.token);
  }
  for (const char* text : {"x", "5", "5:abc", ":", "-1:a", "99999999999999999999:a"}) {
    EXPECT_FALSE(DecodeBorder(text).ok()) << text;
  }
}

// A store of `keys` (below ""), listed `keys_max` at a time as S3 does.
class ModelStore {
 public:
  explicit ModelStore(std::set<std::string> keys) : keys_(std::move(keys)) {}

  bool HasKeysBelow(const std::string& prefix) const {
    return std::any_of(keys_.begin(), keys_.end(),
                       [&](const std::string& key) { return key.starts_with(prefix); });
  }
  S3Listing List(const std::string& after, std::size_t keys_max) const {
    std::set<std::string> items;
    for (const std::string& key : keys_)
      items.insert(key.substr(0, key.find('/') + 1 ? key.find('/') + 1 : key.size()));
    S3Listing listing;
    std::size_t count = 0;
    for (auto item = items.upper_bound(after); item != items.end(); ++item) {
      if (count++ == keys_max) {
        listing.truncated = true;
        break;
      }
      if (item->ends_with('/')) {
        listing.common_prefixes.push_back(*item);
      } else {
        listing.objects.push_back(Object(*item));
      }
    }
    return listing;
  }

 private:
  const std::set<std::string> keys_;
};

std::vector<std::string> ListAll(const ModelStore& store, std::size_t keys_max) {
  std::vector<std::string> shown;
  PageBorder previous;
  while (true) {
    const S3Listing listing = store.List(previous.last, keys_max);
    const std::string last = LastKey(listing, "");
    std::vector<std::string> found;
    if (listing.truncated) {
      for (const std::string& name : PendingDirectories(last, previous.last)) {
        if (store.HasKeysBelow(name + '/')) found.push_back(name);
      }
    }
    const Result<ListPage> page = FoldPage(listing, "", previous, found);
    CHECK(page.ok());
    for (std::string& name : Shown(page.value())) shown.push_back(std::move(name));
    if (!listing.truncated) return shown;
    previous.last = last;
  }
}

// Property, over random key sets and every page size: the pages together are what one page shows.
TEST(S3Fold, PagesShowWhatOneWholePageShows) {
  constexpr std::string_view kLetters = "a-.z/";
  Rng rng(7);
  for (int round = 0; round < 300; ++round) {
    std::set<std::string> keys;
    for (int i = 0; i < 12; ++i) {
      std::string key(1, 'a');
      while (!rng.Chance(1, 4)) key += kLetters[rng.Below(kLetters.size())];
      keys.insert(key);
    }
    const ModelStore store(keys);
    const std::vector<std::string> whole = ListAll(store, 1000);
    for (std::size_t keys_max = 1; keys_max <= 12; ++keys_max) {
      ASSERT_EQ(ListAll(store, keys_max), whole) << "round " << round << ", pages of " << keys_max;
    }
  }
}

}  // namespace
}  // namespace forebay
