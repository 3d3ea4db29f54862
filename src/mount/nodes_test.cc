#include "mount/nodes.h"

#include <gtest/gtest.h>

#include "mount/reply.h"

namespace forebay {
namespace {

Attributes File(const std::string& version) {
  return {.type = FileType::kFile, .size = 3, .mtime_ns = 1, .version = version};
}

TEST(Nodes, AVersionIsANode) {
  Nodes nodes;
  const NodeRef first = nodes.Enter("a", File("1"));
  EXPECT_EQ(nodes.Enter("a", File("1")), first);
  const NodeRef second = nodes.Enter("a", File("2"));
  EXPECT_NE(second->id, first->id);
  EXPECT_NE(nodes.Enter("b", File("1"))->id, first->id);
  EXPECT_EQ(nodes.Find(first->id)->attributes.version, "1");
  EXPECT_EQ(nodes.Find(second->id)->attributes.version, "2");
}

TEST(Nodes, ADirectoryIsOneNodeWhateverItsTime) {
  Nodes nodes;
  const auto directory = [](std::int64_t mtime_ns) {
    return Attributes{.type = FileType::kDirectory, .mtime_ns = mtime_ns, .version = ""};
  };
  EXPECT_EQ(nodes.Enter("d", directory(1)), nodes.Enter("d", directory(2)));
}

TEST(Nodes, ForgottenWhenAsOftenAsLookedUp) {
  Nodes nodes;
  const std::uint64_t id = nodes.Enter("a", File("1"))->id;
  nodes.Enter("a", File("1"));
  nodes.Forget(id, 1);
  EXPECT_NE(nodes.Find(id), nullptr);
  nodes.Forget(id, 1);
  EXPECT_EQ(nodes.Find(id), nullptr);
  nodes.Forget(id, 1);  // Once too often changes nothing.
  EXPECT_EQ(nodes.size(), 1u);
  EXPECT_NE(nodes.Enter("a", File("1"))->id, id);  // Numbers are never used again.
  nodes.Forget(kRootNode, 1000);
  EXPECT_NE(nodes.Find(kRootNode), nullptr);
}

TEST(Inode, IsThePathsAndNeverReserved) {
  EXPECT_EQ(InodeOf(""), 1u);
  EXPECT_EQ(InodeOf("a/b"), InodeOf("a/b"));
  EXPECT_NE(InodeOf("a/b"), InodeOf("a/c"));
}

}  // namespace
}  // namespace forebay
