#include "spec/quantity.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

TEST(Quantity, AsKubernetesWritesThem) {
  const std::pair<const char*, std::uint64_t> cases[] = {
      {"0", 0},
      {"40960", 40960},
      {"40Gi", 40ull << 30},
      {"1.5G", 1'500'000'000},
      {".5Ki", 512},
      {"500M", 500'000'000},
      {"1k", 1000},
      {"1e3", 1000},
      {"1E3", 1000},
      {"1e+3", 1000},
      {"1500e-1", 150},
      {"1500m", 2},  // Parts of a byte are rounded up.
      {"1n", 1},
      {"2E", 2'000'000'000'000'000'000},
      {"7Ei", 7ull << 60},
      {"40GiB", 40ull << 30},
      {"9223372036854775807", 0},  // 19 digits.
  };
  for (const auto& [text, bytes] : cases) {
    const Result<std::uint64_t> parsed = ParseQuantity(text);
    if (bytes == 0 && std::string_view(text) != "0") {
      EXPECT_FALSE(parsed.ok()) << text;
      continue;
    }
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(parsed.value(), bytes) << text;
  }
}

TEST(Quantity, RefusesOthers) {
  for (const char* text : {"", " ", "Gi", "-1", "+1", "1 Gi", "1gi", "1.2.3", ".", "8Ei", "10E",
                           "1e", "1e99", "1e--1", "0x10", "forty", "B", "e3"}) {
    const Result<std::uint64_t> parsed = ParseQuantity(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.error().message().find("not a size; write 40Gi"), std::string::npos);
  }
}

}  // namespace
}  // namespace forebay
