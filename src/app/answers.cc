#include "app/answers.h"

#include <yaml-cpp/yaml.h>

#include <nlohmann/json.hpp>

namespace forebay {
namespace {

using Json = nlohmann::ordered_json;

Error Garbage() {
  return {Code::kUnavailable,
          "control's answer is not what was asked for; is --control the address of a Forebay "
          "control of this version?"};
}

const Json* Find(const Json& json, const char* key) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(key);
  return found == json.end() ? nullptr : &*found;
}

std::string Text(const Json& json, const char* key) {
  const Json* value = Find(json, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

std::optional<std::uint64_t> Count(const Json& json, const char* key) {
  const Json* value = Find(json, key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  if (value->is_number_float()) {
    const auto number = value->get<double>();
    constexpr double kMax = 9e18;  // Below 2^63: the cast is defined.
    if (!(number >= 0 && number < kMax)) return std::nullopt;
    return static_cast<std::uint64_t>(number);
  }
  if (!value->is_number_unsigned()) return std::nullopt;
  return value->get<std::uint64_t>();
}

std::optional<double> Ratio(const Json& json, const char* key) {
  const Json* value = Find(json, key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->get<double>();
}

template <typename View>
std::vector<View> ListOf(const Json& json, const char* key, View (*view)(const Json&)) {
  std::vector<View> list;
  const Json* value = Find(json, key);
  if (value == nullptr || !value->is_array()) return list;
  for (const Json& entry : *value) list.push_back(view(entry));
  return list;
}

std::vector<std::string> Strings(const Json& json, const char* key) {
  std::vector<std::string> strings;
  const Json* value = Find(json, key);
  if (value == nullptr || !value->is_array()) return strings;
  for (const Json& entry : *value) {
    if (entry.is_string()) strings.push_back(entry);
  }
  return strings;
}

GroupRow Group(const Json& json) {
  return {.name = Text(json, "name"),
          .reason = Text(json, "reason"),
          .desired = Count(json, "desired").value_or(0),
          .ready = Count(json, "ready").value_or(0),
          .epoch = Count(json, "epoch").value_or(0),
          .capacity_bytes = Count(json, "capacityBytes"),
          .used_bytes = Count(json, "usedBytes")};
}

WorkerView Worker(const Json& json) {
  return {.name = Text(json, "name"),
          .group = Text(json, "group"),
          .role = Text(json, "role"),
          .state = Text(json, "state"),
          .address = Text(json, "address"),
          .started_at = Text(json, "startedAt"),
          .pid = Count(json, "pid").value_or(0),
          .blocks = Count(json, "blocks").value_or(0),
          .capacity_bytes = Count(json, "capacityBytes"),
          .used_bytes = Count(json, "usedBytes")};
}

ConditionView Condition(const Json& json) {
  return {.type = Text(json, "type"),
          .status = Text(json, "status"),
          .reason = Text(json, "reason"),
          .message = Text(json, "message"),
          .since = Text(json, "since")};
}

MountView Mount(const Json& json) {
  return {.path = Text(json, "path"), .url = Text(json, "url")};
}

DatasetView Dataset(const Json& json) {
  DatasetView view{.name = Text(json, "name"),
                   .name_space = Text(json, "namespace"),
                   .group = Text(json, "group"),
                   .phase = Text(json, "phase"),
                   .staleness = Text(json, "staleness"),
                   .files = Count(json, "files"),
                   .total_bytes = Count(json, "totalBytes"),
                   .cached_bytes = Count(json, "cachedBytes"),
                   .cached_ratio = Ratio(json, "cachedRatio"),
                   .hit_ratio = Ratio(json, "hitRatio"),
                   .mounts = ListOf(json, "mounts", &Mount),
                   .conditions = ListOf(json, "conditions", &Condition)};
  if (const Json* upstream = Find(json, "upstream"); upstream != nullptr) {
    view.upstream_requests = Count(*upstream, "requests").value_or(0);
    view.upstream_bytes = Count(*upstream, "bytes").value_or(0);
    view.upstream_errors = Count(*upstream, "errors").value_or(0);
  }
  return view;
}

MissingFileView MissingFile(const Json& json) {
  return {.path = Text(json, "path"), .reason = Text(json, "reason")};
}

LoadView Load(const Json& json) {
  return {.id = Text(json, "id"),
          .dataset = Text(json, "dataset"),
          .name_space = Text(json, "namespace"),
          .phase = Text(json, "phase"),
          .started_at = Text(json, "startedAt"),
          .finished_at = Text(json, "finishedAt"),
          .reason = Text(json, "reason"),
          .done_bytes = Count(json, "doneBytes"),
          .total_bytes = Count(json, "totalBytes"),
          .done_files = Count(json, "doneFiles"),
          .total_files = Count(json, "totalFiles"),
          .bytes_per_second = Count(json, "bytesPerSecond"),
          .eta_seconds = Count(json, "etaSeconds"),
          .missing = Count(json, "missing").value_or(0),
          .missing_files = ListOf(json, "missingFiles", &MissingFile)};
}

EventView Event(const Json& json) {
  return {.seq = Count(json, "seq").value_or(0),
          .count = Count(json, "count").value_or(1),
          .time = Text(json, "time"),
          .type = Text(json, "type"),
          .reason = Text(json, "reason"),
          .object = Text(json, "object"),
          .name_space = Text(json, "namespace"),
          .message = Text(json, "message")};
}

ChangeView Change(const Json& json) {
  return {.object = Text(json, "object"),
          .name_space = Text(json, "namespace"),
          .result = Text(json, "result"),
          .message = Text(json, "message")};
}

// A document is named or numbered.
std::string TextOrNumber(const Json& json, const char* key) {
  const Json* value = Find(json, key);
  if (value == nullptr || value->is_null()) return "";
  return value->is_string() ? value->get<std::string>() : value->dump();
}

WarningView Warning(const Json& json) {
  return {.document = TextOrNumber(json, "document"),
          .path = Text(json, "path"),
          .value = TextOrNumber(json, "value"),
          .message = Text(json, "message")};
}

// Parses `answer`, which must be an object with `key` (unless that is null), and reads it.
template <typename View, typename Read>
Result<View> Parsed(std::string_view answer, const char* key, const Read& read) {
  const Json json = Json::parse(answer, nullptr, false);
  if (!json.is_object() || (key != nullptr && !json.contains(key))) return Garbage();
  return read(json);
}

void Emit(YAML::Emitter& out, const Json& json) {
  if (json.is_object() || json.is_array()) {
    if (json.empty()) out << YAML::Flow;
    out << (json.is_object() ? YAML::BeginMap : YAML::BeginSeq);
    for (auto entry = json.begin(); entry != json.end(); ++entry) {
      if (json.is_object()) out << YAML::Key << entry.key() << YAML::Value;
      Emit(out, entry.value());
    }
    out << (json.is_object() ? YAML::EndMap : YAML::EndSeq);
    out << YAML::Auto;
  } else if (json.is_string()) {
    // Quoted: "60s" and "true" stay text in every reader of YAML.
    out << YAML::DoubleQuoted << json.get_ref<const std::string&>();
  } else if (json.is_null()) {
    out << YAML::Null;
  } else if (json.is_boolean()) {
    out << json.get<bool>();
  } else {
    out << json.dump();
  }
}

// "json", "yaml", or "line" for JSON in one line; a newline at its end.
std::string Written(const Json& json, std::string_view format) {
  if (format == "yaml") {
    YAML::Emitter out;
    Emit(out, json);
    return std::string(out.c_str()) + '\n';
  }
  constexpr int kIndent = 2;
  constexpr int kOneLine = -1;
  return json.dump(format == "line" ? kOneLine : kIndent, ' ', false,
                   Json::error_handler_t::replace) +
         '\n';
}

}  // namespace

Result<StatusView> StatusOf(std::string_view answer) {
  return Parsed<StatusView>(answer, "groups", [](const Json& json) {
    return StatusView{.version = Text(json, "version"),
                      .groups = ListOf(json, "groups", &Group),
                      .workers = ListOf(json, "workers", &Worker),
                      .datasets = ListOf(json, "datasets", &Dataset),
                      .loads = ListOf(json, "loads", &Load)};
  });
}

Result<DatasetView> DatasetOf(std::string_view answer) {
  return Parsed<DatasetView>(answer, "name", &Dataset);
}

Result<std::vector<DatasetView>> DatasetsOf(std::string_view answer) {
  return Parsed<std::vector<DatasetView>>(
      answer, "datasets", [](const Json& json) { return ListOf(json, "datasets", &Dataset); });
}

Result<LoadView> LoadOf(std::string_view answer) {
  return Parsed<LoadView>(answer, "id", &Load);
}

Result<std::vector<LoadView>> LoadsOf(std::string_view answer) {
  return Parsed<std::vector<LoadView>>(
      answer, "loads", [](const Json& json) { return ListOf(json, "loads", &Load); });
}

Result<EventsView> EventsOf(std::string_view answer) {
  return Parsed<EventsView>(answer, "events", [](const Json& json) {
    return EventsView{.events = ListOf(json, "events", &Event),
                      .next = Count(json, "next").value_or(0)};
  });
}

Result<WaitView> WaitOf(std::string_view answer) {
  return Parsed<WaitView>(answer, "reached", [](const Json& json) {
    const Json* reached = Find(json, "reached");
    return WaitView{.reached = reached->is_boolean() && reached->get<bool>(),
                    .cached_ratio = Ratio(json, "cachedRatio"),
                    .ready = Count(json, "ready").value_or(0),
                    .reason = Text(json, "reason")};
  });
}

Result<ChangesView> ChangesOf(std::string_view answer) {
  return Parsed<ChangesView>(answer, "results", [](const Json& json) {
    return ChangesView{.results = ListOf(json, "results", &Change),
                       .warnings = ListOf(json, "warnings", &Warning)};
  });
}

Result<EvictedView> EvictedOf(std::string_view answer) {
  return Parsed<EvictedView>(answer, nullptr, [](const Json& json) {
    return EvictedView{.bytes = Count(json, "evictedBytes").value_or(0),
                       .files = Count(json, "evictedFiles").value_or(0),
                       .silent_workers = Strings(json, "silentWorkers")};
  });
}

Result<std::string> ResultOf(std::string_view answer) {
  return Parsed<std::string>(answer, "result",
                             [](const Json& json) { return Text(json, "result"); });
}

Result<std::string> Rendered(std::string_view answer, std::string_view format,
                             std::string_view key) {
  Json json = Json::parse(answer, nullptr, false);
  if (json.is_discarded()) return Garbage();
  if (!key.empty()) {
    const Json* member = Find(json, std::string(key).c_str());
    if (member == nullptr) return Garbage();
    json = Json(*member);
  }
  return Written(json, format);
}

Result<std::string> RenderedEach(std::string_view answer, std::string_view format,
                                 std::string_view key) {
  const Json json = Json::parse(answer, nullptr, false);
  const Json* list = Find(json, std::string(key).c_str());
  if (list == nullptr || !list->is_array()) return Garbage();
  std::string text;
  for (const Json& entry : *list) {
    text += format == "yaml" ? "---\n" + Written(entry, "yaml") : Written(entry, "line");
  }
  return text;
}

struct RequestBody::State {
  Json json = Json::object();
};

RequestBody::RequestBody() : state_(std::make_unique<State>()) {}
RequestBody::~RequestBody() = default;

void RequestBody::Set(const std::string& key, const std::string& value) {
  state_->json[key] = value;
}
void RequestBody::Set(const std::string& key, std::uint64_t value) {
  state_->json[key] = value;
}
void RequestBody::Set(const std::string& key, bool value) {
  state_->json[key] = value;
}
void RequestBody::Set(const std::string& key, const std::vector<std::string>& value) {
  state_->json[key] = value;
}

void RequestBody::AddMount(const MountView& mount,
                           const std::map<std::string, std::string>& options,
                           const std::map<std::string, Secret>& secrets) {
  Json revealed = Json::object();
  for (const auto& [key, secret] : secrets) revealed[key] = secret.Reveal();
  state_->json["mounts"].push_back({{"path", mount.path},
                                    {"url", mount.url},
                                    {"options", options},
                                    {"secrets", std::move(revealed)}});
}

std::string RequestBody::Text() const {
  return state_->json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace forebay
