#include "control/status.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "control/json_text.h"
#include "control/load_json.h"
#include "core/membership.h"

namespace forebay {
namespace {

using Json = nlohmann::json;

// "60s", "0s", "1500ms": one unit, so that scripts need no parser.
std::string SecondsText(std::chrono::milliseconds duration) {
  constexpr std::chrono::seconds kSecond{1};
  if (duration % kSecond == std::chrono::milliseconds(0)) {
    return fmt::format("{}s", duration / kSecond);
  }
  return fmt::format("{}ms", duration.count());
}

Json WorkerObject(const MemberView& member, const std::string& group) {
  return {{"name", member.status.name},
          {"group", group},
          {"role", member.role},
          {"pid", member.pid},
          {"state", MemberStateName(member.status.state)},
          {"address", member.status.address},
          {"capacityBytes", member.capacity_bytes},
          {"usedBytes", member.used_bytes},
          {"blocks", member.blocks},
          {"startedAt", member.started_at}};
}

bool Lives(const MemberView& member) {
  switch (member.status.state) {
    case MemberState::kJoining:
    case MemberState::kReady:
    case MemberState::kDraining: return true;
    case MemberState::kSuspect:
    case MemberState::kDead: return false;
  }
  return false;
}

Json Condition(std::string_view type, bool holds, std::string_view reason,
               const std::string& message, const std::string& since) {
  return {{"type", type},
          {"status", holds ? "True" : "False"},
          {"reason", reason},
          {"message", message},
          {"since", since}};
}

Json ConditionsOf(const DatasetRecord& dataset, const Known& known) {
  Json conditions = Json::array();
  if (dataset.not_bound) {
    conditions.push_back(Condition("Ready", false, dataset.not_bound->reason,
                                   dataset.not_bound->message, dataset.changed_at));
    return conditions;
  }
  conditions.push_back(
      Condition("Ready", true, "DatasetReady", "The ddc runtime is ready.", dataset.changed_at));
  if (!known.problem.empty()) {
    conditions.push_back(
        Condition("Listed", false, "UpstreamFailed", known.problem, dataset.changed_at));
  }
  return conditions;
}

Json DatasetStatus(const DatasetRecord& dataset, const Known& known, const DatasetTotals& figures,
                   const std::string& group) {
  Json object = {{"name", dataset.name.name},
                 {"namespace", dataset.name.namespace_name},
                 {"uid", dataset.uid.value.Hex()},
                 {"group", group},
                 {"phase", dataset.not_bound ? "NotBound" : "Bound"},
                 {"files", nullptr},
                 {"totalBytes", nullptr},
                 {"cachedBytes", nullptr},
                 {"cachedRatio", nullptr},
                 {"hitRatio", nullptr},
                 {"blockBytes", dataset.spec.block_bytes},
                 {"replicas", dataset.replicas},
                 {"upstream",
                  {{"requests", figures.upstream_requests},
                   {"bytes", figures.upstream_bytes},
                   {"errors", figures.upstream_errors}}},
                 {"conditions", ConditionsOf(dataset, known)}};
  object["staleness"] = *dataset.spec.staleness == DatasetSpec::kPinned
                            ? "pinned"
                            : SecondsText(*dataset.spec.staleness);
  object["mounts"] = Json::array();
  for (const Mount& mount : dataset.spec.mounts) {
    object["mounts"].push_back({{"path", mount.path}, {"url", mount.url}});
  }
  if (figures.hit_ratio) object["hitRatio"] = *figures.hit_ratio;
  // All four figures are of one listing: that of the count, once there is one.
  const DatasetListing* listing = known.count ? known.count->listing.get() : known.listing.get();
  if (listing != nullptr) {
    object["files"] = listing->files.size();
    object["totalBytes"] = listing->total_bytes;
  }
  if (known.count) {
    const CacheCount ratio{known.count->cached_bytes, listing->total_bytes};
    object["cachedBytes"] = ratio.cached_bytes;
    object["cachedRatio"] = ratio.Ratio();
  }
  return object;
}

Json Workers(const StatusParts& parts) {
  Json workers = Json::array();
  for (const MemberView& member : parts.members.All()) {
    workers.push_back(WorkerObject(member, parts.facts.name));
  }
  return workers;
}

// As text, one after the other: ten thousand as one tree take 100 MB, which the heap keeps.
std::string DatasetList(const StatusParts& parts, const StatusFilter& filter) {
  std::string datasets = "[";
  const std::map<DatasetUid, DatasetTotals> figures = parts.members.Figures();
  for (const DatasetPointer& dataset : parts.datasets.All()) {
    const DatasetKey& name = dataset->name;
    if (!filter.namespace_name.empty() && name.namespace_name != filter.namespace_name) continue;
    if (!filter.dataset.empty() && name.name != filter.dataset) continue;
    const auto found = figures.find(dataset->uid);
    if (datasets.size() > 1) datasets += ',';
    datasets += JsonText(DatasetStatus(*dataset, parts.inventory.Look(*dataset),
                                       found == figures.end() ? DatasetTotals() : found->second,
                                       parts.facts.name));
  }
  return datasets + ']';
}

Json Groups(const StatusParts& parts) {
  std::uint32_t ready = 0;
  std::uint32_t joined = 0;
  std::uint64_t capacity = 0;
  std::uint64_t used = 0;
  for (const MemberView& member : parts.members.All()) {
    if (!Lives(member)) continue;
    capacity += member.capacity_bytes;
    used += member.used_bytes;
    if (!parts.members.IsExpected(member.status.name)) ++joined;
    if (member.status.state == MemberState::kReady) ++ready;
  }
  std::string reason = std::to_string(parts.desired) + " because `up --workers " +
                       std::to_string(parts.desired) + "`";
  if (joined > 0) reason += ", and " + std::to_string(joined) + " that joined by --control";
  const std::shared_ptr<const GroupMap> map = parts.members.map();
  return Json::array({{{"name", parts.facts.name},
                       {"namespace", "default"},
                       {"desired", parts.desired + joined},
                       {"ready", ready},
                       {"epoch", map == nullptr ? 0 : map->epoch},
                       {"capacityBytes", capacity},
                       {"usedBytes", used},
                       {"encryption", "none"},
                       {"reason", reason}}});
}

}  // namespace

std::string StatusJson(const StatusParts& parts, const StatusFilter& filter) {
  Json loads = Json::array();
  for (const LoadRecord& load : parts.loads.All()) {
    const DatasetKey& name = load.target.dataset;
    if (!filter.namespace_name.empty() && name.namespace_name != filter.namespace_name) continue;
    if (!filter.dataset.empty() && name.name != filter.dataset) continue;
    loads.push_back(Json::parse(LoadJson(load)));
  }
  return fmt::format(R"({{"version":{},"groups":{},"workers":{},"datasets":{},"loads":{}}})",
                     JsonText(parts.facts.version), JsonText(Groups(parts)),
                     JsonText(Workers(parts)), DatasetList(parts, filter), JsonText(loads));
}

std::string WorkersJson(const StatusParts& parts) {
  return JsonText({{"workers", Workers(parts)}});
}

std::string DatasetsJson(const StatusParts& parts, const StatusFilter& filter) {
  return "{\"datasets\":" + DatasetList(parts, filter) + '}';
}

std::string DatasetJson(const StatusParts& parts, const DatasetRecord& dataset) {
  const std::map<DatasetUid, DatasetTotals> figures = parts.members.Figures();
  const auto found = figures.find(dataset.uid);
  return JsonText(DatasetStatus(dataset, parts.inventory.Look(dataset),
                                found == figures.end() ? DatasetTotals() : found->second,
                                parts.facts.name));
}

std::string CachedRatiosText(const StatusParts& parts) {
  std::string text =
      "# HELP forebay_dataset_cached_ratio Bytes held over bytes listed.\n"
      "# TYPE forebay_dataset_cached_ratio gauge\n";
  for (const DatasetPointer& dataset : parts.datasets.All()) {
    const DatasetCountPointer count = parts.inventory.Look(*dataset).count;
    if (count == nullptr) continue;
    const CacheCount ratio{count->cached_bytes, count->listing->total_bytes};
    text += fmt::format("forebay_dataset_cached_ratio{{dataset=\"{}\",namespace=\"{}\"}} {}\n",
                        dataset->name.name, dataset->name.namespace_name, ratio.Ratio());
  }
  return text;
}

}  // namespace forebay
