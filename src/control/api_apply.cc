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
Result<std::string> PutRuntime(Registry& registry, const RuntimeSpec& spec, bool dry_run) {
  const Result<std::optional<StoredObject>> before =
      registry.Find(spec.kind, spec.namespace_name, spec.name);
  if (!before.ok()) return before.error();
  const std::string text = ToJson(spec);
  if (before.value() && before.value()->json == text) return std::string("unchanged");
  if (!dry_run) {
    const Result<std::uint64_t> stored = registry.Put({.kind = spec.kind,
                                                       .namespace_name = spec.namespace_name,
                                                       .name = spec.name,
                                                       .generation = 0,
                                                       .json = text},
                                                      std::nullopt);
    if (!stored.ok()) return stored.error();
  }
  return std::string(before.value() ? "configured" : "created");
}

}  // namespace

Result<std::string> Api::PutDocument(const DatasetSpec& spec, bool dry_run) {
  const DatasetKey name{spec.namespace_name, spec.name};
  const DatasetPointer before = parts_.datasets.Find(name);
  if (dry_run) {
    if (before == nullptr) return std::string("created");
    return std::string(ToJson(before->spec) == ToJson(spec) ? "unchanged" : "configured");
  }
  const Result<DatasetChange> change = parts_.datasets.Put(spec, std::nullopt);
  if (!change.ok()) return change.error();
  return std::string(ChangeName(change.value()));
}

Result<HttpReply> Api::Apply(const HttpQuestion& question) {
  const Result<ApplyRequest> request = ParseApplyRequest(question.body);
  if (!request.ok()) return request.error();
  Result<ParsedDocuments> parsed =
      ParseDocuments(request.value().documents, request.value().source);
  if (!parsed.ok()) return std::move(parsed).error();
  Json results = Json::array();
  for (const Document& document : parsed.value().documents) {
    if (const auto* dataset = std::get_if<DatasetSpec>(&document.spec)) {
      const Result<std::string> result = PutDocument(*dataset, request.value().dry_run);
      if (!result.ok()) return Error(result.error()).Within(document.where);
      const std::optional<NotBoundReason> not_bound = NotBound(*dataset);
      results.push_back(ResultOf(
          "dataset.data.fluid.io/" + dataset->name, dataset->namespace_name, result.value(),
          not_bound ? fmt::format("NotBound ({}): {}", not_bound->reason, not_bound->message)
                    : ""));
    } else {
      const auto& runtime = std::get<RuntimeSpec>(document.spec);
      const Result<std::string> result =
          PutRuntime(parts_.registry, runtime, request.value().dry_run);
      if (!result.ok()) return Error(result.error()).Within(document.where);
      results.push_back(
          ResultOf(RuntimeObject(runtime), runtime.namespace_name, result.value(), ""));
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
      object = "dataset.data.fluid.io/" + dataset->name;
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
