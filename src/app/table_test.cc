#include "app/table.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

TEST(Table, ColumnsAreAlignedAndLinesEndWithoutBlanks) {
  EXPECT_EQ(Table({{"A", "LONG", "C"}, {"xyz", "1", ""}}), "A    LONG  C\nxyz  1\n");
}

TEST(Table, PercentIsNeverRoundedUpToAll) {
  EXPECT_EQ(PercentText(1.0), "100%");
  EXPECT_EQ(PercentText(0.99999), "99.9%");
  EXPECT_EQ(PercentText(0.95), "95%");
  EXPECT_EQ(PercentText(0.333), "33.3%");
  EXPECT_EQ(PercentText(0.0), "0%");
  EXPECT_EQ(PercentText(std::nullopt), "-");
}

TEST(Table, AgesAsKubectlShowsThem) {
  EXPECT_EQ(AgeText(0), "0s");
  EXPECT_EQ(AgeText(-5), "0s");
  EXPECT_EQ(AgeText(119), "119s");
  EXPECT_EQ(AgeText(125), "2m5s");
  EXPECT_EQ(AgeText(180), "3m");
  EXPECT_EQ(AgeText(3599), "59m");
  EXPECT_EQ(AgeText(12'000), "3h20m");
  EXPECT_EQ(AgeText(169'200), "47h");
  EXPECT_EQ(AgeText(432'000), "5d");
  EXPECT_EQ(AgeText("2026-01-01T00:00:00Z", 1767225609'000000000), "9s");
  EXPECT_EQ(AgeText("", 0), "-");
  EXPECT_EQ(AgeText("soon", 0), "-");
}

TEST(Table, TextIsBrokenAtBlanks) {
  EXPECT_EQ(Wrapped("short", 4, 80), "short");
  const std::string words = "aaaaaaaaaa bbbbbbbbbb cccccccccc dddddddddd";
  EXPECT_EQ(Wrapped(words, 2, 33), "aaaaaaaaaa bbbbbbbbbb\n  cccccccccc dddddddddd");
  EXPECT_EQ(Wrapped("one\ntwo", 2, 80), "one\n  two");
  EXPECT_EQ(Wrapped(std::string(40, 'x'), 0, 30),
            std::string(30, 'x') + '\n' + std::string(10, 'x'));
}

}  // namespace
}  // namespace forebay
