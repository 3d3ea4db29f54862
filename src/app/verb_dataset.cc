// forebay dataset create|show|refresh|delete NAME, datasets, evict NAME [PATH...]
#include <fmt/format.h>

#include "app/answers.h"
#include "app/control_client.h"
#include "app/dataset_flags.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/table.h"
#include "app/verbs.h"
#include "app/views.h"
#include "base/wall_clock.h"
#include "spec/document.h"

namespace forebay {
namespace {

// A verb's way to control, for verbs that ask one question about one dataset.
struct Question {
  DatasetName name;
  std::unique_ptr<ControlClient> control;
};

Result<Question> Prepare(const Context& context) {
  Result<DatasetName> name = DatasetNameOf(context, context.arguments[0]);
  if (!name.ok()) return std::move(name).error();
  Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return std::move(control).error();
  return Question{std::move(name).value(), std::move(control).value()};
}

Result<std::string> Asked(const Question& question, const HttpCall& call,
                          const Interrupts& interrupts) {
  return question.control->Ask(call, Clock::now() + kControlTimeout, interrupts.token());
}

// Prints "dataset.data.fluid.io/NAME DONE".
int Changed(const Context& context, const Interrupts& interrupts, const DatasetName& name,
            const std::string& done) {
  return Ended(context, interrupts,
               WriteStdout(fmt::format("{} {}\n", DatasetObject(name.name), OneLine(done))));
}

}  // namespace

int RunDatasetCreateVerb(const Context& context) {
  Interrupts interrupts;
  const Result<Question> question = Prepare(context);
  if (!question.ok()) return WrongInput(context, question.error());
  const DatasetName& name = question.value().name;
  const Result<std::string> body = DatasetBody(context, name);
  if (!body.ok()) return WrongInput(context, body.error());
  const HttpCall call{HttpMethod::kPost, "/v1/datasets?namespace=" + PercentEncode(name.name_space),
                      body.value()};
  const Result<std::string> answer = Asked(question.value(), call, interrupts);
  if (!answer.ok()) return Failed(context, answer.error());
  const Result<std::string> result = ResultOf(answer.value());
  if (!result.ok()) return Failed(context, result.error());
  return Changed(context, interrupts, name, result.value());
}

int RunDatasetShowVerb(const Context& context) {
  Interrupts interrupts;
  const Result<std::string> format = OutputFormat(context, kViewFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  const Result<Question> question = Prepare(context);
  if (!question.ok()) return WrongInput(context, question.error());
  const Result<std::string> answer =
      Asked(question.value(), {HttpMethod::kGet, question.value().name.Target()}, interrupts);
  if (!answer.ok()) return Failed(context, answer.error());
  const Result<DatasetView> view = DatasetOf(answer.value());
  if (!view.ok()) return Failed(context, view.error());
  Result<std::string> text = std::string();
  if (format.value() == "json" || format.value() == "yaml") {
    text = Rendered(answer.value(), format.value());
  } else if (format.value() == "name") {
    text = DatasetNames({view.value()});
  } else {
    text = DatasetSheet(view.value(), WallClockNanoseconds());
  }
  if (!text.ok()) return Failed(context, text.error());
  return Ended(context, interrupts, WriteStdout(text.value()));
}

int RunDatasetRefreshVerb(const Context& context) {
  Interrupts interrupts;
  const Result<Question> question = Prepare(context);
  if (!question.ok()) return WrongInput(context, question.error());
  const Result<std::string> path =
      context.arguments.size() > 1 ? DatasetPathOf(context.arguments[1]) : std::string("/");
  if (!path.ok()) return WrongInput(context, path.error());
  RequestBody body;
  body.Set("path", path.value());
  const Result<std::string> answer =
      Asked(question.value(),
            {HttpMethod::kPost, question.value().name.Target("/refresh"), body.Text()}, interrupts);
  if (!answer.ok()) return Failed(context, answer.error());
  const Result<std::string> result = ResultOf(answer.value());
  if (!result.ok()) return Failed(context, result.error());
  const bool goes_on = result.value() == "refreshing";
  if (goes_on) Note(context, "the store is still being listed; until then the old snapshot stays");
  return Changed(context, interrupts, question.value().name, result.value());
}

int RunDatasetDeleteVerb(const Context& context) {
  Interrupts interrupts;
  const Result<Question> question = Prepare(context);
  if (!question.ok()) return WrongInput(context, question.error());
  const Result<std::string> answer =
      Asked(question.value(), {HttpMethod::kDelete, question.value().name.Target()}, interrupts);
  if (!answer.ok()) return Failed(context, answer.error());
  return Changed(context, interrupts, question.value().name, "deleted");
}

int RunEvictVerb(const Context& context) {
  Interrupts interrupts;
  const Result<Question> question = Prepare(context);
  if (!question.ok()) return WrongInput(context, question.error());
  std::vector<std::string> paths;
  for (std::size_t i = 1; i < context.arguments.size(); ++i) {
    Result<std::string> path = DatasetPathOf(context.arguments[i]);
    if (!path.ok()) return WrongInput(context, path.error());
    paths.push_back(std::move(path).value());
  }
  RequestBody body;
  body.Set("paths", paths);
  const Result<std::string> answer =
      Asked(question.value(),
            {HttpMethod::kPost, question.value().name.Target("/evict"), body.Text()}, interrupts);
  if (!answer.ok()) return Failed(context, answer.error());
  const Result<EvictedView> evicted = EvictedOf(answer.value());
  if (!evicted.ok()) return Failed(context, evicted.error());
  // Of a whole dataset control drops whatever there is, without a list of files.
  const std::string files =
      evicted.value().files > 0 ? CountText(evicted.value().files, "file") + ", " : "";
  if (!evicted.value().silent_workers.empty()) {
    Complain(context,
             fmt::format("{}{} evicted, but {} did not answer and may hold blocks still; evict "
                         "again when `forebay status` shows {} Ready or gone",
                         files, SizeText(evicted.value().bytes),
                         fmt::join(evicted.value().silent_workers, ", "),
                         evicted.value().silent_workers.size() == 1 ? "it" : "them"));
    return kExitFailed;
  }
  return Changed(context, interrupts, question.value().name,
                 fmt::format("evicted ({}{})", files, SizeText(evicted.value().bytes)));
}

int RunDatasetsVerb(const Context& context) {
  Interrupts interrupts;
  const Result<std::string> format = OutputFormat(context, kViewFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return WrongInput(context, control.error());
  const Result<std::string> answer =
      control.value()->Ask({HttpMethod::kGet, "/v1/datasets?" + NamespaceQuery(context)},
                           Clock::now() + kControlTimeout, interrupts.token());
  if (!answer.ok()) return Failed(context, answer.error());
  const Result<std::vector<DatasetView>> views = DatasetsOf(answer.value());
  if (!views.ok()) return Failed(context, views.error());
  ViewOptions options;
  options.wide = format.value() == "wide";
  options.namespaces = context.settings.Switch("all-namespaces");
  options.now_ns = WallClockNanoseconds();
  Result<std::string> text = std::string();
  if (format.value() == "json" || format.value() == "yaml") {
    text = Rendered(answer.value(), format.value(), "datasets");
  } else if (format.value() == "name") {
    text = DatasetNames(views.value());
  } else if (views.value().empty()) {
    Note(context, "no datasets; make one with `forebay dataset create NAME --mount URL`");
  } else {
    text = DatasetTable(views.value(), options);
  }
  if (!text.ok()) return Failed(context, text.error());
  return Ended(context, interrupts, WriteStdout(text.value()));
}

}  // namespace forebay
