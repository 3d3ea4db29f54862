// forebay explain -f FILE
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "app/documents.h"
#include "app/explain_text.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/verbs.h"
#include "spec/document.h"

namespace forebay {
namespace {

constexpr std::array<std::string_view, 2> kFormats = {"table", "json"};

std::size_t TerminalWidth() {
  constexpr std::size_t kUsual = 100;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

}  // namespace

int RunExplainVerb(const Context& context) {
  Interrupts interrupts;
  const Result<std::string> format = OutputFormat(context, kFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  const Result<Documents> documents = ReadDocuments(context, interrupts.token());
  if (interrupts.fired()) return kExitInterrupted;
  if (!documents.ok()) return WrongInput(context, documents.error());
  const Result<ParsedDocuments> parsed =
      ParseDocuments(documents.value().text, documents.value().source);
  if (!parsed.ok()) return WrongInput(context, parsed.error());
  const std::vector<Explanation> rows = Explain(parsed.value());
  const Status written = WriteStdout(
      format.value() == "json" ? ExplanationJson(rows) : ExplanationTable(rows, TerminalWidth()));
  const auto count = [&rows](Explanation::Level level) {
    return std::ranges::count(rows, level, &Explanation::level);
  };
  if (written.ok()) {
    Note(context,
         fmt::format("valid; documents: {}, fields: {}, warnings: {}, unsupported: {}",
                     parsed.value().documents.size(), rows.size(),
                     count(Explanation::Level::kWarning), count(Explanation::Level::kUnsupported)));
  }
  return Ended(context, interrupts, written);
}

}  // namespace forebay
