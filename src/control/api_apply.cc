#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "control/api.h"
#include "control/json_text.h"
#include "control/problem.h"
#include "control/request_json.h"
#include "spec/document.h"

namespace forebay {
namespace {

using Json = nlohmann::json;

// "JuiceFSRuntime" is `juicefsruntime.data.fluid.io/NAME` to kubectl.
std::string RuntimeObject(const RuntimeSpec& spec) {
  std::string kind;
  for (const char c : spec.kind)
    kind += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return fmt::format("{}.data.fluid.io/{}", kind, spec.name);
}

Json ResultOf(const std::string& object, const std::string& name_space, std::string_view result,
              const std::string& message) {
  return {{"object", object}, {"namespace", name_space}, {"result", result}, {"message", message}};
}

// Runtimes are kept as they were written: the group that serves their datasets is this one.
StoredObject ObjectOf(const RuntimeSpec& spec) {
  return {.kind = spec.kind,
          .namespace_name = spec.namespace_name,
          .name = spec.name,
          .generation = 0,
          .json = ToJson(spec)};
}

Result<std::string_view> ChangeOf(Registry& registry, const StoredObject& object) {
  const Result<std::optional<StoredObject>> before =
      registry.Find(object.kind, object.namespace_name, object.name);
  if (!before.ok()) return before.error();
  if (!before.value()) return ChangeName(DatasetChange::kCreated);
  return ChangeName(before.value()->json == object.json ? DatasetChange::kUnchanged
                                                        : DatasetChange::kConfigured);
}

}  // namespace

std::string_view Api::ChangeBy(const DatasetSpec& spec) const {
  const DatasetPointer before = parts_.datasets.Find({spec.namespace_name, spec.name});
  if (before == nullptr) return ChangeName(DatasetChange::kCreated);
  return ChangeName(ToJson(before->spec) == ToJson(spec) ? DatasetChange::kUnchanged
                                                         : DatasetChange::kConfigured);
}

// What becomes of each document, in their order: of all of them or, after an error, of none.
Result<std::vector<std::string_view>> Api::PutDocuments(const std::vector<Document>& documents,
                                                        bool dry_run) {
  std::vector<std::string_view> outcomes;
  std::vector<DatasetSpec> datasets;
  std::vector<StoredObject> runtimes;
  for (const Document& document : documents) {
    if (const auto* dataset = std::get_if<DatasetSpec>(&document.spec)) {
      outcomes.push_back(ChangeBy(*dataset));
      datasets.push_back(*dataset);
      continue;
    }
    StoredObject runtime = ObjectOf(std::get<RuntimeSpec>(document.spec));
    const Result<std::string_view> change = ChangeOf(parts_.registry, runtime);
    if (!change.ok()) return change.error();
    outcomes.push_back(change.value());
    if (change.value() != ChangeName(DatasetChange::kUnchanged)) {
      runtimes.push_back(std::move(runtime));
    }
  }
  if (dry_run) return outcomes;
  const Result<std::vector<DatasetChange>> changes =
      parts_.datasets.PutAll(std::move(datasets), std::move(runtimes));
  if (!changes.ok()) return changes.error();
  // Somebody else may have changed them meanwhile, or the secrets that they refer to.
  auto change = changes.value().begin();
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const auto* const spec = std::get_if<DatasetSpec>(&documents[i].spec);
    if (spec == nullptr) continue;
    const DatasetPointer dataset = parts_.datasets.Find({spec->namespace_name, spec->name});
    // What works is in the answer; ten thousand of them need no event each.
    if (dataset != nullptr && dataset->not_bound) TellOfChange(*dataset, *change);
    outcomes[i] = ChangeName(*change++);
  }
  return outcomes;
}

Result<HttpReply> Api::Apply(const HttpQuestion& question) {
  const Result<ApplyRequest> request = ParseApplyRequest(question.body);
  if (!request.ok()) return request.error();
  Result<ParsedDocuments> parsed =
      ParseDocuments(request.value().documents, request.value().source);
  if (!parsed.ok()) return std::move(parsed).error();
  const std::vector<Document>& documents = parsed.value().documents;
  const Result<std::vector<std::string_view>> outcomes =
      PutDocuments(documents, request.value().dry_run);
  if (!outcomes.ok()) return outcomes.error();
  Json results = Json::array();
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const std::string_view outcome = outcomes.value()[i];
    if (const auto* dataset = std::get_if<DatasetSpec>(&documents[i].spec)) {
      const std::optional<NotBoundReason> not_bound = NotBound(*dataset);
      results.push_back(ResultOf(
          DatasetObject(dataset->name), dataset->namespace_name, outcome,
          not_bound ? fmt::format("NotBound ({}): {}", not_bound->reason, not_bound->message)
                    : ""));
    } else {
      const auto& runtime = std::get<RuntimeSpec>(documents[i].spec);
      results.push_back(ResultOf(RuntimeObject(runtime), runtime.namespace_name, outcome, ""));
    }
  }
  if (!request.value().dry_run) Announce();
  Json warnings = Json::array();
  for (const Warning& warning : parsed.value().warnings) {
    warnings.push_back({{"document", warning.document},
                        {"path", warning.path},
                        {"value", warning.value},
                        {"message", warning.message}});
  }
  return JsonReply(JsonText({{"results", results}, {"warnings", warnings}}));
}

Result<HttpReply> Api::DeleteDocuments(const HttpQuestion& question) {
  const Result<ApplyRequest> request = ParseApplyRequest(question.body);
  if (!request.ok()) return request.error();
  Result<ParsedDocuments> parsed =
      ParseDocuments(request.value().documents, request.value().source);
  if (!parsed.ok()) return std::move(parsed).error();
  Json results = Json::array();
  for (const Document& document : parsed.value().documents) {
    std::string object;
    std::string name_space;
    forebay::Status deleted;
    if (const auto* dataset = std::get_if<DatasetSpec>(&document.spec)) {
      object = DatasetObject(dataset->name);
      name_space = dataset->namespace_name;
      deleted = parts_.datasets.Delete({dataset->namespace_name, dataset->name});
    } else {
      const auto& runtime = std::get<RuntimeSpec>(document.spec);
      object = RuntimeObject(runtime);
      name_space = runtime.namespace_name;
      const Result<std::uint64_t> gone =
          parts_.registry.Delete(runtime.kind, runtime.namespace_name, runtime.name, std::nullopt);
      if (!gone.ok()) deleted = gone.error();
    }
    if (!deleted.ok() && deleted.error().code() != Code::kNotFound)
      return std::move(deleted).error();
    results.push_back(ResultOf(object, name_space, deleted.ok() ? "deleted" : "not found",
                               deleted.ok() ? "" : deleted.error().message()));
  }
  Announce();
  return JsonReply(JsonText({{"results", results}, {"warnings", Json::array()}}));
}

}  // namespace forebay
