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

// One that tries all ways to place the stars does not end.
TEST(LoadPattern, ManyStarsTakeNoLonger) {
  std::string stars;
  for (int i = 0; i < 100; ++i) stars += i % 2 == 0 ? "**a" : "*a";
  const std::string as(4000, 'a');
  EXPECT_TRUE(PatternMatches(stars, as));
  EXPECT_FALSE(PatternMatches(stars + "b", as));
  EXPECT_TRUE(PatternMatches("***", "a/b"));
  EXPECT_TRUE(PatternMatches("a*", "a"));
  EXPECT_TRUE(PatternMatches("*/b*", "a/b/c/d"));
  EXPECT_FALSE(PatternMatches("*/c", "a/b/c"));
}

TEST(LoadPattern, ANameWithAStarIsMeantLiterally) {
  EXPECT_TRUE(PatternMatches("a*b", "a*b"));
}

}  // namespace
}  // namespace forebay
