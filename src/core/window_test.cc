#include "core/window.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

constexpr std::uint32_t kMiB = 1u << 20;

void ReplyRound(Window& window, std::uint32_t depth) {
  const std::uint32_t replies = window.blocks();
  for (std::uint32_t i = 0; i < replies; ++i) window.Replied(depth);
}

TEST(Window, IsAsDeepAsBothLimitsAllow) {
  Window small({.block_bytes = 64u << 10});
  Window large({.block_bytes = 4 * kMiB});
  Window huge({.block_bytes = 64 * kMiB});
  for (int i = 0; i < 20; ++i) {
    ReplyRound(small, 0);
    ReplyRound(large, 0);
    ReplyRound(huge, 0);
  }
  EXPECT_EQ(small.blocks(), 16u);
  EXPECT_EQ(large.blocks(), 4u) << "16 MiB";
  EXPECT_EQ(huge.blocks(), 2u);
}

TEST(Window, OpensByOneAReplyUntilAQueueIsDeep) {
  Window window({.block_bytes = kMiB});
  EXPECT_EQ(window.blocks(), 2u);
  for (int i = 0; i < 3; ++i) window.Replied(0);
  EXPECT_EQ(window.blocks(), 5u);
  window.Replied(100);
  window.Replied(0);
  EXPECT_EQ(window.blocks(), 5u) << "from now on once a window";
}

TEST(Window, ShrinksByAQuarterARoundWhenQueuesAreDeepAndGrowsByOneWhenTheyAreNot) {
  Window window({.block_bytes = kMiB});
  for (int i = 0; i < 6; ++i) window.Replied(0);
  window.Replied(100);
  ReplyRound(window, 100);
  EXPECT_EQ(window.blocks(), 6u);
  for (int i = 0; i < 10; ++i) ReplyRound(window, 100);
  EXPECT_EQ(window.blocks(), 2u);
  ReplyRound(window, 12);
  EXPECT_EQ(window.blocks(), 2u) << "neither deep nor idle";
  ReplyRound(window, 1);
  EXPECT_EQ(window.blocks(), 3u);
}

TEST(Window, LimitsBlocksAndBytes) {
  Window window({.block_bytes = 4 * kMiB});
  window.Replied(0);
  window.Replied(0);
  EXPECT_EQ(window.blocks(), 4u);
  EXPECT_TRUE(window.MayStart(3, 12 * kMiB, 4 * kMiB));
  EXPECT_FALSE(window.MayStart(4, 16 * kMiB, 4 * kMiB));
  EXPECT_FALSE(window.MayStart(1, 30 * kMiB, 4 * kMiB));
  EXPECT_TRUE(Window({.block_bytes = 64 * kMiB}).MayStart(0, 0, 64 * kMiB)) << "one always may";
}

}  // namespace
}  // namespace forebay
