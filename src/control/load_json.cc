#include "control/load_json.h"
#include "control/json_text.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace forebay {
namespace {

using Json = nlohmann::json;

constexpr std::array kPhases = {LoadPhase::kRunning, LoadPhase::kComplete, LoadPhase::kFailed,
                                LoadPhase::kPaused, LoadPhase::kCancelled};

Json Common(const LoadRecord& load) {
  Json missing = Json::array();
  for (const FillFailure& file : load.missing_files) {
    missing.push_back({{"path", file.path}, {"reason", file.reason}});
  }
  return {{"id", load.id},
          {"dataset", load.target.dataset.name},
          {"namespace", load.target.dataset.namespace_name},
          {"phase", LoadPhaseName(load.phase)},
          {"doneBytes", load.done_bytes},
          {"totalBytes", load.listed ? Json(load.total_bytes) : Json(nullptr)},
          {"doneFiles", load.done_files},
          {"totalFiles", load.listed ? Json(load.total_files) : Json(nullptr)},
          {"missing", load.missing},
          {"missingFiles", missing},
          {"startedAt", load.started_at},
          {"finishedAt", load.finished_at.empty() ? Json(nullptr) : Json(load.finished_at)},
          {"paths", load.target.paths},
          {"replicas", load.target.replicas},
          {"throttleBytesPerSecond", load.target.bytes_per_second_max},
          {"reason", load.reason}};
}

}  // namespace

std::string EncodeLoad(const LoadRecord& load) {
  return JsonText(Common(load));
}

Result<LoadRecord> DecodeLoad(const std::string& json) {
  const Json object = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  try {
    LoadRecord load;
    load.id = object.at("id");
    load.target.dataset = {object.at("namespace"), object.at("dataset")};
    load.target.paths = object.at("paths").get<std::vector<std::string>>();
    load.target.replicas = object.at("replicas");
    load.target.bytes_per_second_max = object.at("throttleBytesPerSecond");
    const std::string phase = object.at("phase");
    const auto* const found = std::ranges::find(kPhases, phase, LoadPhaseName);
    if (found == kPhases.end()) return Error(Code::kCorrupt, "phase " + phase);
    load.phase = *found;
    load.done_bytes = object.at("doneBytes");
    load.listed = !object.at("totalBytes").is_null();
    if (load.listed) load.total_bytes = object.at("totalBytes");
    load.done_files = object.at("doneFiles");
    if (load.listed) load.total_files = object.at("totalFiles");
    load.missing = object.at("missing");
    for (const Json& file : object.at("missingFiles")) {
      load.missing_files.push_back({file.at("path"), file.at("reason")});
    }
    load.reason = object.at("reason");
    load.started_at = object.at("startedAt");
    if (!object.at("finishedAt").is_null()) load.finished_at = object.at("finishedAt");
    return load;
  } catch (const Json::exception& error) {
    return Error(Code::kCorrupt, error.what());
  }
}

std::string LoadJson(const LoadRecord& load) {
  Json object = Common(load);
  object["bytesPerSecond"] = load.bytes_per_second;
  object["etaSeconds"] = nullptr;
  if (load.bytes_per_second > 0 && load.phase == LoadPhase::kRunning) {
    object["etaSeconds"] = (load.total_bytes - load.done_bytes) / load.bytes_per_second;
  }
  return JsonText(object);
}

}  // namespace forebay
