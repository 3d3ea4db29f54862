// What `bench read` and its processes tell each other over pipes, and what it makes of it.
//
// A process reads one BenchJob, answers `ready`, waits for `go NANOSECONDS` (the start signal's
// time on the monotonic clock, the same for all processes), and answers with progress and one
// BenchResult.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "client/client.h"

namespace forebay {

struct BenchJob {
  std::vector<FileToRead> files;
  std::uint64_t tasks = 1;  // Of this process.
};

struct BenchResult {
  std::vector<double> task_seconds;  // From the signal to the task's last byte.
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;  // Files that a task could not read to their end.
  double cpu_seconds = 0;    // User and system, from the signal on.
  SourceBytes source;

  // Adds another process's.
  void Add(const BenchResult& other);
};

// MessagePack, since names may hold bytes that JSON cannot. Errors: kInvalidArgument.
std::string PackJob(const BenchJob& job);
Result<BenchJob> UnpackJob(const std::string& packed);

// The number in a line like "go 12345", where `word` is "go "; nothing if it is not one.
std::optional<std::uint64_t> NumberAfter(std::string_view line, std::string_view word);

// One line of JSON.
std::string ResultLine(const BenchResult& result);
Result<BenchResult> ResultOfLine(const std::string& line);

// The smallest sample that at least `percent` of the samples do not exceed (nearest rank); 0 of
// none.
double Percentile(std::vector<double> samples, unsigned percent);

// The report of `bench read`: JSON as scripts know it, or a table for people. Pure.
std::string BenchReportJson(const BenchResult& result);
std::string BenchReportTable(const BenchResult& result);

}  // namespace forebay
