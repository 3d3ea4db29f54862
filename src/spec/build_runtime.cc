#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/units.h"
#include "spec/build.h"
#include "spec/fields.h"
#include "spec/quantity.h"

namespace forebay {
namespace {

constexpr std::uint64_t kMib = 1u << 20;
constexpr std::uint32_t kReplicasMax = 4096;  // As many members as a ring has.

std::string TextOf(const Node* node) {
  return node == nullptr ? "" : node->text;
}

Result<std::uint64_t> QuotaBytes(const std::string& kind, const std::string& text) {
  Result<std::uint64_t> bytes = ParseQuantity(text);
  if (bytes.ok() && IsQuotaInMib(kind, text)) return bytes.value() * kMib;
  return bytes;
}

std::vector<std::string> Parts(const std::string& text, std::string_view separators) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find_first_of(separators, start), text.size());
    std::string part = text.substr(start, end - start);
    const std::size_t first = part.find_first_not_of(' ');
    const std::size_t last = part.find_last_not_of(' ');
    parts.push_back(first == std::string::npos ? "" : part.substr(first, last - first + 1));
    start = end + 1;
  }
  return parts;
}

Status ReadQuotas(const std::string& kind, const Node& node, const std::string& path,
                  TierLevel& level) {
  if (const Node* const quota = node.Find("quota")) {
    const Result<std::uint64_t> bytes = QuotaBytes(kind, quota->text);
    if (!bytes.ok()) return AtField(path + ".quota", bytes.error());
    if (bytes.value() == 0) return WrongField(path + ".quota", quota->text, "write more than 0");
    level.quota_bytes = bytes.value();
  }
  const Node* const list = node.Find("quotaList");
  if (list == nullptr) return {};
  for (const std::string& part : Parts(list->text, ",")) {
    const Result<std::uint64_t> bytes = QuotaBytes(kind, part);
    if (!bytes.ok()) return AtField(path + ".quotaList", bytes.error());
    level.quota_list_bytes.push_back(bytes.value());
  }
  level.quota_bytes = 0;  // The list says more.
  for (const std::uint64_t bytes : level.quota_list_bytes) level.quota_bytes += bytes;
  return {};
}

Status ReadRatios(const Node& node, TierLevel& level) {
  const auto read = [&node](std::string_view field, std::optional<double>& ratio) {
    const Node* const given = node.Find(field);
    if (given != nullptr) ratio = ParseRatio(given->text).value();  // CheckFields saw it.
  };
  read("high", level.high);
  read("low", level.low);
  return {};
}

Result<TierLevel> ReadLevel(const std::string& kind, const Node& node, const std::string& path) {
  TierLevel level;
  level.medium = TextOf(node.Find("mediumtype"));
  if (level.medium.empty()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{}.mediumtype: missing; write MEM, SSD or HDD", path));
  }
  level.volume_type = TextOf(node.Find("volumeType"));
  if (const Node* const paths = node.Find("path")) {
    // JuiceFS separates by colons, the other engines by commas.
    level.paths = Parts(paths->text, kind == "JuiceFSRuntime" ? ":," : ",");
  }
  for (const Status& status : {ReadQuotas(kind, node, path, level), ReadRatios(node, level)}) {
    if (!status.ok()) return status.error();
  }
  return level;
}

// The three shapes that a level of a CacheRuntime has.
Result<TierLevel> ReadCacheLevel(const Node& node, const std::string& path) {
  const Node* const memory = node.Find("processMemory");
  const Node* const directory = node.Find("emptyDir");
  const Node* const host = node.Find("hostPath");
  const int shapes =
      (memory != nullptr ? 1 : 0) + (directory != nullptr ? 1 : 0) + (host != nullptr ? 1 : 0);
  if (shapes != 1) {
    return Error(Code::kInvalidArgument,
                 path + ": write exactly one of processMemory, emptyDir and hostPath");
  }
  TierLevel level;
  if (Status ratios = ReadRatios(node, level); !ratios.ok()) return ratios.error();
  if (host != nullptr) {
    level.medium = "SSD";
    level.volume_type = "hostPath";
    if (const Node* const paths = host->Find("paths")) {
      for (const Node& item : paths->items) level.paths.push_back(item.text);
    }
    if (const Node* const quotas = host->Find("quotas")) {
      for (const Node& item : quotas->items) {
        level.quota_list_bytes.push_back(ParseQuantity(item.text).value());
        level.quota_bytes += level.quota_list_bytes.back();
      }
    }
    const bool in_memory = !level.paths.empty() && level.paths[0].starts_with("/dev/shm");
    if (in_memory) level.medium = "MEM";
    return level;
  }
  const Node& shape = memory != nullptr ? *memory : *directory;
  const bool in_memory = memory != nullptr || TextOf(shape.Find("medium")) == "Memory";
  level.medium = in_memory ? "MEM" : "SSD";
  if (directory != nullptr) level.volume_type = "emptyDir";
  const std::string inner = path + (memory != nullptr ? ".processMemory" : ".emptyDir");
  if (Status quotas = ReadQuotas("CacheRuntime", shape, inner, level); !quotas.ok()) {
    return quotas.error();
  }
  return level;
}

std::optional<std::uint32_t> WholeOf(const Node* node) {
  if (node == nullptr) return std::nullopt;
  std::uint32_t number = 0;
  std::from_chars(node->text.data(), node->text.data() + node->text.size(), number);
  return number;
}

Error BadLevel(std::size_t index, std::string_view field, std::string_view value,
               std::string_view message) {
  return WrongField(fmt::format("spec.tieredstore.levels[{}].{}", index, field), value, message);
}

Status CheckLevel(const TierLevel& level, std::size_t index) {
  if (level.medium != "MEM" && level.medium != "SSD" && level.medium != "HDD") {
    return BadLevel(index, "mediumtype", level.medium, "write MEM, SSD or HDD");
  }
  const std::string& type = level.volume_type;
  if (!type.empty() && type != "hostPath" && type != "emptyDir" && type != "volumeTemplate") {
    return BadLevel(index, "volumeType", type, "write hostPath or emptyDir");
  }
  for (const std::string& path : level.paths) {
    if (!path.starts_with('/')) {
      return BadLevel(index, "path", path, "not an absolute path; write one like /dev/shm");
    }
  }
  if (level.high && level.low && *level.low > *level.high) {
    return BadLevel(index, "low", fmt::format("{}", *level.low),
                    fmt::format("above high, {}; write less", *level.high));
  }
  constexpr std::uint64_t kQuotaMax = 1ull << 50;  // Also keeps sums of quotas from overflowing.
  constexpr std::size_t kPathsMax = 64;
  for (const std::uint64_t bytes : level.quota_list_bytes) {
    if (bytes > kQuotaMax) {
      return BadLevel(index, "quotaList", fmt::format("{}", bytes), "write at most 1Pi");
    }
  }
  const std::size_t quotas = level.quota_list_bytes.size();
  if (quotas == 0 && level.quota_bytes > kQuotaMax) {
    return BadLevel(index, "quota", fmt::format("{}", level.quota_bytes), "write at most 1Pi");
  }
  if (quotas > kPathsMax || level.paths.size() > kPathsMax) {
    return BadLevel(index, "path", fmt::format("{} paths", level.paths.size()),
                    fmt::format("write at most {}", kPathsMax));
  }
  if (quotas > 0 && quotas != level.paths.size()) {
    return BadLevel(index, "quotaList", fmt::format("{} quotas", quotas),
                    fmt::format("there are {} paths; write one quota a path", level.paths.size()));
  }
  return {};
}

}  // namespace

bool IsQuotaInMib(std::string_view kind, std::string_view quota) {
  const bool bare = quota.find_first_not_of("0123456789") == std::string_view::npos;
  const Result<std::uint64_t> bytes = ParseQuantity(quota);
  return kind == "JuiceFSRuntime" && bare && bytes.ok() && bytes.value() < kMib;
}

Result<RuntimeSpec> BuildRuntime(const std::string& kind, const Node& root) {
  const Result<ObjectName> name = BuildName(root);
  if (!name.ok()) return name.error();
  RuntimeSpec spec;
  spec.kind = kind;
  spec.name = name.value().name;
  spec.namespace_name = name.value().namespace_name;
  const bool is_cache = kind == "CacheRuntime";
  spec.replicas =
      WholeOf(is_cache ? root.At("spec", "worker", "replicas") : root.At("spec", "replicas"));
  const std::string at = is_cache ? "spec.worker.tieredStore.levels" : "spec.tieredstore.levels";
  const Node* const levels = is_cache ? root.At("spec", "worker", "tieredStore", "levels")
                                      : root.At("spec", "tieredstore", "levels");
  for (std::size_t i = 0; levels != nullptr && i < levels->items.size(); ++i) {
    const std::string path = fmt::format("{}[{}]", at, i);
    Result<TierLevel> level =
        is_cache ? ReadCacheLevel(levels->items[i], path) : ReadLevel(kind, levels->items[i], path);
    if (!level.ok()) return level.error();
    spec.levels.push_back(std::move(level).value());
  }
  for (const Node* const options :
       {root.At("spec", "worker", "options"), root.At("spec", "worker", "properties"),
        root.At("spec", "options"), root.At("spec", "properties")}) {
    if (options == nullptr) continue;
    for (const auto& [option, value] : options->fields) spec.options.emplace(option, value.text);
  }
  return Validated(std::move(spec));
}

Result<RuntimeSpec> Validated(RuntimeSpec spec) {
  if (Status names = CheckNames(spec.name, spec.namespace_name); !names.ok()) return names.error();
  if (spec.replicas && *spec.replicas > kReplicasMax) {
    return WrongField("spec.replicas", fmt::format("{}", *spec.replicas),
                      fmt::format("more than a group can have; write at most {}", kReplicasMax));
  }
  constexpr std::size_t kLevelsMax = 16;
  if (spec.levels.size() > kLevelsMax) {
    return WrongField("spec.tieredstore.levels", fmt::format("{} levels", spec.levels.size()),
                      fmt::format("write at most {}", kLevelsMax));
  }
  for (std::size_t i = 0; i < spec.levels.size(); ++i) {
    if (Status level = CheckLevel(spec.levels[i], i); !level.ok()) return level.error();
  }
  return spec;
}

std::uint64_t RuntimeSpec::memory_bytes() const {
  std::uint64_t bytes = 0;
  for (const TierLevel& level : levels) {
    if (level.medium == "MEM") bytes += level.quota_bytes;
  }
  return bytes;
}

}  // namespace forebay
