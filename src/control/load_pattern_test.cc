#include <gtest/gtest.h>

#include "control/loads.h"

namespace forebay {
namespace {

TEST(LoadPattern, MeansAFileADirectoryOrEverything) {
  EXPECT_TRUE(PatternMatches("a/b.bin", "a/b.bin"));
  EXPECT_TRUE(PatternMatches("/a/b.bin", "a/b.bin"));
  EXPECT_TRUE(PatternMatches("a", "a/b.bin"));
  EXPECT_TRUE(PatternMatches("/a/", "a/b.bin"));
  EXPECT_TRUE(PatternMatches("/", "a/b.bin"));
  EXPECT_FALSE(PatternMatches("a/b", "a/b.bin"));
  EXPECT_FALSE(PatternMatches("b.bin", "a/b.bin"));
}

TEST(LoadPattern, StarsStayWithinAComponent) {
  EXPECT_TRUE(PatternMatches("*.bin", "b.bin"));
  EXPECT_FALSE(PatternMatches("*.bin", "a/b.bin"));
  EXPECT_TRUE(PatternMatches("a/*.bin", "a/b.bin"));
  EXPECT_TRUE(PatternMatches("**.bin", "a/c/b.bin"));
  EXPECT_TRUE(PatternMatches("a/?.bin", "a/b.bin"));
  EXPECT_FALSE(PatternMatches("a?b.bin", "a/b.bin"));
  EXPECT_TRUE(PatternMatches("20*", "2024/AAPL.bin"));  // A directory with all that is in it.
}

TEST(LoadPattern, ANameWithAStarIsMeantLiterally) {
  EXPECT_TRUE(PatternMatches("a*b", "a*b"));
}

}  // namespace
}  // namespace forebay
