// What makes a dataset valid, however it was said.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "spec/build.h"
#include "spec/document.h"
#include "spec/fields.h"
#include "spec/mount_url.h"
#include "spec/node.h"

namespace forebay {
namespace {

constexpr std::chrono::milliseconds kStalenessWritable{1000};
constexpr std::chrono::milliseconds kStalenessReadOnly{60'000};
constexpr std::uint32_t kBlockBytesMin = 64u << 10;
constexpr std::uint32_t kBlockBytesMax = 64u << 20;
constexpr std::size_t kMountsMax = 256;
constexpr auto kAccessModes = std::to_array<std::string_view>(
    {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"});

Status CheckSecrets(const Mount& mount, const std::string& path) {
  for (const SecretRef& secret : mount.secrets) {
    const std::string field = fmt::format("{}.encryptOptions.{}", path, secret.option);
    if (mount.options.contains(secret.option)) {
      return Error(Code::kInvalidArgument, field + ": also in options; write it once");
    }
    const std::string_view source = secret.source;
    const std::size_t slash = source.find('/');
    const bool is_kubernetes = source.starts_with("secret:") && slash != std::string_view::npos &&
                               slash > std::string_view("secret:").size() &&
                               slash + 1 < source.size();
    const bool is_local = (source.starts_with("file:") && source.size() > 5) ||
                          (source.starts_with("env:") && source.size() > 4);
    if (!is_kubernetes && !is_local) {
      // Somebody may have written the secret itself.
      return Error(Code::kInvalidArgument,
                   field + ": not a reference; write file:PATH, env:NAME or secret:NAME/KEY");
    }
  }
  return {};
}

Status CheckOptions(const Mount& mount, const std::string& path) {
  for (const auto& [name, value] : mount.options) {
    if ((LooksSecret(name) && !value.empty()) || HoldsPassword(value)) {
      return Error(Code::kInvalidArgument,
                   fmt::format("{}.options.{}: a secret in clear (not repeated here); give it by "
                               "reference, or leave it to the environment of the workers",
                               path, name));
    }
  }
  return CheckSecrets(mount, path);
}

// The stored form is JSON, so that other bytes would not survive.
Status CheckUtf8(const Mount& mount, const std::string& path) {
  bool utf8 = IsUtf8(mount.url) && IsUtf8(mount.path);
  for (const OptionMap* const options : {&mount.options, &mount.other_options}) {
    for (const auto& [name, value] : *options) utf8 = utf8 && IsUtf8(name) && IsUtf8(value);
  }
  for (const SecretRef& secret : mount.secrets) {
    utf8 = utf8 && IsUtf8(secret.option) && IsUtf8(secret.source);
  }
  if (utf8) return {};
  return Error(Code::kInvalidArgument, path + ": not UTF-8 text; write it in UTF-8");
}

Status CheckMount(Mount& mount, const std::string& path) {
  if (Status text = CheckUtf8(mount, path); !text.ok()) return text;
  if (const Result<MountUrl> url = CheckedUrl(mount.url); !url.ok()) {
    return AtField(path + ".mountPoint", url.error());
  }
  Result<std::string> place = NormalisedPath(mount.path);
  if (!place.ok()) return AtField(path + ".path", place.error());
  mount.path = std::move(place).value();
  Result<OptionMap> options = TranslatedStoreOptions(mount.options);
  if (!options.ok()) return std::move(options).error().Within(path + ".options");
  mount.options = std::move(options).value();
  return CheckOptions(mount, path);
}

bool Inside(const std::string& path, const std::string& other) {
  return other == "/" || path == other || path.starts_with(other + '/');
}

Status CheckOverlaps(const std::vector<Mount>& mounts) {
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    for (std::size_t j = 0; j < mounts.size(); ++j) {
      const bool first = i > j || mounts[i].path != mounts[j].path;
      if (i == j || !first || !Inside(mounts[i].path, mounts[j].path)) continue;
      return WrongField(fmt::format("spec.mounts[{}].path", i), mounts[i].path,
                        fmt::format("lies in spec.mounts[{}], which is at {}; give each mount a "
                                    "place of its own",
                                    j, mounts[j].path));
    }
  }
  return {};
}

Status CheckAccessModes(const std::vector<std::string>& modes) {
  for (std::size_t i = 0; i < modes.size(); ++i) {
    if (std::ranges::find(kAccessModes, modes[i]) != kAccessModes.end()) continue;
    return WrongField(fmt::format("spec.accessModes[{}]", i), modes[i],
                      fmt::format("write one of {}", fmt::join(kAccessModes, ", ")));
  }
  return {};
}

}  // namespace

Status CheckNames(const std::string& name, const std::string& namespace_name) {
  constexpr std::string_view kRule =
      "not a name; write at most 63 of a-z, 0-9 and '-', beginning with a letter and not ending "
      "with '-'";
  if (!IsName(name)) return WrongField("metadata.name", name, kRule);
  if (!IsName(namespace_name)) return WrongField("metadata.namespace", namespace_name, kRule);
  return {};
}

Result<DatasetSpec> Validated(DatasetSpec spec) {
  if (Status names = CheckNames(spec.name, spec.namespace_name); !names.ok()) return names.error();
  if (spec.mounts.size() > kMountsMax) {
    return WrongField("spec.mounts", fmt::format("{} mounts", spec.mounts.size()),
                      fmt::format("write at most {}", kMountsMax));
  }
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    Status mount = CheckMount(spec.mounts[i], fmt::format("spec.mounts[{}]", i));
    if (!mount.ok()) return mount.error();
  }
  if (Status overlaps = CheckOverlaps(spec.mounts); !overlaps.ok()) return overlaps.error();
  if (Status modes = CheckAccessModes(spec.access_modes); !modes.ok()) return modes.error();
  if (spec.access_modes.empty()) spec.access_modes = {"ReadOnlyMany"};
  if (spec.block_bytes < kBlockBytesMin || spec.block_bytes > kBlockBytesMax ||
      !std::has_single_bit(spec.block_bytes)) {
    return WrongField("metadata.annotations.forebay.io/block-size",
                      fmt::format("{}", spec.block_bytes),
                      "write a power of two from 64KiB to 64MiB");
  }
  if (!spec.staleness) {
    spec.staleness = spec.writable() ? kStalenessWritable : kStalenessReadOnly;
  }
  if (*spec.staleness < std::chrono::milliseconds(0)) {
    return WrongField("metadata.annotations.forebay.io/staleness",
                      fmt::format("{} ms", spec.staleness->count()),
                      "write 0, a bound like 60s, or pinned");
  }
  return spec;
}

bool DatasetSpec::writable() const {
  return std::ranges::any_of(access_modes,
                             [](const std::string& mode) { return mode.starts_with("ReadWrite"); });
}

std::optional<NotBoundReason> NotBound(const DatasetSpec& spec) {
  if (spec.mounts.empty()) {
    return NotBoundReason{"NoMounts",
                          "the dataset has no mounts, so there is nothing to read; add "
                          "spec.mounts with a mountPoint such as s3://BUCKET/PREFIX"};
  }
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    const Mount& mount = spec.mounts[i];
    const Result<MountUrl> url = CheckedUrl(mount.url);
    if (!url.ok()) {
      return NotBoundReason{
          "SchemeNotSupported",
          AtField(fmt::format("spec.mounts[{}].mountPoint", i), url.error()).message()};
    }
    if (url.value().supported) continue;
    const std::string field = fmt::format("spec.mounts[{}].mountPoint \"{}\"", i, mount.url);
    const bool has_metaurl =
        mount.other_options.contains("metaurl") ||
        std::ranges::find(mount.secrets, "metaurl", &SecretRef::option) != mount.secrets.end();
    if (url.value().scheme == "juicefs" && !has_metaurl) {
      return NotBoundReason{
          "JuiceFSCloudVolume",
          field +
              ": without a metaurl this is a JuiceFS Cloud volume, whose blocks only JuiceFS's "
              "own client can find. Either mount the volume with that client (juicefs mount "
              "VOLUME /mnt/VOLUME) and write mountPoint: file:///mnt/VOLUME; or copy the data "
              "to a bucket (juicefs sync) and write mountPoint: s3://BUCKET/PREFIX"};
    }
    return NotBoundReason{"SchemeNotSupported",
                          fmt::format("{}: this version does not read {}://; {}", field,
                                      url.value().scheme, url.value().remedy)};
  }
  return std::nullopt;
}

}  // namespace forebay
