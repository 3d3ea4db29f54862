// The group's documents, as control, workers and clients say them to each other: structs, and JSON.
//
// Tables: docs/formats/group.md. Fields that are not known are ignored. Whatever comes from another
// process is bounded before anything is made of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/ids.h"
#include "core/membership.h"

namespace forebay {

// Of one document. A map of Ring::kMembersMax members and 10,000 datasets fit.
inline constexpr std::size_t kGroupJsonBytesMax = 16u << 20;

// A store, or a part of one, at a place in a dataset's tree.
struct DatasetMount {
  std::string path = "/";
  std::string url;  // As ParseLocation takes it.
  std::map<std::string, std::string> options;
  std::map<std::string, Secret> secrets;  // By option, such as "secret-access-key".
};

struct DatasetEntry {
  DatasetUid uid;  // Random, given when it is created.
  std::string name;
  std::string name_space;
  std::uint64_t generation = 0;  // Grows with every change of anything stored.
  std::vector<DatasetMount> mounts;
  std::chrono::milliseconds staleness{60'000};
  bool pinned = false;  // What is known stays true until a refresh.
  std::uint64_t refreshed = 0;
  std::uint32_t block_bytes = 4u << 20;  // A power of two, 64 KiB to 64 MiB.
  std::uint32_t replicas = 1;            // Holders that every file has at least.
};

// Of one dataset at one worker: bytes and blocks are held now, the others totals since its start.
struct DatasetFigures {
  DatasetUid uid;
  std::uint64_t bytes = 0;
  std::uint64_t blocks = 0;
  std::uint64_t changes = 0;  // Blocks that came or went.
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t upstream_requests = 0;
  std::uint64_t upstream_bytes = 0;
  std::uint64_t upstream_errors = 0;
  bool operator==(const DatasetFigures&) const = default;
};

struct Heartbeat {
  std::string name;
  std::string instance;  // 16 hexadecimal digits, random, one a process.
  std::string address;
  std::uint32_t weight = 1;
  std::string role = "ring";
  std::uint64_t pid = 0;
  std::string started_at;  // RFC 3339.
  std::uint64_t known_epoch = 0;
  std::uint64_t known_datasets = 0;  // The generation up to which all datasets are known.
  std::optional<GroupMap> map;       // Only after an answer with `learning`.
  bool leaving = false;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t blocks = 0;
  std::vector<DatasetFigures> datasets;  // Of those that changed since the last answered one.
};

struct HeartbeatAnswer {
  bool learning = false;
  std::optional<GroupMap> map;  // If the worker's is another one.
  std::uint64_t datasets_generation = 0;
  std::vector<DatasetEntry> datasets;  // Changed since the worker's generation.
  std::vector<DatasetUid> deleted;
  bool full = false;  // `datasets` are all there are.
};

// What GET /internal/v1/group and a worker's GroupReply say.
struct GroupAnswer {
  GroupMap map;
  std::optional<DatasetEntry> dataset;
};

// STATE/group.json.
struct GroupFile {
  GroupMap map;
  std::vector<DatasetEntry> datasets;
};

// Secrets go over control's unix socket only.
enum class WithSecrets : std::uint8_t { kNo, kYes };

std::string ToJson(const GroupMap& map);
std::string ToJson(const DatasetEntry& dataset, WithSecrets secrets);
std::string ToJson(const Heartbeat& heartbeat);
std::string ToJson(const HeartbeatAnswer& answer, WithSecrets secrets);
std::string ToJson(const GroupAnswer& answer, WithSecrets secrets);
std::string ToJson(const GroupFile& file);
// As ToJson of a GroupAnswer, with a map that was encoded before. Null: no dataset.
std::string GroupAnswerJson(const std::string& map, const DatasetEntry* dataset,
                            WithSecrets secrets);

// Errors of all: kInvalidArgument, naming the field and what would do. A map that decodes has a
// placement.
Result<GroupMap> MapFromJson(std::string_view text);
Result<DatasetEntry> DatasetFromJson(std::string_view text);
Result<Heartbeat> HeartbeatFromJson(std::string_view text);
Result<HeartbeatAnswer> HeartbeatAnswerFromJson(std::string_view text);
Result<GroupAnswer> GroupAnswerFromJson(std::string_view text);
Result<GroupFile> GroupFileFromJson(std::string_view text);

// 32 hexadecimal digits. Nothing: it is none.
std::optional<DatasetUid> ParseDatasetUid(std::string_view text);

// The store of a dataset on the wire: "dataset:UID", and back.
std::string DatasetStore(DatasetUid uid);
std::optional<DatasetUid> ParseDatasetStore(std::string_view store);

}  // namespace forebay
