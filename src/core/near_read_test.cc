#include "core/near_read.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

constexpr std::uint64_t kLarge = std::uint64_t{1} << 30;

TEST(NearRead, SmallReadsAtRandomOfLargeFilesGoPast) {
  EXPECT_FALSE(IsWorthKeeping({.file_bytes = kLarge, .length = 4096}));
  EXPECT_TRUE(IsWorthKeeping({.file_bytes = kLarge, .length = 4096, .touched_before = true}));
  EXPECT_TRUE(IsWorthKeeping({.file_bytes = kLarge, .length = 4096, .in_order = true}));
  EXPECT_TRUE(IsWorthKeeping({.file_bytes = kLarge, .length = (64u << 10) + 1}));
  EXPECT_FALSE(IsWorthKeeping({.file_bytes = kLarge, .length = 64u << 10}));
  EXPECT_TRUE(IsWorthKeeping({.file_bytes = 16u << 20, .length = 4096}));
  EXPECT_FALSE(IsWorthKeeping({.file_bytes = (16u << 20) + 1, .length = 4096}));
}

}  // namespace
}  // namespace forebay
