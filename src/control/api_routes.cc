#include <fmt/format.h>

#include <set>

#include "control/api.h"
#include "control/load_json.h"
#include "control/openapi.h"
#include "control/problem.h"

namespace forebay {
namespace {

// Takes the next word off a path: up to the next slash.
std::string_view NextWord(std::string_view& path) {
  path.remove_prefix(path.starts_with('/') ? 1 : 0);
  const std::string_view word = path.substr(0, path.find('/'));
  path.remove_prefix(word.size());
  return word;
}

// Whether `path` has that form; `argument` is then what its {...} stands for.
bool HasForm(std::string_view path, std::string_view form, std::string& argument) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  while (!form.empty() && !path.empty()) {
    const std::string_view wanted = NextWord(form);
    const std::string_view given = NextWord(path);
    if (wanted.starts_with('{') && !given.empty()) {
      argument = given;
    } else if (wanted != given) {
      return false;
    }
  }
  return form.empty() && path.empty();
}

HttpReply NotAllowed(const HttpQuestion& question, const std::set<std::string>& methods) {
  constexpr int kNotAllowed = 405;
  std::string allowed;
  for (const std::string& method : methods) allowed += (allowed.empty() ? "" : ", ") + method;
  HttpReply reply =
      ProblemReply(kNotAllowed, fmt::format("{} {}: the path takes {}; see /openapi.json",
                                            question.method, question.path, allowed));
  reply.allow = std::move(allowed);
  return reply;
}

// Of an act on a load. That the load is in no state for it is not the request's fault.
Result<HttpReply> LoadReply(const Result<LoadRecord>& load) {
  constexpr int kConflict = 409;
  if (load.ok()) return JsonReply(LoadJson(load.value()));
  if (load.error().code() != Code::kInvalidArgument) return load.error();
  return ProblemReply(kConflict, load.error().message());
}

}  // namespace

struct Api::Operation {
  std::string_view method;  // GET answers HEAD, too.
  std::string_view path;    // As in openapi.json.
  // `word`: what stands for {NAME} or {ID}.
  Result<HttpReply> (*answer)(Api& api, const HttpQuestion& question, const std::string& word);
  Result<HttpReply> (*of_dataset)(Api& api, const HttpQuestion& question,
                                  const DatasetRecord& dataset) = nullptr;
};

std::span<const Api::Operation> Api::Operations() {
  using Ask = const HttpQuestion&;
  using Word = const std::string&;
  using Of = const DatasetRecord&;
  using Reply = Result<HttpReply>;
  static constexpr Operation kOperations[] = {
      {"GET", "/healthz", [](Api& api, Ask, Word) -> Reply { return api.Healthy(); }},
      {"GET", "/readyz", [](Api& api, Ask, Word) -> Reply { return api.Ready(); }},
      {"GET", "/metrics", [](Api& api, Ask, Word) -> Reply { return api.MetricsText(); }},
      {"GET", "/openapi.json",
       [](Api&, Ask, Word) -> Reply { return JsonReply(std::string(OpenApiDocument())); }},
      {"GET", "/v1/status", [](Api& api, Ask ask, Word) { return api.Status(ask); }},
      {"GET", "/v1/workers", [](Api& api, Ask, Word) { return api.Workers(); }},
      {"GET", "/v1/events", [](Api& api, Ask ask, Word) { return api.EventsSince(ask); }},
      {"POST", "/v1/apply", [](Api& api, Ask ask, Word) { return api.Apply(ask); }},
      {"POST", "/v1/delete", [](Api& api, Ask ask, Word) { return api.DeleteDocuments(ask); }},
      {"GET", "/v1/datasets", [](Api& api, Ask ask, Word) { return api.Datasets(ask); }},
      {"POST", "/v1/datasets", [](Api& api, Ask ask, Word) { return api.CreateDataset(ask); }},
      {"GET", "/v1/datasets/{NAME}", nullptr,
       [](Api& api, Ask, Of of) { return api.ShowDataset(of); }},
      {"DELETE", "/v1/datasets/{NAME}", nullptr,
       [](Api& api, Ask, Of of) { return api.DeleteDataset(of); }},
      {"GET", "/v1/datasets/{NAME}/wait", nullptr,
       [](Api& api, Ask ask, Of of) { return api.Wait(ask, of); }},
      {"POST", "/v1/datasets/{NAME}/refresh", nullptr,
       [](Api& api, Ask, Of of) { return api.RefreshDataset(of); }},
      {"POST", "/v1/datasets/{NAME}/evict", nullptr,
       [](Api& api, Ask ask, Of of) { return api.Evict(ask, of); }},
      {"POST", "/v1/datasets/{NAME}/verify", nullptr,
       [](Api& api, Ask ask, Of of) { return api.Verify(ask, of); }},
      {"GET", "/v1/loads", [](Api& api, Ask, Word) { return api.ListLoads(); }},
      {"POST", "/v1/loads", [](Api& api, Ask ask, Word) { return api.StartLoad(ask); }},
      {"GET", "/v1/loads/{ID}",
       [](Api& api, Ask, Word id) { return LoadReply(api.parts_.loads.Find(id)); }},
      {"POST", "/v1/loads/{ID}/pause",
       [](Api& api, Ask, Word id) { return LoadReply(api.parts_.loads.Pause(id)); }},
      {"POST", "/v1/loads/{ID}/resume",
       [](Api& api, Ask, Word id) { return LoadReply(api.parts_.loads.Resume(id)); }},
      {"POST", "/v1/loads/{ID}/cancel",
       [](Api& api, Ask, Word id) { return LoadReply(api.parts_.loads.Cancel(id)); }},
      {"POST", "/internal/v1/heartbeat",
       [](Api& api, Ask ask, Word) { return api.TakeHeartbeat(ask); }},
      {"GET", "/internal/v1/group", [](Api& api, Ask ask, Word) { return api.Group(ask); }},
      {"GET", "/internal/v1/snapshot", [](Api& api, Ask ask, Word) { return api.SnapshotOf(ask); }},
      {"POST", "/internal/v1/shutdown", [](Api& api, Ask ask, Word) { return api.Shutdown(ask); }},
  };
  return kOperations;
}

HttpReply Api::Answer(const HttpQuestion& question) {
  Result<HttpReply> reply = Route(question);
  return reply.ok() ? std::move(reply).value() : ProblemReply(reply.error());
}

Result<HttpReply> Api::Route(const HttpQuestion& question) {
  const std::string method = question.method == "HEAD" ? "GET" : question.method;
  std::set<std::string> others;
  for (const Operation& operation : Operations()) {
    std::string word;
    if (!HasForm(question.path, operation.path, word)) continue;
    if (operation.method != method) {
      others.emplace(operation.method);
      if (operation.method == "GET") others.emplace("HEAD");
      continue;
    }
    if (operation.of_dataset == nullptr) return operation.answer(*this, question, word);
    const Result<DatasetPointer> dataset = FindDataset(question, word);
    if (!dataset.ok()) return dataset.error();
    return operation.of_dataset(*this, question, *dataset.value());
  }
  if (!others.empty()) return NotAllowed(question, others);
  return Error(Code::kNotFound, question.path + ": there is no such path; see /openapi.json");
}

}  // namespace forebay
