#include "control/api.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/metrics.h"
#include "base/units.h"
#include "base/wall_clock.h"
#include "cluster/group_json.h"
#include "control/json_text.h"
#include "control/load_json.h"
#include "control/merge_metrics.h"
#include "control/openapi.h"
#include "control/problem.h"
#include "control/request_json.h"

namespace forebay {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::minutes kVerifyTimeout{10};
constexpr std::chrono::seconds kDropTimeout{30};
constexpr std::chrono::seconds kMetricsTimeout{2};
constexpr std::chrono::seconds kAnnounceTimeout{2};
// A round takes milliseconds, and a few seconds while workers do not answer.
constexpr std::chrono::seconds kRoundMax{20};
constexpr std::chrono::seconds kWaitMax{60};  // Of one long poll; the client asks again.
constexpr std::chrono::seconds kCountPatience{1};
constexpr std::chrono::milliseconds kGateEvery{250};
constexpr std::chrono::seconds kRefreshTimeout{20};  // Less than the command line waits.

std::string QueryOr(const HttpQuestion& question, const std::string& key,
                    const std::string& otherwise) {
  const auto found = question.query.find(key);
  return found == question.query.end() ? otherwise : found->second;
}

DatasetKey NameOf(const HttpQuestion& question, const std::string& name) {
  return {QueryOr(question, "namespace", "default"), name};
}

// Over TCP they would be readable on the way.
WithSecrets SecretsOver(const HttpQuestion& question) {
  return question.over_unix ? WithSecrets::kYes : WithSecrets::kNo;
}

StatusParts StatusPartsOf(const Api::Parts& parts) {
  return {parts.facts, parts.desired, parts.members, parts.datasets, parts.inventory, parts.loads};
}

std::uint32_t ReadyWorkers(const Members& members) {
  std::uint32_t ready = 0;
  for (const MemberView& member : members.All()) {
    if (member.status.state == MemberState::kReady) ++ready;
  }
  return ready;
}

}  // namespace

Result<DatasetPointer> Api::FindDataset(const HttpQuestion& question,
                                        const std::string& word) const {
  const DatasetKey name = NameOf(question, word);
  DatasetPointer dataset = parts_.datasets.Find(name);
  if (dataset != nullptr) return dataset;
  return Error(Code::kNotFound, fmt::format("dataset {}.{}: there is none; `forebay datasets` "
                                            "lists them",
                                            name.name, name.namespace_name));
}

Result<HttpReply> Api::Datasets(const HttpQuestion& question) {
  return JsonReply(
      DatasetsJson(StatusPartsOf(parts_),
                   {.namespace_name = QueryOr(question, "namespace", ""), .dataset = ""}));
}

Result<HttpReply> Api::Workers() {
  return JsonReply(WorkersJson(StatusPartsOf(parts_)));
}

Result<HttpReply> Api::ShowDataset(const DatasetRecord& dataset) {
  return JsonReply(DatasetJson(StatusPartsOf(parts_), dataset));
}

Result<HttpReply> Api::DeleteDataset(const DatasetRecord& dataset) {
  forebay::Status deleted = parts_.datasets.Delete(dataset.name);
  if (!deleted.ok()) return std::move(deleted).error();
  Announce();
  parts_.events.Add({.reason = "DatasetDeleted",
                     .object = DatasetObject(dataset.name.name),
                     .namespace_name = dataset.name.namespace_name,
                     .message = "deleted; workers forget its blocks"});
  return JsonReply(R"({"result":"deleted"})");
}

Result<HttpReply> Api::ListLoads() {
  Json loads = Json::array();
  for (const LoadRecord& load : parts_.loads.All()) loads.push_back(Json::parse(LoadJson(load)));
  return JsonReply(JsonText({{"loads", loads}}));
}

Result<HttpReply> Api::Shutdown(const HttpQuestion& question) {
  if (!question.over_unix) {
    return Error(Code::kDenied, "shutdown: only over the unix socket, on control's own host");
  }
  parts_.shutdown_requested = true;
  constexpr int kAccepted = 202;
  return HttpReply{.status = kAccepted, .body = "{}", .content_type = "application/json"};
}

HttpReply Api::Healthy() const {
  constexpr int kUnavailable = 503;
  const Clock::duration since = Clock::now() - parts_.round_ended.load();
  if (since > kRoundMax) {
    return {.status = kUnavailable,
            .body = fmt::format("the reconcile loop has not ended a round for {} s\n",
                                std::chrono::floor<std::chrono::seconds>(since).count())};
  }
  return {.body = "ok\n"};
}

HttpReply Api::Ready() const {
  constexpr int kUnavailable = 503;
  if (parts_.members.map() == nullptr) {
    return {.status = kUnavailable, .body = "learning which workers there are; ready in 2 s\n"};
  }
  const std::uint32_t ready = ReadyWorkers(parts_.members);
  if (ready < parts_.desired) {
    return {.status = kUnavailable,
            .body = fmt::format("{} of {} workers are ready; `forebay status` and `forebay events` "
                                "say why\n",
                                ready, parts_.desired.load())};
  }
  return {.body = "ok\n"};
}

HttpReply Api::MetricsText() {
  std::vector<std::string> texts = parts_.pool.Metrics(Clock::now() + kMetricsTimeout, parts_.stop);
  texts.push_back(Metrics().Text());
  return {.body = MergeMetrics(texts) + CachedRatiosText(StatusPartsOf(parts_)),
          .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

Result<HttpReply> Api::Status(const HttpQuestion& question) {
  return JsonReply(
      StatusJson(StatusPartsOf(parts_), {.namespace_name = QueryOr(question, "namespace", ""),
                                         .dataset = QueryOr(question, "dataset", "")}));
}

Result<HttpReply> Api::EventsSince(const HttpQuestion& question) {
  const Result<std::uint64_t> since = ParseCount("since", QueryOr(question, "since", "0"));
  if (!since.ok()) return since.error();
  const Result<std::chrono::milliseconds> wait = ParseDuration(QueryOr(question, "wait", "0"));
  if (!wait.ok()) return Error(wait.error()).Within("wait");
  const Deadline until = Clock::now() + std::min<Clock::duration>(wait.value(), kWaitMax);
  Json events = Json::array();
  std::uint64_t next = since.value();
  for (const Event& event : parts_.events.Await(since.value(), until, parts_.stop)) {
    constexpr std::int64_t kNanoseconds = 1'000'000;
    events.push_back({{"seq", event.sequence},
                      {"time", Rfc3339(event.time_ms * kNanoseconds)},
                      {"type", event.warning ? "Warning" : "Normal"},
                      {"reason", event.reason},
                      {"object", event.object},
                      {"namespace", event.namespace_name},
                      {"message", event.message},
                      {"count", event.count}});
    next = event.sequence;
  }
  return JsonReply(JsonText({{"events", events}, {"next", next}}));
}

// Has everybody know of a change before it is acknowledged: who reads right after finds it.
void Api::Announce() {
  parts_.inventory.DatasetsChanged();
  parts_.pool.Refresh(Clock::now() + kAnnounceTimeout, parts_.stop);
}

Result<HttpReply> Api::CreateDataset(const HttpQuestion& question) {
  Result<DatasetRequest> request = ParseDatasetRequest(question.body);
  if (!request.ok()) return std::move(request).error();
  if (request.value().secrets && !question.over_unix) {
    return Error(Code::kDenied,
                 "secrets are taken over control's unix socket only, since TCP is not encrypted "
                 "yet; run this on control's host, without --control");
  }
  const DatasetKey name{request.value().spec.namespace_name, request.value().spec.name};
  if (request.value().spec.block_bytes > parts_.facts.block_bytes_max) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("--block-size \"{}\": the group takes at most {}; write that, or "
                    "start it with `up --block-size-max {}`",
                    FormatSize(request.value().spec.block_bytes),
                    FormatSize(parts_.facts.block_bytes_max), request.value().spec.block_bytes));
  }
  const Result<DatasetChange> change =
      parts_.datasets.Put(std::move(request.value().spec), request.value().secrets);
  if (!change.ok()) return change.error();
  if (change.value() != DatasetChange::kUnchanged) Announce();
  const DatasetPointer dataset = parts_.datasets.Find(name);
  if (dataset == nullptr) return Error(Code::kNotFound, "it was deleted meanwhile");
  TellOfChange(*dataset, change.value());
  constexpr int kCreated = 201;
  constexpr int kOk = 200;
  return JsonReply(
      JsonText({{"result", ChangeName(change.value())},
                {"dataset", Json::parse(DatasetJson(StatusPartsOf(parts_), *dataset))}}),
      change.value() == DatasetChange::kCreated ? kCreated : kOk);
}

void Api::TellOfChange(const DatasetRecord& dataset, DatasetChange change) {
  if (change == DatasetChange::kUnchanged) return;
  const std::optional<NotBoundReason>& not_bound = dataset.not_bound;
  parts_.events.Add({.warning = not_bound.has_value(),
                     .reason = not_bound ? not_bound->reason : "DatasetReady",
                     .object = DatasetObject(dataset.name.name),
                     .namespace_name = dataset.name.namespace_name,
                     .message = not_bound ? not_bound->message : std::string(ChangeName(change))});
}

// A pinned dataset has its old snapshot until the new one is complete.
Result<HttpReply> Api::RefreshDataset(const DatasetRecord& dataset) {
  const bool pinned = dataset.spec.staleness == DatasetSpec::kPinned;
  forebay::Status refreshed =
      pinned ? parts_.inventory.Refresh(dataset.uid, Clock::now() + kRefreshTimeout, parts_.stop)
             : parts_.datasets.Refresh(dataset.name);
  if (pinned && !refreshed.ok() && refreshed.error().code() == Code::kDeadlineExceeded) {
    constexpr int kAccepted = 202;
    return JsonReply(JsonText({{"result", "refreshing"}, {"message", refreshed.error().message()}}),
                     kAccepted);
  }
  if (!refreshed.ok()) return std::move(refreshed).error();
  Announce();
  return JsonReply(R"({"result":"refreshed"})");
}

// The snapshot of a pinned dataset, whole.
Result<HttpReply> Api::SnapshotOf(const HttpQuestion& question) {
  const std::optional<DatasetUid> uid = ParseDatasetUid(QueryOr(question, "uid", ""));
  const Result<std::uint64_t> refreshed =
      ParseCount("refreshed", QueryOr(question, "refreshed", ""));
  if (!uid) return Error(Code::kInvalidArgument, "uid: 32 hexadecimal digits");
  if (!refreshed.ok()) return refreshed.error();
  const Result<SnapshotPointer> snapshot = parts_.inventory.SnapshotOf({*uid, refreshed.value()});
  if (!snapshot.ok()) return snapshot.error();
  const std::vector<std::byte> bytes = EncodeSnapshot(*snapshot.value());
  return HttpReply{.body = {reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                   .content_type = "application/octet-stream"};
}

// Opens on a census alone: one that began after the question came.
Result<HttpReply> Api::Wait(const HttpQuestion& question, const DatasetRecord& dataset) {
  const Result<WaitRequest> parsed = ParseWaitRequest(question.query);
  if (!parsed.ok()) return parsed.error();
  const WaitRequest& wait = parsed.value();
  const Deadline until = Clock::now() + std::min<Clock::duration>(wait.timeout, kWaitMax);
  Json answer = {{"reached", false}, {"cachedRatio", nullptr}, {"ready", 0}, {"reason", ""}};
  while (true) {
    const std::uint32_t ready = ReadyWorkers(parts_.members);
    answer["ready"] = ready;
    bool reached = true;
    if (ready < wait.workers) {
      reached = false;
      answer["reason"] = fmt::format("{} of {} workers are ready", ready, wait.workers);
    }
    if (dataset.not_bound) {
      reached = false;
      answer["reason"] = dataset.not_bound->message;
    } else if (wait.cached) {
      const Deadline since = Clock::now();
      // Somebody counts even if this poll is over before; the next poll then finds a count.
      const Result<DatasetCountPointer> count = parts_.inventory.CountFrom(
          dataset.uid, since, std::max(until, since + kCountPatience), parts_.stop);
      if (!count.ok() && count.error().code() == Code::kNotFound) return count.error();
      if (!count.ok()) {
        reached = false;
        answer["reason"] = count.error().message();
      } else {
        const std::optional<CacheCount> ratio = CountBelow(*count.value(), wait.path);
        answer["cachedRatio"] = nullptr;
        if (ratio) answer["cachedRatio"] = ratio->Ratio();
        if (!ratio || !ratio->Reaches(*wait.cached)) {
          reached = false;
          answer["reason"] =
              ratio ? fmt::format("{} of {} are held", FormatSize(ratio->cached_bytes),
                                  FormatSize(ratio->total_bytes))
                    : fmt::format("no file of the dataset lies below \"{}\"", wait.path);
        }
      }
    }
    answer["reached"] = reached;
    if (reached) answer["reason"] = "";
    if (reached || Clock::now() >= until || parts_.stop.stop_requested()) break;
    parts_.members.AwaitStep(std::min<Deadline>(until, Clock::now() + kGateEvery));
  }
  return JsonReply(JsonText(answer));
}

Result<HttpReply> Api::Evict(const HttpQuestion& question, const DatasetRecord& dataset) {
  const Result<std::vector<std::string>> patterns = ParsePaths(question.body);
  if (!patterns.ok()) return patterns.error();
  std::vector<std::string> paths;
  if (!patterns.value().empty()) {
    const Result<DatasetCountPointer> counted = parts_.inventory.CountFrom(
        dataset.uid, Deadline::min(), Clock::now() + kDropTimeout, parts_.stop);
    if (!counted.ok()) return counted.error();
    for (const ListedFile& file : counted.value()->listing->files) {
      const auto meant = [&file](const std::string& pattern) {
        return PatternMatches(pattern, file.path);
      };
      if (std::ranges::any_of(patterns.value(), meant)) paths.push_back(file.path);
    }
    if (paths.empty()) {
      return Error(Code::kInvalidArgument,
                   fmt::format("no file of the dataset matches \"{}\"", patterns.value().front()));
    }
  }
  const Result<DropReport> dropped =
      parts_.pool.Drop(dataset, paths, Clock::now() + kDropTimeout, parts_.stop);
  if (!dropped.ok()) return dropped.error();
  const DropReport& report = dropped.value();
  std::set<std::string> silent(report.silent.begin(), report.silent.end());
  for (const MemberView& member : parts_.members.All()) {
    // Not asked: it is not in the map, and may come back with all that it has.
    if (member.status.state == MemberState::kSuspect) silent.insert(member.status.name);
  }
  parts_.inventory.BlocksChanged(dataset.uid);
  parts_.events.Add({.warning = !silent.empty(),
                     .reason = "Evicted",
                     .object = DatasetObject(dataset.name.name),
                     .namespace_name = dataset.name.namespace_name,
                     .message = fmt::format("{} by `evict`", FormatSize(report.bytes))});
  return JsonReply(JsonText(
      {{"evictedBytes", report.bytes}, {"evictedFiles", paths.size()}, {"silentWorkers", silent}}));
}

Result<HttpReply> Api::Verify(const HttpQuestion& question, const DatasetRecord& dataset) {
  const Result<std::vector<std::string>> patterns = ParsePaths(question.body);
  if (!patterns.ok()) return patterns.error();
  const Deadline until = Clock::now() + kVerifyTimeout;
  const Result<DatasetCountPointer> before =
      parts_.inventory.CountFrom(dataset.uid, Clock::now(), until, parts_.stop);
  if (!before.ok()) return before.error();
  const DatasetListing& listing = *before.value()->listing;
  const Result<std::vector<std::uint64_t>> sound =
      parts_.pool.CountHeld(dataset, listing.files, /*verify=*/true, until, parts_.stop);
  if (!sound.ok()) return sound.error();
  std::uint64_t cached = 0;
  std::uint64_t damaged = 0;
  for (std::size_t i = 0; i < listing.files.size(); ++i) {
    cached += sound.value()[i];
    if (sound.value()[i] < before.value()->cached_of_file[i]) ++damaged;
  }
  parts_.inventory.BlocksChanged(dataset.uid);
  return JsonReply(JsonText({{"files", listing.files.size()},
                             {"damagedFiles", damaged},
                             {"cachedBytes", cached},
                             {"totalBytes", listing.total_bytes}}));
}

Result<HttpReply> Api::StartLoad(const HttpQuestion& question) {
  Result<LoadTarget> target = ParseLoadRequest(question.body);
  if (!target.ok()) return std::move(target).error();
  const Result<LoadRecord> load = parts_.loads.Start(std::move(target).value());
  if (!load.ok()) return load.error();
  constexpr int kCreated = 201;
  return JsonReply(LoadJson(load.value()), kCreated);
}

Result<HttpReply> Api::TakeHeartbeat(const HttpQuestion& question) {
  const Result<Heartbeat> heartbeat = HeartbeatFromJson(question.body);
  if (!heartbeat.ok()) return heartbeat.error();
  const forebay::Status heard = parts_.members.Heard(heartbeat.value());
  if (!heard.ok() && heard.error().code() == Code::kDenied) {
    constexpr int kConflict = 409;
    return ProblemReply(kConflict, heard.error().message());
  }
  if (!heard.ok()) return heard.error();
  for (const DatasetFigures& dataset : heartbeat.value().datasets) {
    parts_.inventory.BlocksChanged(dataset.uid);
  }
  HeartbeatAnswer answer;
  const std::shared_ptr<const GroupMap> map = parts_.members.map();
  answer.learning = map == nullptr;
  if (map != nullptr && map->epoch != heartbeat.value().known_epoch) answer.map = *map;
  const DatasetTable::Changes changes = parts_.datasets.Since(heartbeat.value().known_datasets);
  answer.datasets_generation = changes.generation;
  answer.full = changes.full;
  answer.deleted = changes.deleted;
  const WithSecrets secrets = SecretsOver(question);
  for (const DatasetPointer& dataset : changes.datasets) {
    if (dataset->not_bound) continue;
    answer.datasets.push_back(EntryOf(*dataset, secrets));
  }
  return JsonReply(ToJson(answer, secrets));
}

Result<HttpReply> Api::Group(const HttpQuestion& question) {
  const std::shared_ptr<const GroupMap> map = parts_.members.map();
  if (map == nullptr) {
    return Error(Code::kUnavailable, "learning which workers there are; ask again in 2 s");
  }
  GroupAnswer answer;
  answer.map = *map;
  if (const std::string name = QueryOr(question, "dataset", ""); !name.empty()) {
    const DatasetPointer dataset = parts_.datasets.Find(NameOf(question, name));
    if (dataset == nullptr) {
      return Error(Code::kNotFound,
                   fmt::format("dataset {}: there is none; `forebay datasets` lists them", name));
    }
    if (dataset->not_bound) {
      return Error(Code::kInvalidArgument,
                   fmt::format("dataset {} is NotBound: {}", name, dataset->not_bound->message));
    }
    answer.dataset = EntryOf(*dataset, SecretsOver(question));
  }
  return JsonReply(ToJson(answer, SecretsOver(question)));
}

}  // namespace forebay
