#include <gtest/gtest.h>

#include "upstream/upstream.h"

namespace forebay {
namespace {

std::int64_t SettledAt(const std::string& version) {
  return SettledAtNanoseconds(
      Attributes{.type = FileType::kFile, .size = 3, .mtime_ns = 1, .version = version});
}

TEST(Settled, TagsMadeOfTimesNeedTwoSeconds) {
  EXPECT_EQ(SettledAt("p:3:1000:5000000000"), 7'000'000'000);
  EXPECT_EQ(SettledAt("p:3:9000000000:5000000000"), 11'000'000'000);
  EXPECT_EQ(SettledAt("m:1700000000:3"), 1'700'000'002'000'000'000);
}

TEST(Settled, TagsOfTheContentDoNot) {
  EXPECT_EQ(SettledAt("\"p:1:2:3\""), 0);
  EXPECT_EQ(SettledAt(""), 0);
}

TEST(Settled, WhatIsNotLikeThatIsAnyTag) {
  for (const char* tag : {"p:", "p:3", "p:3:4", "p:3:x:5", "m:", "m:x:3", "p:3:4:5x"}) {
    EXPECT_EQ(SettledAt(tag), 0) << tag;
  }
}

}  // namespace
}  // namespace forebay
