#include "client/lookups.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/temporary_directory.h"
#include "client/fake_pool.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

struct LookupsTest : testing::Test {
  LookupsTest() {
    for (int i = 0; i < 25; ++i) pool.Put("d/" + std::to_string(i), "v1", 100);
  }
  Place At(const std::string& path) { return pool.backends.stores.Find("s3://b/" + path).value(); }
  Result<Attributes> Stat(const std::string& path) {
    return pool.lookups.Stat(At(path), Clock::now() + 10s, {});
  }
  int asked() const {
    int all = 0;
    for (const FakeWorker* worker : pool.workers) all += worker->lookups();
    return all;
  }

  FakePool pool{5};
};

TEST_F(LookupsTest, TheHomeOfTheDirectoryAnswers) {
  for (int i = 0; i < 10; ++i) {
    const Result<Attributes> found = Stat("d/" + std::to_string(i));
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found.value().size, 100u);
    EXPECT_EQ(found.value().version, "v1");
  }
  int homes = 0;
  for (const FakeWorker* worker : pool.workers) homes += worker->lookups() > 0 ? 1 : 0;
  EXPECT_EQ(homes, 1);
  EXPECT_EQ(asked(), 10);
}

TEST_F(LookupsTest, WhatDoesNotExistIsNotAskedForTwice) {
  const Result<Attributes> found = Stat("d/none");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code(), Code::kNotFound);
  EXPECT_EQ(asked(), 1);
}

TEST_F(LookupsTest, TroubleIsSteppedOver) {
  for (const Code code : {Code::kUnavailable, Code::kOverloaded, Code::kInternal, Code::kCorrupt,
                          Code::kNotHere, Code::kStale, Code::kDeadlineExceeded}) {
    FakePool own(3);
    own.Put("a", "v1", 7);
    for (FakeWorker* worker : own.workers) worker->FailLookups(code);
    const Place place = own.backends.stores.Find("s3://b/a").value();
    const Result<Attributes> found = own.lookups.Stat(place, Clock::now() + 10s, {});
    ASSERT_TRUE(found.ok()) << CodeName(code);
    EXPECT_EQ(found.value().size, 7u);
    int lookups = 0;
    for (const FakeWorker* worker : own.workers) lookups += worker->lookups();
    EXPECT_EQ(lookups, 2) << CodeName(code);
  }
}

// Of a pinned dataset: what workers do not tell, its snapshot does, and never the store.
TEST_F(LookupsTest, ASnapshotStandsForTheStore) {
  const TemporaryDirectory folder;
  const std::string& directory = folder.path();
  for (FakeWorker* worker : pool.workers) worker->FailLookups(Code::kNotHere);
  Store pinned = *At("").store;
  pinned.rules.staleness = std::chrono::milliseconds::max();
  pinned.snapshots = SnapshotSource::Create({"", directory}).value();
  const Place place{std::make_shared<const Store>(pinned), "d/1"};
  // Nobody has it: that the store has the name, in some version, says nothing.
  EXPECT_EQ(
      pool.lookups.Stat(place, Clock::now() + std::chrono::milliseconds(100), {}).error().code(),
      Code::kUnavailable);
  SnapshotTree tree;
  tree["d/"].entries = {{"1", {FileType::kFile, 5, 0, "pinned"}}};
  const Snapshot snapshot({pinned.dataset, 0}, tree);
  const std::vector<std::byte> bytes = EncodeSnapshot(snapshot);
  const std::string path = SnapshotPath(directory, pinned.dataset);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  EXPECT_EQ(pool.lookups.Stat(place, Clock::now() + 10s, {}).value().version, "pinned");
  const Place other{place.store, "d/2"};
  EXPECT_EQ(pool.lookups.Stat(other, Clock::now() + 10s, {}).error().code(), Code::kNotFound);
}

TEST_F(LookupsTest, ADirectoryIsListedPageByPage) {
  const Place place = pool.backends.stores.Find("s3://b/d/").value();
  std::string after;
  std::size_t entries = 0;
  do {
    const Result<ListedPage> page = pool.lookups.List(place, after, Clock::now() + 10s, {});
    ASSERT_TRUE(page.ok());
    entries += page.value().page.entries.size();
    after = page.value().page.next;
  } while (!after.empty());
  EXPECT_EQ(entries, 25u);
}

// At the 32nd name of a directory its listing is fetched once, and answers from then on.
TEST_F(LookupsTest, ManyNamesOfADirectoryBecomeOneListing) {
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(Stat("d/" + std::to_string(i % 25)).ok());
  EXPECT_EQ(asked(), 32 + 3);  // 32 names, then 3 pages.
}

TEST_F(LookupsTest, AFreshQuestionIsAskedDespiteTheListing) {
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Stat("d/1").ok());
  pool.store.Put("d/1", "version 2", 100);
  EXPECT_EQ(Stat("d/1").value().version, "v1");
  EXPECT_EQ(pool.lookups.StatAnew(At("d/1"), Clock::now() + 10s, {}).value().version, "version 2");
  EXPECT_EQ(Stat("d/1").value().version, "version 2");  // And the old listing is forgotten.
}

// What is handed on says for how long it may be kept, also when it comes from a kept listing.
TEST_F(LookupsTest, AnAnswerSaysHowLongItMayBeKept) {
  const Clock::time_point before = Clock::now();
  for (int i = 0; i < 40; ++i) {
    const Clock::time_point asked_at = Clock::now();
    const Result<Looked> looked = pool.lookups.LookUp(At("d/1"), Clock::now() + 10s, {});
    ASSERT_TRUE(looked.ok());
    const Freshness& freshness = looked.value().freshness;
    EXPECT_GE(freshness.as_of, i < 32 ? asked_at : before);
    EXPECT_LE(freshness.as_of, Clock::now());
    EXPECT_EQ(freshness.until, freshness.as_of + At("d/1").store->rules.staleness);
  }
}

TEST_F(LookupsTest, ATreeShowsTheDirectoryOfThatName) {
  EXPECT_EQ(pool.lookups.LookUp(At("d/1"), Clock::now() + 10s, {}).value().attributes.type,
            FileType::kFile);
  pool.store.MakeAllBoth();
  EXPECT_EQ(pool.lookups.LookUp(At("d/1"), Clock::now() + 10s, {}).value().attributes.type,
            FileType::kDirectory);
  EXPECT_EQ(Stat("d/1").value().type, FileType::kFile);  // Taken literally.
}

TEST_F(LookupsTest, ANameThatTheListingLacksIsAskedFor) {
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Stat("d/1").ok());
  pool.store.Put("d/new", "v1", 100);
  EXPECT_TRUE(Stat("d/new").ok());
}

}  // namespace
}  // namespace forebay
