// forebay completion bash|zsh|fish, and what its scripts call: forebay complete -- WORD...
#include <fmt/format.h>

#include "app/answers.h"
#include "app/completion.h"
#include "app/control_client.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/verbs.h"

namespace forebay {
namespace {

// A person waits at the keyboard.
constexpr std::chrono::milliseconds kTimeout(500);

// The answer, or "" if there is no group: then there is nothing to complete.
std::string Ask(const Context& context, const std::string& target) {
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return "";
  Result<std::string> answer =
      control.value()->Ask({HttpMethod::kGet, target}, Clock::now() + kTimeout, {});
  return answer.ok() ? std::move(answer).value() : "";
}

std::vector<std::string> Datasets(const Context& context) {
  std::vector<std::string> names;
  const auto views = DatasetsOf(Ask(context, "/v1/datasets?all=true"));
  if (!views.ok()) return names;
  const std::string& own = context.settings.Text("namespace");
  for (const DatasetView& view : views.value()) {
    names.push_back(view.name_space.empty() || view.name_space == own
                        ? view.name
                        : view.name + '.' + view.name_space);
  }
  return names;
}

std::vector<std::string> Loads(const Context& context) {
  std::vector<std::string> ids;
  const auto views = LoadsOf(Ask(context, "/v1/loads?all=true"));
  if (!views.ok()) return ids;
  for (const LoadView& view : views.value()) {
    if (!view.ended()) ids.push_back(view.id);
  }
  return ids;
}

}  // namespace

int RunCompletionVerb(const Context& context) {
  Interrupts interrupts;
  const std::string& shell = context.arguments[0];
  const std::string_view script = CompletionScript(shell);
  if (script.empty()) {
    return WrongInput(context, {Code::kInvalidArgument,
                                fmt::format("\"{}\": not known; write bash, zsh or fish", shell)});
  }
  return Ended(context, interrupts, WriteStdout(script));
}

int RunCompleteVerb(const Context& context) {
  Interrupts interrupts;
  std::string text;
  for (const std::string& candidate : CompletionsOf(
           context.arguments,
           {[&context] { return Datasets(context); }, [&context] { return Loads(context); }})) {
    text += candidate + '\n';
  }
  return Ended(context, interrupts, WriteStdout(text));
}

}  // namespace forebay
