#include "base/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace forebay {
namespace {

TEST(Nearest, FindsTheWordThatWasMeant) {
  const std::vector<std::string_view> known = {"endpoint", "region", "path-style"};
  EXPECT_EQ(Nearest("endpont", known), "endpoint");
  EXPECT_EQ(Nearest("regoin", known), "region");
  EXPECT_EQ(Nearest("", known), "region");
  EXPECT_EQ(Nearest("x", {}), "");
}

}  // namespace
}  // namespace forebay
