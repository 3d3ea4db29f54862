#include "base/units.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace forebay {
namespace {

using std::chrono::milliseconds;

TEST(Units, SizesAsPeopleWriteThem) {
  EXPECT_EQ(ParseSize("4096").value(), 4096u);
  EXPECT_EQ(ParseSize("0").value(), 0u);
  EXPECT_EQ(ParseSize("4GiB").value(), 4ull << 30);
  EXPECT_EQ(ParseSize("4Gi").value(), 4ull << 30);
  EXPECT_EQ(ParseSize("512M").value(), 512'000'000u);
  EXPECT_EQ(ParseSize("1.5KiB").value(), 1536u);
  EXPECT_EQ(ParseSize("2TB").value(), 2'000'000'000'000u);
}

TEST(Units, WhatIsNotASizeIsRefused) {
  for (const char* text :
       {"", "GiB", "-1", "4 GiB", "4gib", "4GiBx", "1e3", "1..2", ".", "nan", "99999999TiB"}) {
    const Result<std::uint64_t> size = ParseSize(text);
    ASSERT_FALSE(size.ok()) << text;
    EXPECT_EQ(size.error().code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(ParseSize("lots").error().message(),
            "\"lots\": not a size; write 4GiB, 512M or 4096 (bytes)");
}

TEST(Units, Durations) {
  EXPECT_EQ(ParseDuration("250ms").value(), milliseconds(250));
  EXPECT_EQ(ParseDuration("60s").value(), milliseconds(60'000));
  EXPECT_EQ(ParseDuration("1h30m").value(), milliseconds(5'400'000));
  EXPECT_EQ(ParseDuration("5d").value(), milliseconds(432'000'000));
  EXPECT_EQ(ParseDuration("0").value(), milliseconds(0));
  for (const char* text : {"", "60", "s", "-1s", "1s ", "1x", "1h30", "9999999999999d"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(Units, RatiosAreFromZeroToOne) {
  EXPECT_EQ(ParseRatio("95%").value(), 0.95);
  EXPECT_EQ(ParseRatio("0.95").value(), 0.95);
  EXPECT_EQ(ParseRatio("1").value(), 1.0);
  EXPECT_EQ(ParseRatio("0%").value(), 0.0);
  for (const char* text : {"", "%", "101%", "1.01", "-1%", "95 %", "95%%"}) {
    EXPECT_FALSE(ParseRatio(text).ok()) << text;
  }
}

TEST(Units, SizesForPeople) {
  EXPECT_EQ(FormatSize(0), "0 B");
  EXPECT_EQ(FormatSize(312), "312 B");
  EXPECT_EQ(FormatSize(1536), "1.5 KiB");
  EXPECT_EQ(FormatSize(3ull << 40), "3 TiB");
}

TEST(Units, AFormattedDurationParsesBack) {
  EXPECT_EQ(FormatDuration(milliseconds(5'400'000)), "1h30m");
  EXPECT_EQ(FormatDuration(milliseconds(0)), "0s");
  Rng rng(1);
  for (int i = 0; i < 1'000; ++i) {
    const milliseconds duration(static_cast<std::int64_t>(rng.Below(1ull << rng.Below(45))));
    ASSERT_EQ(ParseDuration(FormatDuration(duration)).value(), duration) << duration.count();
  }
}

}  // namespace
}  // namespace forebay
