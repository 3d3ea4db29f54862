#include <fmt/format.h>

#include <charconv>

#include "base/units.h"
#include "spec/build.h"
#include "spec/meanings.h"
#include "spec/node.h"
#include "spec/quantity.h"

namespace forebay {
namespace {

using Level = Explanation::Level;

constexpr std::uint64_t kMib = 1u << 20;

void Warn(Explanation& row, std::string meaning, std::string remedy) {
  row.level = Level::kWarning;
  row.meaning = std::move(meaning);
  row.remedy = std::move(remedy);
}

std::string_view LastPart(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

void DescribeQuota(const RuntimeSpec& spec, const TierLevel& level, Explanation& row) {
  if (level.medium != "MEM") {
    row.level = Level::kUnsupported;
    row.meaning = "a quota on disk; there is no disk tier yet, so it holds nothing";
    row.remedy = "give the bytes to a MEM level";
    return;
  }
  if (IsQuotaInMib(spec.kind, row.value)) {
    Warn(row,
         fmt::format("{} without a unit is MiB in a JuiceFSRuntime, as its author meant it: {} a "
                     "worker",
                     row.value, FormatSize(level.quota_bytes)),
         fmt::format("write {}Mi, which means the same everywhere", row.value));
    return;
  }
  row.meaning = fmt::format("{} of memory a worker", FormatSize(level.quota_bytes));
  if (level.quota_bytes < DatasetSpec::kBlockBytesDefault) {
    Warn(row, row.meaning + ", less than one block", "write a unit, such as 40Gi");
  }
}

void DescribeMedium(const TierLevel& level, Explanation& row) {
  if (level.medium == "MEM") {
    row.meaning = "memory: a tmpfs";
    return;
  }
  row.level = Level::kUnsupported;
  row.meaning = "a disk; there is no disk tier yet, so this level holds nothing";
  row.remedy = "write MEM";
}

void DescribeWatermark(const RuntimeSpec& spec, Explanation& row) {
  if (spec.kind != "JuiceFSRuntime") return;
  if (row.path.ends_with(".low")) {
    Warn(row,
         "JuiceFS reads it as free-space-ratio: the part of the file system to leave free; here "
         "the quota is a hard limit on what a worker takes, so it has no effect",
         "leave it out, and choose the quota so that enough memory stays free");
  } else {
    Warn(row, "JuiceFS ignores it, and so does this: eviction begins at 98 % of the quota",
         "leave it out");
  }
}

// JuiceFS counts cache-size in MiB.
std::string SizeOfMib(const std::string& text) {
  std::uint64_t mib = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, mib);
  constexpr std::uint64_t kMibMax = 1ull << 40;
  if (error != std::errc{} || stop != end || mib > kMibMax) return text;
  return fmt::format("{} MiB = {}", mib, FormatSize(mib * kMib));
}

void DescribeOption(const RuntimeSpec& spec, Explanation& row) {
  const std::string_view name = LastPart(row.path);
  const std::string quota = spec.memory_bytes() == 0 ? std::string("the quota of `forebay up`")
                                                     : FormatSize(spec.memory_bytes());
  if (name == "cache-size") {
    Warn(row,
         fmt::format("{}; in JuiceFS it overrides the tier's quota, here the quota counts: {} a "
                     "worker",
                     SizeOfMib(row.value), quota),
         "leave it out, and set the quota of tieredstore.levels[0]");
  } else if (name == "free-space-ratio") {
    Warn(row,
         fmt::format("JuiceFS: the part of the file system to leave free; here a worker takes its "
                     "quota and never more: {}",
                     quota),
         "leave it out, and choose the quota so that enough memory stays free");
  } else if (name == "cache-group") {
    Warn(row,
         "JuiceFS: who shares a cache; here all clients and workers of a group share it, so there "
         "is nothing to join and it has no effect",
         "leave it out");
  } else if (name == "cache-dir") {
    Warn(row, "JuiceFS: where the cache is; without effect",
         "start a worker with --tier-dir DIR to have it elsewhere");
  } else {
    row.remedy = "leave it out";
  }
}

// The `up` that gives what the document asks for.
std::string UpCommand(const RuntimeSpec& spec) {
  std::string command = "forebay up";
  if (spec.replicas) command += fmt::format(" --workers {}", *spec.replicas);
  if (spec.memory_bytes() > 0) {
    command += fmt::format(" --memory-per-worker {}MiB", spec.memory_bytes() / kMib);
  }
  return command;
}

void DescribeReplicas(const RuntimeSpec& spec, Explanation& row) {
  if (!spec.replicas) return;
  Warn(row,
       *spec.replicas == 0
           ? std::string("no workers: every read goes to the store; on one machine `up` decides it")
           : fmt::format("{} worker{}; on one machine `up` decides how many, not this document",
                         *spec.replicas, *spec.replicas == 1 ? "" : "s"),
       UpCommand(spec));
}

const TierLevel* LevelAt(const RuntimeSpec& spec, const std::string& path) {
  for (const std::string_view list :
       {"spec.tieredstore.levels", "spec.worker.tieredStore.levels"}) {
    const std::size_t index = IndexIn(path, list);
    if (index < spec.levels.size()) return &spec.levels[index];
  }
  return nullptr;
}

bool IsOption(std::string_view path) {
  return path.find(".options.") != std::string_view::npos ||
         path.find(".properties.") != std::string_view::npos;
}

}  // namespace

void RefineRuntime(const RuntimeSpec& spec, Explanation& row) {
  const TierLevel* const level = LevelAt(spec, row.path);
  const bool is_cache = spec.kind == "CacheRuntime";
  if (row.path == (is_cache ? "spec.worker.replicas" : "spec.replicas")) {
    DescribeReplicas(spec, row);
  } else if (IsOption(row.path)) {
    DescribeOption(spec, row);
  } else if (level == nullptr) {
    return;
  } else if (row.path.ends_with(".mediumtype") || row.path.ends_with(".medium")) {
    DescribeMedium(*level, row);
  } else if (row.path.find(".quota") != std::string::npos) {
    DescribeQuota(spec, *level, row);
  } else if (row.path.ends_with(".path") && row.value.starts_with("/dev/shm")) {
    row.level = Level::kOk;
    row.meaning = "memory: a worker's tier is a tmpfs of its own, or lies in /dev/shm";
    row.remedy.clear();
  } else if (row.path.ends_with(".high") || row.path.ends_with(".low")) {
    DescribeWatermark(spec, row);
  }
}

std::vector<Explanation> RuntimeDefaults(const RuntimeSpec& spec, const std::string& where) {
  std::vector<Explanation> rows;
  const Node root = ParseJson(spec.written).value();  // We wrote it.
  if (root.At("metadata", "namespace") == nullptr) {
    rows.push_back({where, "metadata.namespace", spec.namespace_name, "default: none is written",
                    Level::kOk, ""});
  }
  if (!spec.replicas) {
    rows.push_back(
        {where, "spec.replicas", "", "default: as many workers as the group has", Level::kOk, ""});
  }
  if (spec.memory_bytes() == 0) {
    rows.push_back({where, "spec.tieredstore", "",
                    "default: no memory level with a quota, so a worker has the memory that "
                    "`forebay up --memory-per-worker` gives it",
                    Level::kOk, ""});
  }
  return rows;
}

}  // namespace forebay
