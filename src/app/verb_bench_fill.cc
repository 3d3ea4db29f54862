// forebay bench fill URL... --members FILE
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/interrupts.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/progress.h"
#include "app/verbs.h"
#include "app/walk.h"
#include "base/units.h"

namespace forebay {
namespace {

constexpr std::string_view kFormats[] = {"json", "table"};

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
  const Result<std::string> format = OutputFormat(context, kFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  if (!context.settings.Has("members")) {
    return WrongInput(context, {Code::kInvalidArgument,
                                "--members is missing: there is no pool to fill; name a members "
                                "file"});
  }
  Result<std::unique_ptr<Client>> client = ConnectPool(context, context.arguments);
  if (!client.ok()) return WrongInput(context, client.error());
  const Result<WalkedFiles> walked =
      WalkFiles(*client.value(), context.arguments,
                {.call_timeout = ReadTimeout(context), .stop = interrupts.token()});
  if (!walked.ok()) return Ended(context, interrupts, walked.error());
  if (walked.value().left_out > 0) Complain(context, LeftOutWarning(walked.value().left_out));

  const Deadline started = Clock::now();
  Progress progress(context, walked.value().bytes, walked.value().files.size());
  const Result<std::uint64_t> filled = client.value()->Fill(
      walked.value().files, [&progress](std::uint64_t done) { progress.Update(done, 0); },
      ReadTimeout(context), interrupts.token());
  if (!filled.ok()) return Ended(context, interrupts, filled.error());
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
  return Ended(context, interrupts, WriteStdout(Report(format.value(), filled.value(), seconds)));
}

}  // namespace forebay
