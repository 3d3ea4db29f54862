#include "control/merge_metrics.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

TEST(MergeMetrics, AddsSeriesOfTheSameNameAndLabels) {
  const std::string one =
      "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 5\n";
  const std::string two = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\"} 40\n";
  EXPECT_EQ(MergeMetrics({one, two}),
            "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\"} 42\na_total{x=\"2\"} 5\n");
}

TEST(MergeMetrics, KeepsTheOrderOfBuckets) {
  const std::string text =
      "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"0.1\"} 1\nh_bucket{le=\"10\"} 2\n"
      "h_bucket{le=\"+Inf\"} 3\nh_sum 0.5\nh_count 3\n";
  EXPECT_EQ(MergeMetrics({text, text}),
            "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"0.1\"} 2\nh_bucket{le=\"10\"} 4\n"
            "h_bucket{le=\"+Inf\"} 6\nh_sum 1\nh_count 6\n");
}

TEST(MergeMetrics, AFactIsSaidOnce) {
  const std::string text = "# HELP a_info A.\n# TYPE a_info gauge\na_info{version=\"1\"} 1\n";
  EXPECT_EQ(MergeMetrics({text, text}), text);
}

TEST(MergeMetrics, LeavesOutWhatIsNoSample) {
  EXPECT_EQ(MergeMetrics({"garbage\n# HELP a A.\n# TYPE a gauge\na one\na 1\n\n"}),
            "# HELP a A.\n# TYPE a gauge\na 1\n");
  EXPECT_EQ(MergeMetrics({}), "");
}

}  // namespace
}  // namespace forebay
