#include "app/bench_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/units.h"

namespace forebay {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kBytesPerGigabyte = 1e9;

double Mean(const std::vector<double>& samples) {
  if (samples.empty()) return 0;
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

double Longest(const std::vector<double>& samples) {
  return samples.empty() ? 0 : *std::ranges::max_element(samples);
}

struct Report {
  double seconds = 0;
  double bytes_per_second = 0;
  double cpu_seconds_per_gb = 0;
  double mean = 0;
  double p50 = 0;
  double p99 = 0;
};

Report ReportOf(const BenchResult& result) {
  Report report;
  report.seconds = Longest(result.task_seconds);
  const auto bytes = static_cast<double>(result.bytes);
  if (report.seconds > 0) report.bytes_per_second = bytes / report.seconds;
  if (result.bytes > 0) report.cpu_seconds_per_gb = result.cpu_seconds / bytes * kBytesPerGigabyte;
  constexpr unsigned kMedian = 50;
  constexpr unsigned kTail = 99;
  report.mean = Mean(result.task_seconds);
  report.p50 = Percentile(result.task_seconds, kMedian);
  report.p99 = Percentile(result.task_seconds, kTail);
  return report;
}

Json SourceJson(const SourceBytes& source) {
  return {{"local", source.local}, {"peer", source.peer}, {"upstream", source.upstream}};
}

}  // namespace

void BenchResult::Add(const BenchResult& other) {
  task_seconds.insert(task_seconds.end(), other.task_seconds.begin(), other.task_seconds.end());
  bytes += other.bytes;
  errors += other.errors;
  cpu_seconds += other.cpu_seconds;
  source.local += other.source.local;
  source.peer += other.source.peer;
  source.upstream += other.source.upstream;
}

std::string PackJob(const BenchJob& job) {
  nlohmann::json files = nlohmann::json::array();
  for (const FileToRead& file : job.files) {
    const Attributes attributes = file.attributes.value_or(Attributes{});
    files.push_back({file.url, attributes.size, attributes.mtime_ns, attributes.version});
  }
  std::string packed;
  nlohmann::json::to_msgpack({{"tasks", job.tasks}, {"files", files}}, packed);
  return packed;
}

Result<BenchJob> UnpackJob(const std::string& packed) {
  try {
    const nlohmann::json json = nlohmann::json::from_msgpack(packed);
    BenchJob job;
    job.tasks = json.at("tasks").get<std::uint64_t>();
    for (const nlohmann::json& file : json.at("files")) {
      Attributes attributes;
      attributes.size = file.at(1).get<std::uint64_t>();
      attributes.mtime_ns = file.at(2).get<std::int64_t>();
      attributes.version = file.at(3).get<std::string>();
      job.files.push_back({file.at(0).get<std::string>(), attributes});
    }
    return job;
  } catch (const nlohmann::json::exception& error) {
    return Error(Code::kInvalidArgument, fmt::format("not a bench job: {}", error.what()));
  }
}

std::optional<std::uint64_t> NumberAfter(std::string_view line, std::string_view word) {
  if (!line.starts_with(word)) return std::nullopt;
  line.remove_prefix(word.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc{} || end != line.data() + line.size()) return std::nullopt;
  return number;
}

std::string ResultLine(const BenchResult& result) {
  const Json json = {{"taskSeconds", result.task_seconds},
                     {"bytes", result.bytes},
                     {"errors", result.errors},
                     {"cpuSeconds", result.cpu_seconds},
                     {"sourceBytes", SourceJson(result.source)}};
  return json.dump();
}

Result<BenchResult> ResultOfLine(const std::string& line) {
  try {
    const Json json = Json::parse(line);
    BenchResult result;
    result.task_seconds = json.at("taskSeconds").get<std::vector<double>>();
    result.bytes = json.at("bytes").get<std::uint64_t>();
    result.errors = json.at("errors").get<std::uint64_t>();
    result.cpu_seconds = json.at("cpuSeconds").get<double>();
    const Json& source = json.at("sourceBytes");
    result.source = {.local = source.at("local").get<std::uint64_t>(),
                     .peer = source.at("peer").get<std::uint64_t>(),
                     .upstream = source.at("upstream").get<std::uint64_t>()};
    return result;
  } catch (const Json::exception& error) {
    return Error(Code::kInternal, fmt::format("a process answered nonsense: {}", error.what()));
  }
}

double Percentile(std::vector<double> samples, unsigned percent) {
  if (samples.empty()) return 0;
  std::ranges::sort(samples);
  constexpr std::size_t kHundred = 100;
  const std::size_t rank = (samples.size() * percent + kHundred - 1) / kHundred;
  return samples[std::max<std::size_t>(rank, 1) - 1];
}

std::string BenchReportJson(const BenchResult& result) {
  const Report report = ReportOf(result);
  const Json json = {
      {"bytes", result.bytes},
      {"seconds", report.seconds},
      {"bytesPerSecond", report.bytes_per_second},
      {"taskSeconds",
       {{"mean", report.mean}, {"p50", report.p50}, {"p99", report.p99}, {"max", report.seconds}}},
      {"cpuSecondsPerGB", report.cpu_seconds_per_gb},
      {"errors", result.errors},
      {"sourceBytes", SourceJson(result.source)}};
  constexpr int kIndent = 2;
  return json.dump(kIndent) + '\n';
}

std::string BenchReportTable(const BenchResult& result) {
  const Report report = ReportOf(result);
  return fmt::format(
      "tasks         {}\n"
      "bytes         {}\n"
      "seconds       {:.3f}\n"
      "rate          {}/s\n"
      "task seconds  mean {:.3f}  p50 {:.3f}  p99 {:.3f}  max {:.3f}\n"
      "CPU           {:.3f} s per GB\n"
      "from          {} of peers, {} of the store\n"
      "errors        {}\n",
      result.task_seconds.size(), FormatSize(result.bytes), report.seconds,
      FormatSize(static_cast<std::uint64_t>(report.bytes_per_second)), report.mean, report.p50,
      report.p99, report.seconds, report.cpu_seconds_per_gb, FormatSize(result.source.peer),
      FormatSize(result.source.upstream), result.errors);
}

}  // namespace forebay
