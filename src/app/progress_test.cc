#include "app/progress.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

ProgressState Half() {
  return {.verb = "cp",
          .done_bytes = 512u << 20,
          .total_bytes = 1u << 30,
          .done_files = 3,
          .total_files = 8,
          .elapsed = std::chrono::seconds(4)};
}

TEST(Progress, LineSaysHowMuchHowFastAndHowLong) {
  EXPECT_EQ(ProgressLine(Half()), "cp: 3 of 8 files, 512 MiB of 1 GiB (50%), 128 MiB/s, 4s left");
}

TEST(Progress, NothingToDoIsDone) {
  EXPECT_EQ(ProgressLine({.verb = "cp"}), "cp: 0 of 0 files, 0 B of 0 B (100%)");
  ProgressState grown = Half();
  grown.done_bytes = 2u << 30;
  EXPECT_NE(ProgressLine(grown).find("(100%)"), std::string::npos);
}

TEST(Progress, BarFitsTheTerminal) {
  EXPECT_TRUE(ProgressBar(Half(), 200).starts_with("[##########..........] cp: 3 of 8 files"));
  EXPECT_EQ(ProgressBar(Half(), 30).size(), 30u);
}

TEST(Progress, JsonIsOneObjectALine) {
  EXPECT_EQ(ProgressJson(Half()), R"({"verb":"cp","doneBytes":536870912,"totalBytes":1073741824,)"
                                  R"("doneFiles":3,"totalFiles":8,"seconds":4.000})");
}

}  // namespace
}  // namespace forebay
