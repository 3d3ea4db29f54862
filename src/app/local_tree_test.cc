#include "app/local_tree.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace forebay {
namespace {

namespace fs = std::filesystem;

class LocalTreeTest : public testing::Test {
 protected:
  LocalTreeTest() {
    std::string pattern = testing::TempDir() + "local-tree-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~LocalTreeTest() override { fs::remove_all(directory_); }

  LocalTree Tree() const { return LocalTree::Open(directory_.string()).value(); }

  static Status Put(LocalTree& tree, const std::string& name, const std::string& text) {
    Result<LocalFile> file = tree.Create(name);
    if (!file.ok()) return file.error();
    const Status written = file.value().Write(std::as_bytes(std::span(text)));
    return written.ok() ? file.value().Commit() : written;
  }

  std::string Get(const std::string& name) const {
    std::ifstream file(directory_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::size_t Entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::recursive_directory_iterator(directory_), {}));
  }

  fs::path directory_;
};

TEST_F(LocalTreeTest, WritesFilesAndTheDirectoriesOnTheWay) {
  LocalTree tree = Tree();
  const std::string longest(255, 'n');
  ASSERT_TRUE(Put(tree, "a/b c/\n", "one").ok());
  ASSERT_TRUE(Put(tree, longest, "two").ok());
  ASSERT_TRUE(tree.CreateDirectory("empty/too").ok());
  EXPECT_EQ(Get("a/b c/\n"), "one");
  EXPECT_EQ(Get(longest), "two");
  EXPECT_TRUE(fs::is_directory(directory_ / "empty/too"));
  EXPECT_EQ(Entries(), 6u);
}

TEST_F(LocalTreeTest, AFileIsReplacedOnlyByAWholeOne) {
  LocalTree tree = Tree();
  ASSERT_TRUE(Put(tree, "f", "old").ok());
  {
    Result<LocalFile> file = tree.Create("f");
    ASSERT_TRUE(file.ok());
    const std::string part = "ne";
    ASSERT_TRUE(file.value().Write(std::as_bytes(std::span(part))).ok());
    EXPECT_EQ(Get("f"), "old");
  }
  EXPECT_EQ(Get("f"), "old");
  EXPECT_EQ(Entries(), 1u);
  ASSERT_TRUE(Put(tree, "f", "new").ok());
  EXPECT_EQ(Get("f"), "new");
}

TEST_F(LocalTreeTest, NothingLeavesTheTree) {
  LocalTree tree = Tree();
  fs::create_directory_symlink("/tmp", directory_ / "out");
  for (const char* name :
       {"../x", "..", ".", "", "a//b", "a/./b", "a/../../b", "/etc/x", "out/x"}) {
    EXPECT_FALSE(tree.Create(name).ok()) << name;
  }
  EXPECT_FALSE(tree.Create(std::string("a\0b", 3)).ok());
  EXPECT_FALSE(tree.CreateDirectory("out/x").ok());
  EXPECT_FALSE(tree.CreateDirectory("../x").ok());
}

TEST_F(LocalTreeTest, ALinkIsReplacedNotFollowed) {
  LocalTree tree = Tree();
  ASSERT_TRUE(Put(tree, "target", "kept").ok());
  fs::create_symlink("target", directory_ / "link");
  ASSERT_TRUE(Put(tree, "link", "new").ok());
  EXPECT_EQ(Get("target"), "kept");
  EXPECT_EQ(Get("link"), "new");
}

TEST_F(LocalTreeTest, ADirectoryIsNotReplaced) {
  LocalTree tree = Tree();
  ASSERT_TRUE(tree.CreateDirectory("d").ok());
  const Result<LocalFile> file = tree.Create("d");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().message(),
            "cannot replace \"d\" with a file: it is a directory; name another target");
}

TEST_F(LocalTreeTest, MissingDirectories) {
  EXPECT_FALSE(LocalTree::Open((directory_ / "no").string()).ok());
  EXPECT_TRUE(LocalTree::OpenOrCreate((directory_ / "no").string()).ok());
  EXPECT_FALSE(LocalTree::OpenOrCreate((directory_ / "x/y").string()).ok());
}

}  // namespace
}  // namespace forebay
