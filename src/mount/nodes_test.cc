#include "mount/nodes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "mount/reply.h"

namespace forebay {
namespace {

Attributes File(const std::string& version) {
  return {.type = FileType::kFile, .size = 3, .mtime_ns = 1, .version = version};
}

TEST(Nodes, AVersionIsANode) {
  const std::unique_ptr<NodeTable> table = NodeTable::Create(1u << 20).value();
  Nodes nodes(*table);
  const NodeRef first = nodes.Enter("a", File("1"));
  EXPECT_EQ(nodes.Enter("a", File("1")), first);
  const NodeRef second = nodes.Enter("a", File("2"));
  EXPECT_NE(second->id, first->id);
  EXPECT_NE(nodes.Enter("b", File("1"))->id, first->id);
  EXPECT_EQ(nodes.Find(first->id)->attributes.version, "1");
  EXPECT_EQ(nodes.Find(second->id)->attributes.version, "2");
}

TEST(Nodes, ADirectoryIsOneNodeWhateverItsTime) {
  const std::unique_ptr<NodeTable> table = NodeTable::Create(1u << 20).value();
  Nodes nodes(*table);
  const auto directory = [](std::int64_t mtime_ns) {
    return Attributes{.type = FileType::kDirectory, .mtime_ns = mtime_ns, .version = ""};
  };
  EXPECT_EQ(nodes.Enter("d", directory(1)), nodes.Enter("d", directory(2)));
}

TEST(Nodes, ForgottenWhenAsOftenAsLookedUp) {
  const std::unique_ptr<NodeTable> table = NodeTable::Create(1u << 20).value();
  Nodes nodes(*table);
  const std::uint64_t id = nodes.Enter("a", File("1"))->id;
  nodes.Enter("a", File("1"));
  nodes.Forget(id, 1, [](KnownNode&) {});
  EXPECT_NE(nodes.Find(id), nullptr);
  nodes.Forget(id, 1, [](KnownNode&) {});
  EXPECT_EQ(nodes.Find(id), nullptr);
  nodes.Forget(id, 1, [](KnownNode&) {});  // Once too often changes nothing.
  EXPECT_EQ(nodes.size(), 1u);
  EXPECT_NE(nodes.Enter("a", File("1"))->id, id);  // Numbers are never used again.
  nodes.Forget(kRootNode, 1000, [](KnownNode&) {});
  EXPECT_NE(nodes.Find(kRootNode), nullptr);
}

TEST(Nodes, AnotherProcessGoesOnWithThem) {
  const std::unique_ptr<NodeTable> table = NodeTable::Create(1u << 20).value();
  const Attributes directory{.type = FileType::kDirectory, .mtime_ns = 5, .version = ""};
  std::uint64_t file = 0;
  std::uint64_t forgotten = 0;
  {
    Nodes nodes(*table);
    file = nodes.Enter("d/a", File("1"))->id;
    nodes.Enter("d/a", File("1"));
    forgotten = nodes.Enter("d/b", File("1"))->id;
    nodes.Enter("d", directory);
    nodes.Forget(forgotten, 1, [](KnownNode&) {});
  }
  Nodes nodes(*table);
  EXPECT_EQ(table->serial(), 2u);
  EXPECT_EQ(nodes.size(), 3u);
  const NodeRef found = nodes.Find(file);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->path, "d/a");
  EXPECT_EQ(found->attributes, File("1"));
  EXPECT_TRUE(found->has_young_pages);
  EXPECT_EQ(nodes.Enter("d/a", File("1")), found);
  EXPECT_TRUE(nodes.Enter("d", directory)->is_directory());
  EXPECT_GT(nodes.Enter("d/b", File("1"))->id, forgotten);  // Numbers are never used again.
  nodes.Forget(file, 2, [](KnownNode&) {});
  EXPECT_EQ(nodes.Find(file), found);
  nodes.Forget(file, 1, [](KnownNode&) {});
  EXPECT_EQ(nodes.Find(file), nullptr);
}

TEST(Nodes, AFullTableTakesNoMore) {
  const std::unique_ptr<NodeTable> table = NodeTable::Create(1u << 20).value();
  Nodes nodes(*table);
  std::uint64_t last = 0;
  for (int i = 0; const NodeRef node = nodes.Enter(std::to_string(i), File("1")); ++i) {
    last = node->id;
  }
  EXPECT_GT(last, 5'000u);
  nodes.Forget(last, 1, [](KnownNode&) {});
  EXPECT_NE(nodes.Enter("x", File("1")), nullptr);
  EXPECT_EQ(nodes.Enter("y", File("1")), nullptr);
}

TEST(Inode, IsThePathsAndNeverReserved) {
  EXPECT_EQ(InodeOf(""), 1u);
  EXPECT_EQ(InodeOf("a/b"), InodeOf("a/b"));
  EXPECT_NE(InodeOf("a/b"), InodeOf("a/c"));
}

TEST(Nodes, TellsWhatNamesTheKernelKeeps) {
  const std::unique_ptr<NodeTable> table = NodeTable::Create(1u << 20).value();
  Nodes nodes(*table);
  EXPECT_TRUE(nodes.Names(10).empty());
  const Attributes directory{.type = FileType::kDirectory, .version = "v"};
  const std::uint64_t d = nodes.Enter("d", directory)->id;
  const std::uint64_t e = nodes.Enter("d/e", directory)->id;
  nodes.Enter("d/e/f", File("1"));
  nodes.Enter("gone/f", File("1"));  // Its directory is not known.
  std::vector<std::pair<std::uint64_t, std::string>> names;
  for (const Nodes::KnownName& known : nodes.Names(10)) {
    names.emplace_back(known.directory, known.name);
  }
  std::ranges::sort(names);
  const std::vector<std::pair<std::uint64_t, std::string>> expected = {
      {kRootNode, "d"}, {d, "e"}, {e, "f"}};
  EXPECT_EQ(names, expected);
  EXPECT_EQ(nodes.Names(2).size(), 2u);
}

}  // namespace
}  // namespace forebay
