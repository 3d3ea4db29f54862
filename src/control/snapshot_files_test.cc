#include "control/snapshot_files.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/temporary_directory.h"
#include "control/files.h"
#include "control/pool.h"

namespace forebay {
namespace {

struct SnapshotFilesTest : testing::Test {
  SnapshotFilesTest() { files = std::make_unique<SnapshotFiles>(directory); }
  static SnapshotKey Key(std::uint8_t byte, std::uint64_t refreshed) {
    SnapshotKey key{{}, refreshed};
    key.uid.value.bytes.fill(byte);
    return key;
  }
  static Snapshot Made(const SnapshotKey& key) {
    const auto file = [](const std::string& name, std::uint64_t size) {
      return Entry{name, {FileType::kFile, size, 0, "v"}};
    };
    SnapshotTree tree;
    tree[""].entries = {{"a", {.type = FileType::kDirectory, .version = {}}}, file("a-b", 5)};
    tree["a/"].entries = {file("x", 7)};
    return {key, tree};
  }

  bool Write(const Snapshot& snapshot) const {
    return files->Stage(snapshot).ok() && files->Commit(snapshot.key().uid).ok();
  }

  const TemporaryDirectory folder;
  const std::string directory = folder.path() + "/snapshots";
  std::unique_ptr<SnapshotFiles> files;
};

TEST_F(SnapshotFilesTest, OnlyTheSnapshotOfTheCountIsRead) {
  EXPECT_EQ(files->Read(Key(1, 2)), nullptr);
  ASSERT_TRUE(Write(Made(Key(1, 2))));
  const auto read = files->Read(Key(1, 2));
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->Stat("a/x").value().size, 7u);
  EXPECT_EQ(files->Read(Key(1, 1)), nullptr);
  EXPECT_EQ(files->Read(Key(1, 3)), nullptr);
  files->Remove(Key(1, 2).uid);
  EXPECT_EQ(files->Read(Key(1, 2)), nullptr);
}

// The registry counts between Stage and Commit: whatever it has after a crash is there.
TEST_F(SnapshotFilesTest, AStagedSnapshotIsThereBesideTheOneBefore) {
  ASSERT_TRUE(Write(Made(Key(1, 2))));
  ASSERT_TRUE(files->Stage(Made(Key(1, 3))).ok());
  files->Sweep({Key(1, 0).uid});
  EXPECT_NE(files->Read(Key(1, 2)), nullptr);
  const std::string path = SnapshotPath(directory, Key(1, 0).uid);
  EXPECT_EQ(ReadSnapshot(path).value().key().refreshed, 2u);
  EXPECT_NE(files->Read(Key(1, 3)), nullptr);
  EXPECT_EQ(ReadSnapshot(path).value().key().refreshed, 3u);  // It took its place.
  EXPECT_EQ(files->Read(Key(1, 2)), nullptr);
}

TEST_F(SnapshotFilesTest, WhatBelongsToNoDatasetIsSwept) {
  ASSERT_TRUE(Write(Made(Key(1, 0))));
  ASSERT_TRUE(Write(Made(Key(2, 0))));
  ASSERT_TRUE(ReplaceFile(directory + "/left.new", "x").ok());
  files->Sweep({Key(2, 0).uid});
  EXPECT_EQ(files->Read(Key(1, 0)), nullptr);
  EXPECT_NE(files->Read(Key(2, 0)), nullptr);
  EXPECT_FALSE(std::filesystem::exists(directory + "/left.new"));
}

TEST_F(SnapshotFilesTest, WhatIsDamagedIsNotThere) {
  ASSERT_TRUE(Write(Made(Key(1, 0))));
  const std::string path = SnapshotPath(directory, Key(1, 0).uid);
  std::string text = ReadFile(path, 1u << 20).value();
  text[40] = static_cast<char>(text[40] ^ 1);
  ASSERT_TRUE(ReplaceFile(path, text).ok());
  EXPECT_EQ(files->Read(Key(1, 0)), nullptr);
}

TEST_F(SnapshotFilesTest, TheListingHasTheFilesInOrder) {
  const DatasetListing listing = ListingOf(Made(Key(1, 0)), Deadline::min());
  ASSERT_EQ(listing.files.size(), 2u);
  EXPECT_EQ(listing.files[0].path, "a/x");
  EXPECT_EQ(listing.files[1].path, "a-b");
  EXPECT_EQ(listing.total_bytes, 12u);
}

}  // namespace
}  // namespace forebay
