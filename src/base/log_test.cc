#include "base/log.h"

#include <gtest/gtest.h>

#include <string>

namespace forebay {
namespace {

// What `Log` writes, without the time in front.
std::string Logged(Level level, std::string_view message,
                   std::initializer_list<LogField> fields = {}) {
  testing::internal::CaptureStderr();
  Log(level, message, fields);
  const std::string line = testing::internal::GetCapturedStderr();
  const std::size_t start = line.find(" level=");
  return start == std::string::npos ? line : line.substr(start + 1);
}

// A log line is one line whatever a file is called: nobody can forge a second one.
TEST(Log, ValuesCannotBreakTheLine) {
  EXPECT_EQ(Logged(Level::kError, "fill failed", {{"path", "a b\nlevel=info"}, {"bytes", 7}}),
            "level=error msg=\"fill failed\" path=\"a b\\x0alevel=info\" bytes=7\n");
  EXPECT_EQ(Logged(Level::kWarning, "odd", {{"key", "say \"x\\y\""}, {"none", ""}}),
            "level=warn msg=odd key=\"say \\\"x\\\\y\\\"\" none=\"\"\n");
  EXPECT_EQ(Logged(Level::kInfo, "name", {{"key", "grün\x7f"}}),
            "level=info msg=name key=\"grün\\x7f\"\n");
}

TEST(Log, LinesBelowTheLevelAreDropped) {
  EXPECT_EQ(Logged(Level::kDebug, "quiet"), "");
  SetLogLevel(Level::kDebug);
  EXPECT_EQ(Logged(Level::kDebug, "loud"), "level=debug msg=loud\n");
  SetLogLevel(Level::kInfo);
}

TEST(Log, AMessageThatRepeatsIsCut) {
  constexpr int kLinesPerSecond = 20;
  // The process remembers: in a repeated run it is to be another message.
  static int runs = 0;
  const std::string message = "again, run " + std::to_string(++runs);
  int written = 0;
  for (int i = 0; i < 5 * kLinesPerSecond; ++i) {
    written += Logged(Level::kInfo, message).empty() ? 0 : 1;
  }
  EXPECT_GE(written, kLinesPerSecond);
  EXPECT_LT(written, 5 * kLinesPerSecond);
  EXPECT_NE(Logged(Level::kInfo, message + ", another"), "");
}

}  // namespace
}  // namespace forebay
