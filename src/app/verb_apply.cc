// forebay apply -f FILE|- [--dry-run], forebay delete -f FILE|-
#include <fmt/format.h>

#include "app/answers.h"
#include "app/control_client.h"
#include "app/documents.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/verbs.h"

namespace forebay {
namespace {

std::string WarningText(const WarningView& warning) {
  std::string text = "warning";
  if (!warning.document.empty()) text += ": " + warning.document;
  if (!warning.path.empty()) text += fmt::format(": {}", warning.path);
  if (!warning.value.empty()) text += fmt::format(" \"{}\"", warning.value);
  return text + ": " + warning.message;
}

// What control did, as kubectl prints it.
int Report(const Context& context, const Interrupts& interrupts, const ChangesView& changes) {
  for (const WarningView& warning : changes.warnings) Complain(context, WarningText(warning));
  const bool dry = context.settings.Switch("dry-run");
  std::string text;
  bool all = true;
  for (const ChangeView& change : changes.results) {
    if (change.result == "not found") {
      Complain(context, OneLine(change.object) + ": not found");
      all = false;
      continue;
    }
    text += fmt::format("{} {}{}\n", OneLine(change.object), OneLine(change.result),
                        dry ? " (dry run)" : "");
    if (!change.message.empty()) Note(context, change.object + ": " + change.message);
  }
  const int code = Ended(context, interrupts, WriteStdout(text));
  return code == kExitDone && !all ? kExitFailed : code;
}

int Run(const Context& context, const std::string& target) {
  Interrupts interrupts;
  const Result<Documents> documents = ReadDocuments(context, interrupts.token());
  if (interrupts.fired()) return kExitInterrupted;
  if (!documents.ok()) return WrongInput(context, documents.error());
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return WrongInput(context, control.error());
  RequestBody body;
  body.Set("documents", documents.value().text);
  body.Set("source", documents.value().source);
  body.Set("dryRun", context.settings.Switch("dry-run"));
  const Result<std::string> answer = control.value()->Ask(
      {HttpMethod::kPost, target, body.Text()}, Clock::now() + kControlTimeout, interrupts.token());
  if (!answer.ok()) return Failed(context, answer.error());
  const Result<ChangesView> changes = ChangesOf(answer.value());
  if (!changes.ok()) return Failed(context, changes.error());
  return Report(context, interrupts, changes.value());
}

}  // namespace

int RunApplyVerb(const Context& context) {
  return Run(context, "/v1/apply");
}

int RunDeleteVerb(const Context& context) {
  return Run(context, "/v1/delete");
}

}  // namespace forebay
