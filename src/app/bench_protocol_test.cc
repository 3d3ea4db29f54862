#include "app/bench_protocol.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace forebay {
namespace {

TEST(BenchProtocol, AJobKeepsNamesThatAreNotText) {
  BenchJob job;
  job.tasks = 3;
  job.files.push_back({"s3://b/\xff\n", Attributes{.size = 7, .mtime_ns = -5, .version = "\"e\""}});
  const Result<BenchJob> again = UnpackJob(PackJob(job));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().tasks, 3u);
  ASSERT_EQ(again.value().files.size(), 1u);
  EXPECT_EQ(again.value().files[0].url, job.files[0].url);
  EXPECT_EQ(again.value().files[0].attributes, job.files[0].attributes);
}

TEST(BenchProtocol, GarbageIsRefused) {
  EXPECT_FALSE(UnpackJob("").ok());
  EXPECT_FALSE(UnpackJob("\x81").ok());
  EXPECT_FALSE(ResultOfLine("").ok());
  EXPECT_FALSE(ResultOfLine("{\"bytes\": 1}").ok());
}

TEST(BenchProtocol, NumbersOfLines) {
  EXPECT_EQ(NumberAfter("go 12", "go "), 12u);
  for (const char* line : {"go", "go ", "go 1x", "go -1", "gone 1", "go 99999999999999999999"}) {
    EXPECT_FALSE(NumberAfter(line, "go ").has_value()) << line;
  }
}

TEST(BenchProtocol, ResultsOfProcessesAddUp) {
  const BenchResult one = {.task_seconds = {1, 2},
                           .bytes = 10,
                           .errors = 1,
                           .cpu_seconds = 0.5,
                           .source = {.local = 1, .peer = 2, .upstream = 3}};
  const Result<BenchResult> parsed = ResultOfLine(ResultLine(one));
  ASSERT_TRUE(parsed.ok());
  BenchResult sum = one;
  sum.Add(parsed.value());
  EXPECT_EQ(sum.task_seconds, (std::vector<double>{1, 2, 1, 2}));
  EXPECT_EQ(sum.bytes, 20u);
  EXPECT_EQ(sum.errors, 2u);
  EXPECT_EQ(sum.cpu_seconds, 1.0);
  EXPECT_EQ(sum.source.peer, 4u);
  EXPECT_EQ(sum.source.upstream, 6u);
}

TEST(BenchProtocol, PercentilesAreSamples) {
  EXPECT_EQ(Percentile({}, 50), 0);
  EXPECT_EQ(Percentile({3}, 99), 3);
  EXPECT_EQ(Percentile({4, 1, 3, 2}, 50), 2);
  std::vector<double> hundred;
  for (int i = 100; i > 0; --i) hundred.push_back(i);
  EXPECT_EQ(Percentile(hundred, 50), 50);
  EXPECT_EQ(Percentile(hundred, 99), 99);
  hundred.push_back(101);
  EXPECT_EQ(Percentile(hundred, 99), 100);
}

TEST(BenchProtocol, TheReportIsWhatScriptsKnow) {
  const BenchResult result = {.task_seconds = {1, 2, 4},
                              .bytes = 8'000'000'000,
                              .errors = 0,
                              .cpu_seconds = 2,
                              .source = {.local = 0, .peer = 7, .upstream = 1}};
  const auto json = nlohmann::json::parse(BenchReportJson(result));
  EXPECT_EQ(json["bytes"], 8'000'000'000u);
  EXPECT_EQ(json["seconds"], 4.0);
  EXPECT_EQ(json["bytesPerSecond"], 2e9);
  EXPECT_NEAR(json["taskSeconds"]["mean"].get<double>(), 7.0 / 3, 1e-9);
  EXPECT_EQ(json["taskSeconds"]["p50"], 2.0);
  EXPECT_EQ(json["taskSeconds"]["p99"], 4.0);
  EXPECT_EQ(json["taskSeconds"]["max"], 4.0);
  EXPECT_EQ(json["cpuSecondsPerGB"], 0.25);
  EXPECT_EQ(json["sourceBytes"]["peer"], 7u);
  EXPECT_EQ(json.size(), 7u);
}

}  // namespace
}  // namespace forebay
