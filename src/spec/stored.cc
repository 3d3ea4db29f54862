// The stored form of specs: docs/formats/documents.md.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "spec/build.h"
#include "spec/document.h"

namespace forebay {
namespace {

using Json = nlohmann::json;  // Sorted keys: equal specs have equal texts.

constexpr auto kReplace = Json::error_handler_t::replace;

Json ToValue(const Mount& mount) {
  Json secrets = Json::array();
  for (const SecretRef& secret : mount.secrets) {
    secrets.push_back({{"option", secret.option}, {"source", secret.source}});
  }
  return {{"path", mount.path},       {"url", mount.url},
          {"options", mount.options}, {"otherOptions", mount.other_options},
          {"secrets", secrets},       {"readOnly", mount.read_only}};
}

Mount MountFrom(const Json& value) {
  Mount mount;
  mount.path = value.at("path").get<std::string>();
  mount.url = value.at("url").get<std::string>();
  mount.options = value.at("options").get<OptionMap>();
  mount.other_options = value.at("otherOptions").get<OptionMap>();
  for (const Json& secret : value.at("secrets")) {
    mount.secrets.push_back(
        {secret.at("option").get<std::string>(), secret.at("source").get<std::string>()});
  }
  mount.read_only = value.at("readOnly").get<bool>();
  return mount;
}

Json ToValue(const TierLevel& level) {
  Json value = {{"medium", level.medium},
                {"paths", level.paths},
                {"quotaBytes", level.quota_bytes},
                {"quotaListBytes", level.quota_list_bytes},
                {"volumeType", level.volume_type}};
  if (level.high) value["high"] = *level.high;
  if (level.low) value["low"] = *level.low;
  return value;
}

TierLevel LevelFrom(const Json& value) {
  TierLevel level;
  level.medium = value.at("medium").get<std::string>();
  level.paths = value.at("paths").get<std::vector<std::string>>();
  level.quota_bytes = value.at("quotaBytes").get<std::uint64_t>();
  level.quota_list_bytes = value.at("quotaListBytes").get<std::vector<std::uint64_t>>();
  level.volume_type = value.at("volumeType").get<std::string>();
  if (value.contains("high")) level.high = value.at("high").get<double>();
  if (value.contains("low")) level.low = value.at("low").get<double>();
  return level;
}

DatasetSpec DatasetFrom(const Json& value) {
  DatasetSpec spec;
  spec.name = value.at("name").get<std::string>();
  spec.namespace_name = value.at("namespace").get<std::string>();
  for (const Json& mount : value.at("mounts")) spec.mounts.push_back(MountFrom(mount));
  if (value.at("pinned").get<bool>()) {
    spec.staleness = DatasetSpec::kPinned;
  } else if (value.contains("stalenessMs")) {
    spec.staleness = std::chrono::milliseconds(value.at("stalenessMs").get<std::int64_t>());
  }
  spec.block_bytes = value.at("blockBytes").get<std::uint32_t>();
  spec.access_modes = value.at("accessModes").get<std::vector<std::string>>();
  spec.written = value.at("written").get<std::string>();
  return spec;
}

RuntimeSpec RuntimeFrom(const Json& value) {
  RuntimeSpec spec;
  spec.kind = value.at("kind").get<std::string>();
  spec.name = value.at("name").get<std::string>();
  spec.namespace_name = value.at("namespace").get<std::string>();
  if (value.contains("replicas")) spec.replicas = value.at("replicas").get<std::uint32_t>();
  for (const Json& level : value.at("levels")) spec.levels.push_back(LevelFrom(level));
  spec.options = value.at("options").get<OptionMap>();
  spec.written = value.at("written").get<std::string>();
  return spec;
}

template <typename Spec>
Result<Spec> FromText(const std::string& json, Spec (*from)(const Json&)) {
  try {
    return Validated(from(Json::parse(json)));
  } catch (const Json::exception& error) {
    return Error(Code::kInvalidArgument,
                 fmt::format("not a stored document: {}; restore the state directory, or apply the "
                             "document again",
                             error.what()));
  }
}

}  // namespace

std::string ToJson(const DatasetSpec& spec) {
  const bool pinned = spec.staleness == DatasetSpec::kPinned;
  Json mounts = Json::array();
  for (const Mount& mount : spec.mounts) mounts.push_back(ToValue(mount));
  Json value = {{"name", spec.name},
                {"namespace", spec.namespace_name},
                {"mounts", mounts},
                {"pinned", pinned},
                {"blockBytes", spec.block_bytes},
                {"accessModes", spec.access_modes},
                {"written", spec.written}};
  if (spec.staleness && !pinned) value["stalenessMs"] = spec.staleness->count();
  return value.dump(-1, ' ', false, kReplace);
}

std::string ToJson(const RuntimeSpec& spec) {
  Json levels = Json::array();
  for (const TierLevel& level : spec.levels) levels.push_back(ToValue(level));
  Json value = {{"kind", spec.kind}, {"name", spec.name},       {"namespace", spec.namespace_name},
                {"levels", levels},  {"options", spec.options}, {"written", spec.written}};
  if (spec.replicas) value["replicas"] = *spec.replicas;
  return value.dump(-1, ' ', false, kReplace);
}

Result<DatasetSpec> DatasetFromJson(const std::string& json) {
  return FromText<DatasetSpec>(json, &DatasetFrom);
}

Result<RuntimeSpec> RuntimeFromJson(const std::string& json) {
  return FromText<RuntimeSpec>(json, &RuntimeFrom);
}

}  // namespace forebay
