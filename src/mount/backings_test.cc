#include "mount/backings.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace forebay {
namespace {

class BackingsTest : public testing::Test {
 protected:
  // A process that serves the mount.
  struct Daemon {
    explicit Daemon(NodeTable& table, std::shared_ptr<KernelChannel> channel = nullptr)
        : nodes(table), backings(std::move(channel), nodes, table) {}

    NodeRef Enter() { return nodes.Enter("f", {.size = 9, .version = "v"}); }

    Nodes nodes;
    Backings backings;
  };

  // One that takes no calls, as a kernel without passthrough.
  static std::shared_ptr<KernelChannel> OldKernel() {
    return std::make_shared<KernelChannel>(UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)));
  }

  std::unique_ptr<NodeTable> table_ = NodeTable::Create().value();
};

TEST_F(BackingsTest, WithoutTheKernelsHelpAllIsBuffered) {
  Daemon daemon(*table_, OldKernel());
  const NodeRef node = daemon.Enter();
  EXPECT_TRUE(daemon.backings.may_pass_through());
  EXPECT_EQ(daemon.backings.Open(*node, 0), Backings::kNone);
  EXPECT_FALSE(daemon.backings.may_pass_through()) << "it is not asked again";
  EXPECT_EQ(node->opens.buffered, 1u);
  daemon.backings.Release(*node, Backings::kNone);
  EXPECT_EQ(node->opens.buffered, 0u);
}

// The kernel refuses an inode that is read in two ways.
TEST_F(BackingsTest, AnAdoptedNodeStaysAsItWas) {
  std::int32_t recorded = 0;
  {
    Daemon daemon(*table_);
    const NodeRef node = daemon.Enter();
    *node->opens.recorded = 7;
    recorded = *node->opens.recorded;
    const NodeRef buffered = daemon.nodes.Enter("g", {.size = 9, .version = "v"});
    EXPECT_EQ(daemon.backings.Open(*buffered, -1), Backings::kNone);
  }
  ASSERT_EQ(recorded, 7);
  Daemon next(*table_, OldKernel());
  const NodeRef node = next.Enter();
  EXPECT_EQ(next.backings.Open(*node, -1), 7);
  next.backings.Release(*node, 7);
  EXPECT_EQ(next.backings.Open(*node, -1), 7) << "handles of the one before may be open";
  const NodeRef buffered = next.nodes.Enter("g", {.size = 9, .version = "v"});
  EXPECT_EQ(next.backings.Open(*buffered, 0), Backings::kNone);
}

TEST_F(BackingsTest, ABackingThatWasBeingClosedIsNone) {
  {
    Daemon daemon(*table_);
    *daemon.Enter()->opens.recorded = -7;
  }
  Daemon next(*table_, OldKernel());
  const NodeRef node = next.Enter();
  EXPECT_EQ(next.backings.Open(*node, -1), Backings::kNone);
  EXPECT_EQ(*node->opens.recorded, Backings::kNone);
}

TEST_F(BackingsTest, AReleaseAfterTheNodeIsForgottenTouchesNobodyElse) {
  Daemon daemon(*table_);
  const NodeRef node = daemon.Enter();
  node->opens.backing = 7;
  node->opens.passed_through = 1;
  daemon.nodes.Forget(node->id, 1, [&](KnownNode& last) { daemon.backings.Forget(last); });
  const NodeRef other = daemon.nodes.Enter("g", {.size = 9, .version = "v"});  // In its record.
  *other->opens.recorded = 8;
  daemon.backings.Release(*node, 7);
  EXPECT_EQ(*other->opens.recorded, 8);
}

}  // namespace
}  // namespace forebay
