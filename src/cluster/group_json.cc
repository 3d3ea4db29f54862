#include "cluster/group_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

namespace forebay {
namespace {

using Json = nlohmann::json;

constexpr int kDepthMax = 16;
constexpr std::size_t kTextBytesMax = 4096;
constexpr std::size_t kDatasetsMax = 100'000;
constexpr std::size_t kMountsMax = 256;
constexpr std::size_t kOptionsMax = 64;
constexpr std::uint32_t kBlockBytesMin = 64u << 10;
constexpr std::uint32_t kBlockBytesMax = 64u << 20;
constexpr std::string_view kDatasetScheme = "dataset:";

Error Wrong(const std::string& field, const std::string& remedy) {
  return {Code::kInvalidArgument, field + ": " + remedy};
}

// Nothing of ours is deeper, and a parser that recurses has a stack that ends.
bool TooDeep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted) {
      if (text[i] == '\\') ++i;
      if (i < text.size() && text[i] == '"') quoted = false;
    } else if (text[i] == '"') {
      quoted = true;
    } else if (text[i] == '{' || text[i] == '[') {
      if (++depth > kDepthMax) return true;
    } else if (text[i] == '}' || text[i] == ']') {
      --depth;
    }
  }
  return false;
}

// Reads the fields of an object, and remembers the first that is wrong. A field that is absent
// leaves what is there: an older sender does not know it.
class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) Fail("", "not an object");
  }

  void Text(const char* name, std::string& value) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_string()) return Fail(name, "not a text");
    value = field->get_ref<const std::string&>();
    if (value.size() > kTextBytesMax) Fail(name, "longer than 4096 bytes");
  }

  template <typename T>
  void Number(const char* name, T& value, T least, T most) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_number_unsigned()) return Fail(name, "not a whole number");
    const auto number = field->get<std::uint64_t>();
    if (number < least || number > most) {
      return Fail(name, fmt::format("{} is not from {} to {}", number, least, most));
    }
    value = static_cast<T>(number);
  }
  void Number(const char* name, std::uint64_t& value) {
    Number<std::uint64_t>(name, value, 0, UINT64_MAX);
  }

  // A number beyond 2^53, as decimal digits.
  void Big(const char* name, std::uint64_t& value) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_string()) return Fail(name, "not a number in quotes");
    const auto& text = field->get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) {
      Fail(name, "not a number in quotes");
    }
  }

  void Switch(const char* name, bool& value) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_boolean()) return Fail(name, "not true or false");
    value = field->get<bool>();
  }

  void Uid(const char* name, DatasetUid& uid) {
    std::string text;
    Text(name, text);
    const std::optional<DatasetUid> parsed = ParseDatasetUid(text);
    if (!parsed) return Fail(name, "not 32 hexadecimal digits");
    uid = *parsed;
  }

  // Calls `take(element, where)` for each element of an array; it returns a Status.
  template <typename Take>
  void Each(const char* name, std::size_t most, Take take) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_array()) return Fail(name, "not a list");
    if (field->size() > most) return Fail(name, fmt::format("more than {}", most));
    for (std::size_t i = 0; i < field->size() && status_.ok(); ++i) {
      status_ = take((*field)[i], fmt::format("{}.{}[{}]", where_, name, i));
    }
  }

  // Calls `take(key, text)` for each entry of a map of texts.
  template <typename Take>
  void Texts(const char* name, Take take) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_object() || field->size() > kOptionsMax) return Fail(name, "not a small map");
    for (auto entry = field->begin(); entry != field->end(); ++entry) {
      const auto* text = entry->get_ptr<const std::string*>();
      // What is wrong is not repeated: it may be a secret.
      if (text == nullptr || text->size() > kTextBytesMax) {
        return Fail(name, "a value is not a text of at most 4096 bytes");
      }
      take(entry.key(), *text);
    }
  }

  template <typename T, typename Take>
  void Optional(const char* name, std::optional<T>& value, Take take) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    Result<T> taken = take(*field, where_ + '.' + name);
    if (taken.ok()) {
      value = std::move(taken).value();
    } else {
      status_ = std::move(taken).error();
    }
  }

  void Fail(const std::string& name, const std::string& remedy) {
    if (status_.ok()) status_ = Wrong(name.empty() ? where_ : where_ + '.' + name, remedy);
  }

  const Status& status() const { return status_; }

 private:
  const Json* Find(const char* name) const {
    if (!status_.ok()) return nullptr;
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  const Json& json_;
  const std::string where_;
  Status status_;
};

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json RingJson(const MapRing& ring) {
  Json members = Json::array();
  for (const RingMember& member : ring.members) {
    members.push_back({{"name", member.name}, {"weight", member.weight}});
  }
  return {{"epoch", std::to_string(ring.epoch)}, {"members", std::move(members)}};
}

Json MapJson(const GroupMap& map) {
  Json members = Json::array();
  for (const MapMember& member : map.members) {
    members.push_back(
        {{"name", member.name}, {"address", member.address}, {"masked", member.masked}});
  }
  Json json = {{"epoch", std::to_string(map.epoch)},
               {"members", std::move(members)},
               {"ring", RingJson(map.ring)}};
  if (map.previous) json["previous"] = RingJson(*map.previous);
  return json;
}

Json DatasetJson(const DatasetEntry& dataset, WithSecrets secrets) {
  Json mounts = Json::array();
  for (const DatasetMount& mount : dataset.mounts) {
    Json json = {{"path", mount.path}, {"url", mount.url}, {"options", mount.options}};
    if (secrets == WithSecrets::kYes && !mount.secrets.empty()) {
      for (const auto& [name, secret] : mount.secrets) json["secrets"][name] = secret.Reveal();
    }
    mounts.push_back(std::move(json));
  }
  return {{"uid", dataset.uid.value.Hex()},
          {"name", dataset.name},
          {"namespace", dataset.name_space},
          {"generation", dataset.generation},
          {"mounts", std::move(mounts)},
          {"stalenessMs", std::max<std::int64_t>(dataset.staleness.count(), 0)},
          {"pinned", dataset.pinned},
          {"refreshed", dataset.refreshed},
          {"blockBytes", dataset.block_bytes},
          {"replicas", dataset.replicas}};
}

// As text, one after the other: ten thousand as one tree take 100 MB, which the heap keeps.
std::string DatasetsText(const std::vector<DatasetEntry>& datasets, WithSecrets secrets) {
  std::string text = "[";
  for (const DatasetEntry& dataset : datasets) {
    if (text.size() > 1) text += ',';
    text += Dump(DatasetJson(dataset, secrets));
  }
  return text + ']';
}

Json FiguresJson(const DatasetFigures& figures) {
  return {{"uid", figures.uid.value.Hex()},
          {"bytes", figures.bytes},
          {"blocks", figures.blocks},
          {"changes", figures.changes},
          {"hits", figures.hits},
          {"misses", figures.misses},
          {"upstreamRequests", figures.upstream_requests},
          {"upstreamBytes", figures.upstream_bytes},
          {"upstreamErrors", figures.upstream_errors}};
}

Result<MapRing> TakeRing(const Json& json, const std::string& where) {
  MapRing ring;
  Fields fields(json, where);
  fields.Big("epoch", ring.epoch);
  fields.Each("members", Ring::kMembersMax, [&ring](const Json& element, const std::string& at) {
    RingMember member;
    Fields of(element, at);
    of.Text("name", member.name);
    of.Number("weight", member.weight, 1u, Ring::kWeightMax);
    ring.members.push_back(std::move(member));
    return of.status();
  });
  if (!fields.status().ok()) return fields.status().error();
  return ring;
}

Result<GroupMap> TakeMap(const Json& json, const std::string& where) {
  GroupMap map;
  std::optional<MapRing> ring;
  Fields fields(json, where);
  fields.Big("epoch", map.epoch);
  fields.Optional("ring", ring, TakeRing);
  fields.Optional("previous", map.previous, TakeRing);
  fields.Each("members", 2 * Ring::kMembersMax, [&map](const Json& element, const std::string& at) {
    MapMember member;
    Fields of(element, at);
    of.Text("name", member.name);
    of.Text("address", member.address);
    of.Switch("masked", member.masked);
    map.members.push_back(std::move(member));
    return of.status();
  });
  if (!fields.status().ok()) return fields.status().error();
  if (ring) map.ring = std::move(*ring);
  const Result<Placement> placement = MakePlacement(map);
  if (!placement.ok()) return Error(placement.error()).Within(where);
  return map;
}

Result<DatasetMount> TakeMount(const Json& json, const std::string& where) {
  DatasetMount mount;
  Fields fields(json, where);
  fields.Text("path", mount.path);
  fields.Text("url", mount.url);
  fields.Texts("options", [&mount](const std::string& name, const std::string& value) {
    mount.options[name] = value;
  });
  fields.Texts("secrets", [&mount](const std::string& name, const std::string& value) {
    mount.secrets[name] = Secret(value);
  });
  if (!fields.status().ok()) return fields.status().error();
  return mount;
}

Result<DatasetEntry> TakeDataset(const Json& json, const std::string& where) {
  constexpr std::uint64_t kStalenessMax = std::uint64_t{1} << 50;
  DatasetEntry dataset;
  std::uint64_t staleness = static_cast<std::uint64_t>(dataset.staleness.count());
  Fields fields(json, where);
  fields.Uid("uid", dataset.uid);
  fields.Text("name", dataset.name);
  fields.Text("namespace", dataset.name_space);
  fields.Number("generation", dataset.generation);
  fields.Each("mounts", kMountsMax, [&dataset](const Json& element, const std::string& at) {
    Result<DatasetMount> mount = TakeMount(element, at);
    if (!mount.ok()) return Status(std::move(mount).error());
    dataset.mounts.push_back(std::move(mount).value());
    return Status();
  });
  fields.Number<std::uint64_t>("stalenessMs", staleness, 0, kStalenessMax);
  fields.Switch("pinned", dataset.pinned);
  fields.Number("refreshed", dataset.refreshed);
  fields.Number("blockBytes", dataset.block_bytes, kBlockBytesMin, kBlockBytesMax);
  fields.Number("replicas", dataset.replicas, 1u, static_cast<std::uint32_t>(Ring::kHoldersMax));
  if ((dataset.block_bytes & (dataset.block_bytes - 1)) != 0) {
    fields.Fail("blockBytes", "not a power of two");
  }
  if (!fields.status().ok()) return fields.status().error();
  dataset.staleness = std::chrono::milliseconds(staleness);
  return dataset;
}

void TakeDatasets(Fields& fields, std::vector<DatasetEntry>& datasets) {
  fields.Each("datasets", kDatasetsMax, [&datasets](const Json& element, const std::string& at) {
    Result<DatasetEntry> dataset = TakeDataset(element, at);
    if (!dataset.ok()) return Status(std::move(dataset).error());
    datasets.push_back(std::move(dataset).value());
    return Status();
  });
}

Status TakeFigures(const Json& json, const std::string& where, DatasetFigures& figures) {
  Fields fields(json, where);
  fields.Uid("uid", figures.uid);
  fields.Number("bytes", figures.bytes);
  fields.Number("blocks", figures.blocks);
  fields.Number("changes", figures.changes);
  fields.Number("hits", figures.hits);
  fields.Number("misses", figures.misses);
  fields.Number("upstreamRequests", figures.upstream_requests);
  fields.Number("upstreamBytes", figures.upstream_bytes);
  fields.Number("upstreamErrors", figures.upstream_errors);
  return fields.status();
}

Result<Heartbeat> TakeHeartbeat(const Json& json, const std::string& where) {
  Heartbeat beat;
  Fields fields(json, where);
  fields.Text("name", beat.name);
  fields.Text("instance", beat.instance);
  fields.Text("address", beat.address);
  fields.Number("weight", beat.weight, 1u, Ring::kWeightMax);
  fields.Text("role", beat.role);
  fields.Number("pid", beat.pid);
  fields.Text("startedAt", beat.started_at);
  fields.Big("knownEpoch", beat.known_epoch);
  fields.Number("knownDatasets", beat.known_datasets);
  fields.Optional("map", beat.map, TakeMap);
  fields.Switch("leaving", beat.leaving);
  fields.Number("capacityBytes", beat.capacity_bytes);
  fields.Number("usedBytes", beat.used_bytes);
  fields.Number("blocks", beat.blocks);
  fields.Each("datasets", kDatasetsMax, [&beat](const Json& element, const std::string& at) {
    return TakeFigures(element, at, beat.datasets.emplace_back());
  });
  if (beat.name.empty()) fields.Fail("name", "missing");
  if (beat.address.empty()) fields.Fail("address", "missing");
  if (beat.instance.empty()) fields.Fail("instance", "missing");
  if (!fields.status().ok()) return fields.status().error();
  return beat;
}

Result<HeartbeatAnswer> TakeAnswer(const Json& json, const std::string& where) {
  HeartbeatAnswer answer;
  Fields fields(json, where);
  fields.Switch("learning", answer.learning);
  fields.Optional("map", answer.map, TakeMap);
  fields.Number("datasetsGeneration", answer.datasets_generation);
  TakeDatasets(fields, answer.datasets);
  fields.Each("deleted", kDatasetsMax, [&answer](const Json& element, const std::string& at) {
    const std::optional<DatasetUid> uid =
        element.is_string() ? ParseDatasetUid(element.get_ref<const std::string&>()) : std::nullopt;
    if (!uid) return Status(Wrong(at, "not 32 hexadecimal digits"));
    answer.deleted.push_back(*uid);
    return Status();
  });
  fields.Switch("full", answer.full);
  if (!fields.status().ok()) return fields.status().error();
  return answer;
}

Result<GroupAnswer> TakeGroup(const Json& json, const std::string& where) {
  std::optional<GroupMap> map;
  GroupAnswer answer;
  Fields fields(json, where);
  fields.Optional("map", map, TakeMap);
  fields.Optional("dataset", answer.dataset, TakeDataset);
  if (!map) fields.Fail("map", "missing");
  if (!fields.status().ok()) return fields.status().error();
  answer.map = std::move(*map);
  return answer;
}

Result<GroupFile> TakeFile(const Json& json, const std::string& where) {
  std::optional<GroupMap> map;
  GroupFile file;
  Fields fields(json, where);
  fields.Optional("map", map, TakeMap);
  TakeDatasets(fields, file.datasets);
  if (!map) fields.Fail("map", "missing");
  if (!fields.status().ok()) return fields.status().error();
  file.map = std::move(*map);
  return file;
}

template <typename T>
Result<T> Parse(std::string_view text, const char* what,
                Result<T> (*take)(const Json&, const std::string&)) {
  if (text.size() > kGroupJsonBytesMax) {
    return Wrong(what, fmt::format("{} bytes; at most {}", text.size(), kGroupJsonBytesMax));
  }
  if (TooDeep(text)) return Wrong(what, "nested too deeply");
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Wrong(what, "not JSON");
  return take(json, what);
}

}  // namespace

std::string ToJson(const GroupMap& map) {
  return Dump(MapJson(map));
}

std::string ToJson(const DatasetEntry& dataset, WithSecrets secrets) {
  return Dump(DatasetJson(dataset, secrets));
}

std::string ToJson(const Heartbeat& heartbeat) {
  Json datasets = Json::array();
  for (const DatasetFigures& figures : heartbeat.datasets) datasets.push_back(FiguresJson(figures));
  Json json = {{"name", heartbeat.name},
               {"instance", heartbeat.instance},
               {"address", heartbeat.address},
               {"weight", heartbeat.weight},
               {"role", heartbeat.role},
               {"pid", heartbeat.pid},
               {"startedAt", heartbeat.started_at},
               {"knownEpoch", std::to_string(heartbeat.known_epoch)},
               {"knownDatasets", heartbeat.known_datasets},
               {"leaving", heartbeat.leaving},
               {"capacityBytes", heartbeat.capacity_bytes},
               {"usedBytes", heartbeat.used_bytes},
               {"blocks", heartbeat.blocks},
               {"datasets", std::move(datasets)}};
  if (heartbeat.map) json["map"] = MapJson(*heartbeat.map);
  return Dump(json);
}

std::string ToJson(const HeartbeatAnswer& answer, WithSecrets secrets) {
  Json deleted = Json::array();
  for (const DatasetUid& uid : answer.deleted) deleted.push_back(uid.value.Hex());
  Json json = {{"learning", answer.learning},
               {"datasetsGeneration", answer.datasets_generation},
               {"deleted", std::move(deleted)},
               {"full", answer.full}};
  if (answer.map) json["map"] = MapJson(*answer.map);
  std::string text = Dump(json);
  text.pop_back();
  return text + ",\"datasets\":" + DatasetsText(answer.datasets, secrets) + '}';
}

std::string GroupAnswerJson(const std::string& map, const DatasetEntry* dataset,
                            WithSecrets secrets) {
  if (dataset == nullptr) return "{\"map\":" + map + '}';
  return "{\"dataset\":" + ToJson(*dataset, secrets) + ",\"map\":" + map + '}';
}

std::string ToJson(const GroupAnswer& answer, WithSecrets secrets) {
  return GroupAnswerJson(ToJson(answer.map), answer.dataset ? &*answer.dataset : nullptr, secrets);
}

std::string ToJson(const GroupFile& file) {
  return "{\"datasets\":" + DatasetsText(file.datasets, WithSecrets::kNo) +
         ",\"map\":" + Dump(MapJson(file.map)) + '}';
}

Result<GroupMap> MapFromJson(std::string_view text) {
  return Parse(text, "map", TakeMap);
}
Result<DatasetEntry> DatasetFromJson(std::string_view text) {
  return Parse(text, "dataset", TakeDataset);
}
Result<Heartbeat> HeartbeatFromJson(std::string_view text) {
  return Parse(text, "heartbeat", TakeHeartbeat);
}
Result<HeartbeatAnswer> HeartbeatAnswerFromJson(std::string_view text) {
  return Parse(text, "answer", TakeAnswer);
}
Result<GroupAnswer> GroupAnswerFromJson(std::string_view text) {
  return Parse(text, "group", TakeGroup);
}
Result<GroupFile> GroupFileFromJson(std::string_view text) {
  return Parse(text, "group file", TakeFile);
}

std::optional<DatasetUid> ParseDatasetUid(std::string_view text) {
  constexpr int kHexadecimal = 16;
  DatasetUid uid;
  if (text.size() != 2 * uid.value.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < uid.value.bytes.size(); ++i) {
    const char* digits = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, uid.value.bytes[i], kHexadecimal);
    if (error != std::errc{} || end != digits + 2) return std::nullopt;
  }
  return uid;
}

std::string DatasetStore(DatasetUid uid) {
  return std::string(kDatasetScheme) + uid.value.Hex();
}

std::optional<DatasetUid> ParseDatasetStore(std::string_view store) {
  if (!store.starts_with(kDatasetScheme)) return std::nullopt;
  return ParseDatasetUid(store.substr(kDatasetScheme.size()));
}

}  // namespace forebay
