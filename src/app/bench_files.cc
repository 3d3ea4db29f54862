#include "app/bench_files.h"

#include <string_view>
#include <utility>

#include "app/output.h"
#include "app/pool.h"

namespace forebay {
namespace {

constexpr std::string_view kFormats[] = {"json", "table"};

}  // namespace

std::optional<BenchInput> ListBenchFiles(
    const Context& context, const Interrupts& interrupts,
    const std::function<Result<std::unique_ptr<Client>>()>& connect, int* exit_code) {
  const auto wrong = [&](const Error& error) {
    *exit_code = WrongInput(context, error);
    return std::nullopt;
  };
  Result<std::string> format = OutputFormat(context, kFormats);
  if (!format.ok()) return wrong(format.error());
  Result<std::unique_ptr<Client>> client = connect();
  if (!client.ok()) return wrong(client.error());
  Result<WalkedFiles> walked =
      WalkFiles(*client.value(), context.arguments,
                {.call_timeout = ReadTimeout(context), .stop = interrupts.token()});
  if (!walked.ok()) {
    *exit_code = Ended(context, interrupts, walked.error());
    return std::nullopt;
  }
  if (walked.value().left_out > 0) Complain(context, LeftOutWarning(walked.value().left_out));
  return BenchInput{std::move(format).value(), std::move(client).value(),
                    std::move(walked).value()};
}

}  // namespace forebay
