#include "control/dataset_table.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>

#include "base/check.h"
#include "base/wall_clock.h"
#include "control/files.h"
#include "control/json_text.h"

namespace forebay {
namespace {

using Json = nlohmann::json;

constexpr const char* kKind = "Dataset";
constexpr std::size_t kSecretsBytesMax = 1u << 20;

DatasetUid RandomUid() {
  Digest128 uid;
  CHECK(getrandom(uid.bytes.data(), uid.bytes.size(), 0) == static_cast<ssize_t>(uid.bytes.size()));
  return {uid};
}

// Whether paths and versions mean the same bytes under both.
bool SameBytes(const DatasetSpec& a, const DatasetSpec& b) {
  const auto same = [](const Mount& left, const Mount& right) {
    const auto endpoint = [](const Mount& mount) {
      const auto found = mount.options.find("endpoint");
      return found == mount.options.end() ? std::string() : found->second;
    };
    return left.path == right.path && left.url == right.url && endpoint(left) == endpoint(right);
  };
  return a.block_bytes == b.block_bytes && std::ranges::equal(a.mounts, b.mounts, same);
}

bool Same(const MountSecrets& a, const MountSecrets& b) {
  const auto same_option = [](const auto& left, const auto& right) {
    return left.first == right.first && left.second.Reveal() == right.second.Reveal();
  };
  const auto same_mount = [&](const auto& left, const auto& right) {
    return left.first == right.first && std::ranges::equal(left.second, right.second, same_option);
  };
  return std::ranges::equal(a, b, same_mount);
}

std::string Encode(const DatasetRecord& record) {
  return JsonText({{"uid", record.uid.value.Hex()},
                   {"refreshed", record.refreshed},
                   {"replicas", record.replicas},
                   {"changedAt", record.changed_at},
                   {"spec", Json::parse(ToJson(record.spec))}});
}

Result<MountSecrets> DecodeSecrets(const std::string& text, const std::string& path) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  MountSecrets secrets;
  try {
    for (const auto& [mount, options] : json.items()) {
      for (const auto& [option, value] : options.items()) {
        secrets[mount][option] = Secret(value.get<std::string>());
      }
    }
  } catch (const Json::exception&) {
    return Error(Code::kCorrupt, path + ": is not what Forebay wrote; give the secrets again");
  }
  return secrets;
}

StoredObject ObjectOf(const DatasetRecord& record) {
  return {.kind = kKind,
          .namespace_name = record.name.namespace_name,
          .name = record.name.name,
          .generation = 0,
          .json = Encode(record)};
}

// Makes a new record what becomes of `before`, or of nothing. `secrets`: nothing keeps its own.
DatasetChange Continue(DatasetRecord& record, const DatasetRecord* before,
                       const std::optional<MountSecrets>& secrets) {
  if (before == nullptr) {
    record.uid = RandomUid();
    record.secrets = secrets.value_or(MountSecrets());
    return DatasetChange::kCreated;
  }
  record.secrets = secrets.value_or(before->secrets);
  if (ToJson(before->spec) == ToJson(record.spec) && Same(before->secrets, record.secrets) &&
      Same(before->resolved, record.resolved)) {
    return DatasetChange::kUnchanged;
  }
  record.uid = SameBytes(before->spec, record.spec) ? before->uid : RandomUid();
  record.refreshed = before->refreshed;
  // What was known under the other rule is not to be used any more.
  const bool is_pinned = record.spec.staleness == DatasetSpec::kPinned;
  if (is_pinned != (before->spec.staleness == DatasetSpec::kPinned)) ++record.refreshed;
  record.replicas = before->replicas;
  return DatasetChange::kConfigured;
}

}  // namespace

DatasetEntry EntryOf(const DatasetRecord& record, WithSecrets secrets) {
  DatasetEntry entry;
  entry.uid = record.uid;
  entry.name = record.name.name;
  entry.name_space = record.name.namespace_name;
  entry.generation = record.generation;
  CHECK(record.spec.staleness.has_value());  // Validated gave it one.
  entry.pinned = *record.spec.staleness == DatasetSpec::kPinned;
  if (!entry.pinned) entry.staleness = *record.spec.staleness;
  entry.refreshed = record.refreshed;
  entry.block_bytes = record.spec.block_bytes;
  entry.replicas = record.replicas;
  for (const Mount& mount : record.spec.mounts) {
    DatasetMount told;
    told.path = mount.path;
    told.url = mount.url;
    told.options = mount.options;
    if (secrets == WithSecrets::kYes) {
      for (const MountSecrets* known : {&record.secrets, &record.resolved}) {
        const auto kept = known->find(mount.path);
        if (kept != known->end()) told.secrets.insert(kept->second.begin(), kept->second.end());
      }
    }
    entry.mounts.push_back(std::move(told));
  }
  return entry;
}

std::string_view ChangeName(DatasetChange change) {
  switch (change) {
    case DatasetChange::kCreated: return "created";
    case DatasetChange::kConfigured: return "configured";
    case DatasetChange::kUnchanged: return "unchanged";
  }
  return "unchanged";
}

Result<std::unique_ptr<DatasetTable>> DatasetTable::Open(
    Registry& registry, std::string secrets_directory,
    std::map<std::string, std::string> environment) {
  Status made = MakePrivateDirectory(secrets_directory);
  if (!made.ok()) return std::move(made).error();
  std::unique_ptr<DatasetTable> datasets(
      new DatasetTable(registry, std::move(secrets_directory), std::move(environment)));
  const Result<std::vector<StoredObject>> stored = registry.List(kKind);
  if (!stored.ok()) return stored.error();
  MutexLock lock(datasets->mutex_);
  for (const StoredObject& object : stored.value()) {
    Result<DatasetPointer> loaded = datasets->Load(object);
    if (!loaded.ok()) return std::move(loaded).error();
    const DatasetPointer record = std::move(loaded).value();
    datasets->by_uid_[record->uid] = record->name;
    datasets->by_generation_[record->generation] = record->name;
    datasets->generation_ = std::max(datasets->generation_, record->generation);
    datasets->datasets_[record->name] = record;
  }
  // What was deleted before is not known any more, so everybody is told all once.
  const Result<std::uint64_t> newest = registry.Generation();
  if (!newest.ok()) return newest.error();
  datasets->RemoveLeftSecrets();
  datasets->generation_ = newest.value();
  datasets->full_before_ = newest.value();
  return datasets;
}

// Of datasets that were deleted right before a crash.
void DatasetTable::RemoveLeftSecrets() {
  std::set<std::string> wanted;
  for (const auto& [name, record] : datasets_) wanted.insert(SecretsFile(name));
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(secrets_directory_, ignored)) {
    if (!wanted.contains(entry.path().string())) unlink(entry.path().c_str());
  }
}

Result<DatasetPointer> DatasetTable::Load(const StoredObject& object) const {
  const std::string where = fmt::format("stored dataset {}.{}", object.name, object.namespace_name);
  const Json json = Json::parse(object.json, nullptr, /*allow_exceptions=*/false);
  auto record = std::make_shared<DatasetRecord>();
  record->name = {object.namespace_name, object.name};
  record->generation = object.generation;
  std::string spec;
  try {
    const std::optional<DatasetUid> uid = ParseDatasetUid(json.at("uid").get<std::string>());
    if (!uid) return Error(Code::kCorrupt, where + ": its uid is none");
    record->uid = *uid;
    record->refreshed = json.at("refreshed");
    record->replicas = json.at("replicas");
    record->changed_at = json.at("changedAt");
    spec = json.at("spec").dump();
  } catch (const Json::exception& error) {
    return Error(Code::kCorrupt, fmt::format("{}: {}", where, error.what()));
  }
  Result<DatasetSpec> decoded = DatasetFromJson(spec);
  if (!decoded.ok()) return std::move(decoded).error().Within(where);
  record->spec = std::move(decoded).value();
  const std::string file = SecretsFile(record->name);
  Result<std::string> text = ReadFile(file, kSecretsBytesMax);
  if (text.ok()) {
    Result<MountSecrets> secrets = DecodeSecrets(text.value(), file);
    if (!secrets.ok()) return std::move(secrets).error();
    record->secrets = std::move(secrets).value();
  } else if (text.error().code() != Code::kNotFound) {
    return std::move(text).error().Within(where);
  }
  Bind(*record);
  return DatasetPointer(std::move(record));
}

void DatasetTable::Bind(DatasetRecord& record) const {
  record.resolved.clear();
  record.not_bound = NotBound(record.spec);
  if (record.not_bound) return;
  for (const Mount& mount : record.spec.mounts) {
    for (const SecretRef& secret : mount.secrets) {
      Result<std::string> value = Resolve(record, secret.source);
      if (!value.ok()) {
        record.not_bound = {"SecretNotFound", fmt::format("mount {}: {}: {}", mount.path,
                                                          secret.option, value.error().message())};
        return;
      }
      record.resolved[mount.path][secret.option] = Secret(std::move(value).value());
    }
  }
}

Result<std::string> DatasetTable::Resolve(const DatasetRecord& record,
                                          const std::string& source) const {
  const std::size_t colon = source.find(':');
  const std::string kind = source.substr(0, colon);
  const std::string name = colon == std::string::npos ? "" : source.substr(colon + 1);
  if (kind == "env") {
    const auto found = environment_.find(name);
    if (found != environment_.end()) return found->second;
    return Error(Code::kNotFound,
                 fmt::format("{}: control's environment has no such variable; set it and restart "
                             "control, or refer to a file",
                             source));
  }
  const bool kubernetes = kind == "secret";
  const std::string path =
      kubernetes ? fmt::format("{}/{}/{}", secrets_directory_, record.name.namespace_name, name)
                 : name;
  Result<std::string> text = ReadFile(path, kSecretsBytesMax);
  if (text.ok()) {
    while (text.value().ends_with('\n')) text.value().pop_back();
    return text;
  }
  return Error(Code::kNotFound,
               fmt::format("{}: {}write its value to {} (mode 0600) and `forebay apply` again",
                           source, kubernetes ? "there is no Kubernetes here; " : "", path));
}

std::string DatasetTable::SecretsFile(const DatasetKey& name) const {
  return fmt::format("{}/{}.{}.json", secrets_directory_, name.name, name.namespace_name);
}

Status DatasetTable::StoreSecrets(const DatasetRecord& record) const {
  const std::string file = SecretsFile(record.name);
  if (record.secrets.empty()) {
    unlink(file.c_str());
    return {};
  }
  Json json = Json::object();
  for (const auto& [mount, options] : record.secrets) {
    for (const auto& [option, value] : options) json[mount][option] = value.Reveal();
  }
  return ReplaceFile(file, json.dump());
}

Status DatasetTable::Store(DatasetRecord record) {
  const Result<std::uint64_t> stored = registry_.Put(ObjectOf(record), std::nullopt);
  if (!stored.ok()) return stored.error();
  Keep(std::move(record), stored.value());
  return {};
}

// It is stored.
void DatasetTable::Keep(DatasetRecord record, std::uint64_t generation) {
  const auto before = datasets_.find(record.name);
  if (before != datasets_.end()) {
    by_generation_.erase(before->second->generation);
    if (before->second->uid != record.uid) Forget(*before->second, generation);
  }
  record.generation = generation;
  generation_ = std::max(generation_, generation);
  by_uid_[record.uid] = record.name;
  by_generation_[record.generation] = record.name;
  const DatasetKey name = record.name;
  datasets_[name] = std::make_shared<const DatasetRecord>(std::move(record));
}

void DatasetTable::Forget(const DatasetRecord& record, std::uint64_t generation) {
  by_uid_.erase(record.uid);
  deleted_.emplace_back(generation, record.uid);
  if (deleted_.size() > kDeletedMax) {
    full_before_ = deleted_.front().first;
    deleted_.pop_front();
  }
}

Result<DatasetRecord> DatasetTable::RecordOf(DatasetSpec spec) const {
  Result<DatasetSpec> valid = Validated(std::move(spec));
  if (!valid.ok()) return std::move(valid).error();
  DatasetRecord record;
  record.spec = std::move(valid).value();
  record.name = {record.spec.namespace_name, record.spec.name};
  Bind(record);
  record.changed_at = Rfc3339(WallClockNanoseconds());
  return record;
}

Result<std::vector<DatasetChange>> DatasetTable::PutAll(std::vector<DatasetSpec> specs,
                                                        std::vector<StoredObject> others) {
  std::vector<DatasetRecord> records;
  for (DatasetSpec& spec : specs) {
    Result<DatasetRecord> record = RecordOf(std::move(spec));
    if (!record.ok()) return std::move(record).error();
    records.push_back(std::move(record).value());
  }
  MutexLock lock(mutex_);
  std::vector<DatasetChange> changes;
  std::vector<StoredObject> objects;
  for (DatasetRecord& record : records) {
    const auto found = datasets_.find(record.name);
    changes.push_back(
        Continue(record, found == datasets_.end() ? nullptr : found->second.get(), std::nullopt));
    if (changes.back() != DatasetChange::kUnchanged) objects.push_back(ObjectOf(record));
  }
  std::ranges::move(others, std::back_inserter(objects));
  if (objects.empty()) return changes;
  const Result<std::vector<std::uint64_t>> generations = registry_.PutAll(objects);
  if (!generations.ok()) return generations.error();
  auto generation = generations.value().begin();
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (changes[i] != DatasetChange::kUnchanged) Keep(std::move(records[i]), *generation++);
  }
  return changes;
}

Result<DatasetChange> DatasetTable::Put(DatasetSpec spec,
                                        const std::optional<MountSecrets>& secrets) {
  Result<DatasetRecord> made = RecordOf(std::move(spec));
  if (!made.ok()) return std::move(made).error();
  DatasetRecord record = std::move(made).value();
  MutexLock lock(mutex_);
  const auto found = datasets_.find(record.name);
  const DatasetChange change =
      Continue(record, found == datasets_.end() ? nullptr : found->second.get(), secrets);
  if (change == DatasetChange::kUnchanged) return change;
  // Secrets first: a dataset must not be seen without them. If its row then cannot be written, the
  // file belongs to nothing, and is replaced by the next try.
  Status kept = StoreSecrets(record);
  if (!kept.ok()) return std::move(kept).error();
  Status stored = Store(std::move(record));
  if (!stored.ok()) return std::move(stored).error();
  return change;
}

Status DatasetTable::Delete(const DatasetKey& name) {
  MutexLock lock(mutex_);
  const auto found = datasets_.find(name);
  if (found == datasets_.end()) {
    return Error(Code::kNotFound, fmt::format("dataset {}.{}: there is none; `forebay datasets` "
                                              "lists them",
                                              name.name, name.namespace_name));
  }
  const Result<std::uint64_t> deleted =
      registry_.Delete(kKind, name.namespace_name, name.name, std::nullopt);
  if (!deleted.ok()) return deleted.error();
  unlink(SecretsFile(name).c_str());
  by_generation_.erase(found->second->generation);
  Forget(*found->second, deleted.value());
  generation_ = deleted.value();
  datasets_.erase(found);
  return {};
}

Status DatasetTable::Refresh(const DatasetKey& name) {
  MutexLock lock(mutex_);
  const auto found = datasets_.find(name);
  if (found == datasets_.end()) {
    return Error(Code::kNotFound,
                 fmt::format("dataset {}.{}: there is none", name.name, name.namespace_name));
  }
  DatasetRecord record = *found->second;
  ++record.refreshed;
  return Store(std::move(record));
}

Status DatasetTable::RefreshFrom(DatasetUid uid, std::uint64_t refreshed) {
  MutexLock lock(mutex_);
  const auto found = by_uid_.find(uid);
  if (found == by_uid_.end()) return Error(Code::kNotFound, "the dataset was deleted");
  DatasetRecord record = *datasets_.at(found->second);
  if (record.refreshed != refreshed) {
    return Error(Code::kUnavailable, "the dataset was changed meanwhile");
  }
  ++record.refreshed;
  return Store(std::move(record));
}

Status DatasetTable::RaiseReplicas(const DatasetKey& name, std::uint32_t replicas) {
  MutexLock lock(mutex_);
  const auto found = datasets_.find(name);
  if (found == datasets_.end() || found->second->replicas >= replicas) return {};
  DatasetRecord record = *found->second;
  record.replicas = replicas;
  return Store(std::move(record));
}

DatasetPointer DatasetTable::Find(const DatasetKey& name) const {
  MutexLock lock(mutex_);
  const auto found = datasets_.find(name);
  return found == datasets_.end() ? nullptr : found->second;
}

DatasetPointer DatasetTable::FindUid(DatasetUid uid) const {
  MutexLock lock(mutex_);
  const auto found = by_uid_.find(uid);
  if (found == by_uid_.end()) return nullptr;
  const auto record = datasets_.find(found->second);
  return record == datasets_.end() ? nullptr : record->second;
}

std::vector<DatasetPointer> DatasetTable::All() const {
  MutexLock lock(mutex_);
  std::vector<DatasetPointer> all;
  for (const auto& [name, record] : datasets_) all.push_back(record);
  return all;
}

DatasetTable::Changes DatasetTable::Since(std::uint64_t generation) const {
  MutexLock lock(mutex_);
  Changes changes;
  changes.generation = generation_;
  changes.full = generation < full_before_ || generation > generation_;
  const std::uint64_t from = changes.full ? 0 : generation;
  for (auto at = by_generation_.upper_bound(from); at != by_generation_.end(); ++at) {
    changes.datasets.push_back(datasets_.at(at->second));
  }
  if (!changes.full) {
    for (const auto& [when, uid] : deleted_) {
      if (when > generation) changes.deleted.push_back(uid);
    }
  }
  return changes;
}

}  // namespace forebay
