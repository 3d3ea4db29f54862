#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/units.h"
#include "spec/meanings.h"
#include "spec/mount_url.h"
#include "spec/node.h"

namespace forebay {
namespace {

using Level = Explanation::Level;

// Options of other engines that people know, and what stands for them here.
struct OtherOption {
  std::string_view name;
  std::string_view meaning;
  std::string_view remedy;
};
constexpr auto kOtherOptions = std::to_array<OtherOption>({
    {"cache-group",
     "JuiceFS: who shares a cache; here all clients and workers of a group share it, so there is "
     "nothing to join and the option has no effect",
     "leave it out; for a cache apart start a group of its own"},
    {"metacache",
     "JuiceFS: cache attributes in the client; here they are kept as long as the staleness bound "
     "allows, and the option has no effect",
     "set annotation forebay.io/staleness"},
    {"attr-cache", "JuiceFS: how long attributes are kept; without effect",
     "set annotation forebay.io/staleness"},
    {"entry-cache", "JuiceFS: how long names are kept; without effect",
     "set annotation forebay.io/staleness"},
    {"cache-size", "JuiceFS: MiB of cache a client; without effect",
     "set the quota of the runtime's tieredstore"},
    {"cache-dir", "JuiceFS: where the cache is; without effect",
     "start a worker with --tier-dir DIR to have it elsewhere"},
    {"free-space-ratio", "JuiceFS: space to leave free; the quota is a hard limit here",
     "set the quota of the runtime's tieredstore"},
    {"metaPolicy", "Jindo: when metadata are refreshed; without effect",
     "set annotation forebay.io/staleness: `pinned` is ONCE, `0` is ALWAYS"},
    {"cacheStrategy", "Jindo: how blocks are placed; here clients compute it", "leave it out"},
    {"readCacheReplica",
     "Jindo: copies of a block; here a file that many want gets more holders by itself",
     "load with `forebay load NAME --replicas N`"},
    {"writePolicy", "Jindo: how writes are cached; without effect", "leave it out"},
});

void DescribeOther(std::string_view name, std::string_view value, Explanation& row) {
  row.level = Level::kWarning;
  const auto* const known = std::ranges::find(kOtherOptions, name, &OtherOption::name);
  if (known != kOtherOptions.end()) {
    row.meaning = known->meaning;
    row.remedy = known->remedy;
  } else if (value.empty()) {
    row.meaning = "an option of another engine, and empty; without effect here";
    row.remedy = "leave it out";
  } else {
    row.meaning = "an option of another engine, without effect here";
    row.remedy = "leave it out";
  }
}

std::string_view LastPart(std::string_view path, std::string_view after) {
  const std::size_t at = path.rfind(after);
  return at == std::string_view::npos ? "" : path.substr(at + after.size());
}

void DescribeOption(const DatasetSpec& spec, const Mount* mount, Explanation& row) {
  const std::string name(
      LastPart(row.path, mount == nullptr ? "spec.sharedOptions." : ".options."));
  const std::string ours(StoreOptionNamed(name));
  const auto uses = [&ours](const Mount& one) {
    return !ours.empty() && one.options.contains(ours);
  };
  const bool used = mount == nullptr ? std::ranges::any_of(spec.mounts, uses) : uses(*mount);
  if (!used) return DescribeOther(name, row.value, row);
  row.meaning = ours == name ? fmt::format("option {} of the store", ours)
                             : fmt::format("the store's option {}, in our words", ours);
  if (mount != nullptr && mount->options.at(ours) != row.value) {
    row.meaning += fmt::format(", taken as {}", mount->options.at(ours));
  }
}

void DescribeSecret(const Mount* mount, Explanation& row) {
  if (mount != nullptr && !mount->url.starts_with("s3://")) {
    row.level = Level::kWarning;
    row.meaning = "a secret of another engine, which is not read here";
    row.remedy = "leave it out";
    return;
  }
  if (row.path.ends_with("].name")) {
    const std::string ours(StoreOptionNamed(row.value));
    row.meaning = ours.empty() ? "an option that the store does not have"
                               : fmt::format("the store's option {}, by reference", ours);
    if (ours.empty()) row.level = Level::kWarning;
    if (ours.empty()) row.remedy = "write access-key-id, secret-access-key or session-token";
    return;
  }
  row.level = Level::kUnsupported;
  row.meaning = "a Kubernetes Secret; without Kubernetes there is none to read";
  row.remedy =
      "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where `forebay up` starts, or give "
      "`forebay dataset create --secret secret-access-key=file:PATH`";
}

void DescribeUrl(const Mount& mount, Explanation& row) {
  const Result<MountUrl> url = CheckedUrl(mount.url);
  if (url.ok() && url.value().supported) {
    row.meaning = mount.url.starts_with("s3://") ? "a bucket of an S3 store, below this prefix"
                                                 : "a directory that every worker and client sees";
    return;
  }
  DatasetSpec alone;
  alone.mounts = {mount};
  const std::optional<NotBoundReason> reason = NotBound(alone);
  row.level = Level::kUnsupported;
  row.meaning = "stored, but the dataset stays NotBound";
  if (!reason) return;
  row.meaning += fmt::format(" ({})", reason->reason);
  // Behind the repeated path and URL, at the beginning of "PATH "URL": MESSAGE".
  const std::size_t begin = reason->message.find("\": ");
  row.remedy = begin == std::string::npos ? reason->message : reason->message.substr(begin + 3);
}

void DescribeAccess(Explanation& row) {
  row.meaning =
      row.value.starts_with("ReadWrite")
          ? "writable: what is known of a file is used for 1 s unless forebay.io/staleness "
            "says otherwise"
          : "read only: what is known of a file is used for 60 s unless "
            "forebay.io/staleness says otherwise";
}

std::string StalenessText(const DatasetSpec& spec) {
  const std::chrono::milliseconds bound = spec.staleness.value_or(std::chrono::milliseconds(0));
  if (bound == DatasetSpec::kPinned) return "pinned";
  // As people write them: 60s, not 1m.
  constexpr std::chrono::milliseconds kInSeconds{120'000};
  if (bound.count() % 1000 == 0 && bound < kInSeconds)
    return fmt::format("{}s", bound.count() / 1000);
  return FormatDuration(bound);
}

constexpr std::string_view kStalenessPath = "metadata.annotations.forebay.io/staleness";
constexpr std::string_view kBlockPath = "metadata.annotations.forebay.io/block-size";

void DescribeAnnotation(const DatasetSpec& spec, Explanation& row) {
  if (row.path == kStalenessPath) {
    row.meaning = spec.staleness == DatasetSpec::kPinned
                      ? "a snapshot: what is known stays true until `forebay dataset refresh`"
                      : "how long what is known of a file may be used";
  } else if (row.path == kBlockPath) {
    row.meaning = fmt::format("bytes of a block: {}", FormatSize(spec.block_bytes));
  } else {
    row.meaning = "kept with the document, without effect";
  }
}

}  // namespace

void RefineDataset(const DatasetSpec& spec, Explanation& row) {
  const std::size_t index = IndexIn(row.path, "spec.mounts");
  const Mount* const mount = index < spec.mounts.size() ? &spec.mounts[index] : nullptr;
  if (row.path.starts_with("metadata.annotations.")) {
    DescribeAnnotation(spec, row);
  } else if (row.path.starts_with("spec.accessModes[")) {
    DescribeAccess(row);
  } else if (row.path.starts_with("spec.sharedOptions.")) {
    DescribeOption(spec, nullptr, row);
  } else if (row.path.starts_with("spec.sharedEncryptOptions[")) {
    DescribeSecret(nullptr, row);
  } else if (mount == nullptr) {
    return;
  } else if (row.path.ends_with(".mountPoint")) {
    DescribeUrl(*mount, row);
  } else if (row.path.find(".encryptOptions[") != std::string::npos) {
    DescribeSecret(mount, row);
  } else if (row.path.find(".options.") != std::string::npos) {
    DescribeOption(spec, mount, row);
  } else if (row.path.ends_with("].name") || row.path.ends_with("].path")) {
    row.meaning += fmt::format("; this mount is at {}", mount->path);
  }
}

std::vector<Explanation> DatasetDefaults(const DatasetSpec& spec, const std::string& where) {
  std::vector<Explanation> rows;
  const auto add = [&](std::string_view path, std::string value, std::string meaning) {
    rows.push_back(
        {where, std::string(path), std::move(value), std::move(meaning), Level::kOk, ""});
  };
  const Node root = ParseJson(spec.written).value();  // We wrote it.
  const Node* const annotations = root.At("metadata", "annotations");
  const auto annotated = [annotations](std::string_view name) {
    return annotations != nullptr && annotations->Find(name) != nullptr;
  };
  if (root.At("metadata", "namespace") == nullptr)
    add("metadata.namespace", spec.namespace_name, "default: none is written");
  if (root.At("spec", "accessModes") == nullptr) {
    add("spec.accessModes", "ReadOnlyMany", "default: the dataset is read only");
  }
  if (!annotated("forebay.io/staleness")) {
    add(kStalenessPath, StalenessText(spec),
        spec.writable() ? "default of a writable dataset: how long what is known may be used"
                        : "default of a read-only dataset: how long what is known may be used");
  }
  if (!annotated("forebay.io/block-size")) {
    add(kBlockPath, FormatSize(spec.block_bytes), "default: bytes of a block");
  }
  if (spec.mounts.empty()) {
    const std::optional<NotBoundReason> reason = NotBound(spec);
    rows.push_back({where, "spec.mounts", "", "stored, but the dataset stays NotBound (NoMounts)",
                    Level::kUnsupported, reason ? reason->message : ""});
  }
  return rows;
}

}  // namespace forebay
