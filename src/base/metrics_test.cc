#include "base/metrics.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;

TEST(Metrics, TextHasOneHelpAndTypeAFamily) {
  MetricRegistry registry;
  registry.AddCounter("b_total", "Bees.", {{"kind", "queen"}}).Add(2);
  registry.AddCounter("b_total", "Bees.", {{"kind", "drone"}}).Add();
  registry.SetGauge("a_bytes", "Size.", {}, [] { return 1.5; });
  EXPECT_EQ(registry.Text(),
            "# HELP a_bytes Size.\n# TYPE a_bytes gauge\na_bytes 1.5\n"
            "# HELP b_total Bees.\n# TYPE b_total counter\n"
            "b_total{kind=\"drone\"} 1\nb_total{kind=\"queen\"} 2\n");
}

TEST(Metrics, TheSameSeriesIsOneObjectAndAGaugeIsReplaced) {
  MetricRegistry registry;
  EXPECT_EQ(&registry.AddCounter("x_total", ""), &registry.AddCounter("x_total", ""));
  EXPECT_EQ(&registry.AddHistogram("x_seconds", ""), &registry.AddHistogram("x_seconds", ""));
  registry.SetGauge("g", "", {}, [] { return 1.0; });
  registry.SetGauge("g", "", {}, [] { return 2.0; });
  EXPECT_NE(registry.Text().find("g 2\n"), std::string::npos);
}

// A file's name may be a label's value; it must not end it.
TEST(Metrics, LabelsAreEscaped) {
  MetricRegistry registry;
  registry.AddCounter("x_total", "", {{"file", "a\"b\\c\nd"}});
  EXPECT_NE(registry.Text().find("x_total{file=\"a\\\"b\\\\c\\nd\"} 0\n"), std::string::npos);
}

TEST(Metrics, HistogramBucketsAreCumulative) {
  MetricRegistry registry;
  Histogram& histogram = registry.AddHistogram("x_seconds", "", {{"source", "peer"}});
  histogram.Observe(1ms);
  histogram.Observe(250ms);
  histogram.Observe(std::chrono::hours(1));
  const std::string text = registry.Text();
  for (const char* line :
       {"x_seconds_bucket{le=\"0.000316\",source=\"peer\"} 0\n",
        "x_seconds_bucket{le=\"0.001\",source=\"peer\"} 1\n",
        "x_seconds_bucket{le=\"0.316\",source=\"peer\"} 2\n",
        "x_seconds_bucket{le=\"31.6\",source=\"peer\"} 2\n",
        "x_seconds_bucket{le=\"+Inf\",source=\"peer\"} 3\n",
        "x_seconds_sum{source=\"peer\"} 3600.251\n", "x_seconds_count{source=\"peer\"} 3\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

}  // namespace
}  // namespace forebay
