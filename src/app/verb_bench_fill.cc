// forebay bench fill URL... --members FILE
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/bench_files.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/progress.h"
#include "app/verbs.h"
#include "base/units.h"

namespace forebay {
namespace {

std::string Report(const std::string& format, std::uint64_t bytes, double seconds) {
  const double rate = seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
  if (format == "json") {
    const nlohmann::ordered_json json = {
        {"bytes", bytes}, {"seconds", seconds}, {"bytesPerSecond", rate}};
    constexpr int kIndent = 2;
    return json.dump(kIndent) + '\n';
  }
  return fmt::format("bytes    {}\nseconds  {:.3f}\nrate     {}/s\n", FormatSize(bytes), seconds,
                     FormatSize(static_cast<std::uint64_t>(rate)));
}

}  // namespace

int RunBenchFillVerb(const Context& context) {
  Interrupts interrupts;
  int exit_code = kExitDone;
  const auto input = ListBenchFiles(
      context, interrupts,
      [&context] { return ConnectWorkers(context, context.arguments, "there is no pool to fill"); },
      &exit_code);
  if (!input) return exit_code;

  const Deadline started = Clock::now();
  Progress progress(context, input->walked.bytes, input->walked.files.size());
  const PoolFillOptions options{
      .block_timeout = ReadTimeout(context),
      .progress = [&progress](std::uint64_t done) { progress.Update(done, 0); }};
  const Result<FillReport> filled =
      input->client->Fill(input->walked.files, options, interrupts.token());
  if (!filled.ok()) return Ended(context, interrupts, filled.error());
  for (const FillReport::Failure& failure : filled.value().failures) {
    Complain(context, fmt::format("{}: {} blocks: {}", input->walked.files[failure.file].url,
                                  failure.blocks.size(), failure.error.message()));
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
  const int code =
      Ended(context, interrupts, WriteStdout(Report(input->format, filled.value().bytes, seconds)));
  return code == kExitDone && !filled.value().failures.empty() ? kExitFailed : code;
}

}  // namespace forebay
