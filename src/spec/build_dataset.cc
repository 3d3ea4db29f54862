#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/nearest.h"
#include "base/units.h"
#include "spec/build.h"
#include "spec/fields.h"
#include "spec/mount_url.h"

namespace forebay {
namespace {

constexpr std::string_view kOwnPrefix = "forebay.io/";
constexpr std::array<std::string_view, 2> kOwnAnnotations = {"forebay.io/block-size",
                                                             "forebay.io/staleness"};

Error Missing(std::string_view path, std::string_view remedy) {
  return {Code::kInvalidArgument, fmt::format("{}: missing; write {}", path, remedy)};
}

std::string TextOf(const Node* node) {
  return node == nullptr ? "" : node->text;
}

OptionMap OptionsOf(const Node* node) {
  OptionMap options;
  if (node != nullptr) {
    for (const auto& [name, value] : node->fields) options[name] = value.text;
  }
  return options;
}

// Whether the store of `url` takes the options of CONTRACT.md.
bool TakesStoreOptions(const std::string& url) {
  return url.starts_with("s3://");
}

class DatasetBuilder {
 public:
  DatasetBuilder(const Node& root, const std::string& where, std::vector<Warning>& warnings)
      : root_(root), where_(where), warnings_(warnings) {}

  Result<DatasetSpec> Build(const ObjectName& name) {
    DatasetSpec spec;
    spec.name = name.name;
    spec.namespace_name = name.namespace_name;
    for (const Status& status : {Annotations(spec), Owner(), Mounts(spec)}) {
      if (!status.ok()) return status.error();
    }
    if (const Node* const modes = root_.At("spec", "accessModes")) {
      for (const Node& mode : modes->items) spec.access_modes.push_back(mode.text);
    }
    const std::string placement = TextOf(root_.At("spec", "placement"));
    if (!placement.empty() && placement != "Exclusive" && placement != "Shared") {
      return WrongField("spec.placement", placement, "write Exclusive, Shared or nothing");
    }
    return Validated(std::move(spec));
  }

 private:
  Status Annotations(DatasetSpec& spec) {
    const Node* const annotations = root_.At("metadata", "annotations");
    if (annotations == nullptr) return {};
    for (const auto& [name, value] : annotations->fields) {
      const std::string path = "metadata.annotations." + name;
      if (!name.starts_with(kOwnPrefix)) continue;
      if (name == kOwnAnnotations[0]) {
        const Result<std::uint64_t> bytes = ParseSize(value.text);
        if (!bytes.ok()) return AtField(path, bytes.error());
        if (bytes.value() > UINT32_MAX) {
          return WrongField(path, value.text, "write a power of two from 64KiB to 64MiB");
        }
        spec.block_bytes = static_cast<std::uint32_t>(bytes.value());
      } else if (name == kOwnAnnotations[1]) {
        if (value.text == "pinned") {
          spec.staleness = DatasetSpec::kPinned;
          continue;
        }
        const Result<std::chrono::milliseconds> bound = ParseDuration(value.text);
        if (!bound.ok()) return AtField(path, bound.error());
        spec.staleness = bound.value();
      } else {
        Warn(path, value.text, "no such setting, so it has no effect",
             fmt::format("the nearest is `{}`", Nearest(name, kOwnAnnotations)));
      }
    }
    return {};
  }

  Status Owner() const {
    const Node* const owner = root_.At("spec", "owner");
    if (owner == nullptr) return {};
    for (const std::string_view field : {"uid", "gid", "user", "group"}) {
      if (owner->Find(field) == nullptr) {
        return Missing(fmt::format("spec.owner.{}", field), "all of uid, gid, user and group");
      }
    }
    return {};
  }

  Status Mounts(DatasetSpec& spec) {
    const Node* const mounts = root_.At("spec", "mounts");
    if (mounts == nullptr) return {};
    if (mounts->items.empty()) {
      return Missing("spec.mounts[0]", "at least one {mountPoint: URL}");
    }
    for (std::size_t i = 0; i < mounts->items.size(); ++i) {
      Result<Mount> mount =
          OneMount(mounts->items[i], fmt::format("spec.mounts[{}]", i), mounts->items.size() == 1);
      if (!mount.ok()) return mount.error();
      spec.mounts.push_back(std::move(mount).value());
    }
    return {};
  }

  Result<Mount> OneMount(const Node& node, const std::string& path, bool only) {
    Mount mount;
    const Node* const url = node.Find("mountPoint");
    if (url == nullptr) return Missing(path + ".mountPoint", "s3://BUCKET/PREFIX or file:///DIR");
    mount.url = url->text;
    const std::string name = TextOf(node.Find("name"));
    const Node* const place = node.Find("path");
    if (place != nullptr) {
      mount.path = place->text;
    } else if (!name.empty() && !(only && mount.url.starts_with("juicefs://"))) {
      mount.path = '/' + name;  // Fluid's rule; its JuiceFS runtime shows a volume at the root.
    } else if (!only) {
      return Missing(path + ".path", "where in the dataset's tree it is, such as /prices");
    }
    mount.read_only = TextOf(node.Find("readOnly")) == "true";
    if (Status options = Options(node.Find("options"), path + ".options", mount); !options.ok()) {
      return options.error();
    }
    const Node* const shared = root_.At("spec", "sharedEncryptOptions");
    for (const auto& [list, where] :
         {std::pair{node.Find("encryptOptions"), path + ".encryptOptions"},
          std::pair{shared, std::string("spec.sharedEncryptOptions")}}) {
      Status secrets = Secrets(list, where, mount);
      if (!secrets.ok()) return secrets.error();
    }
    return mount;
  }

  // Splits the options of `given` by who knows them. `named_at`: their path.
  Status Split(const OptionMap& given, const std::string& named_at, Mount& mount,
               bool may_replace) {
    OptionMap ours;
    for (const auto& [name, value] : given) {
      if (TakesStoreOptions(mount.url) && !StoreOptionNamed(name).empty()) {
        ours[name] = value;
        continue;
      }
      if (may_replace) {
        mount.other_options[name] = value;
      } else {
        mount.other_options.emplace(name, value);
      }
      if (!TakesStoreOptions(mount.url)) continue;
      Warn(fmt::format("{}.{}", named_at, name), value,
           "not an option of this store, so it has no effect",
           fmt::format("the nearest is `{}`", Nearest(name, StoreOptionNames())));
    }
    Result<OptionMap> translated = TranslatedStoreOptions(ours);
    if (!translated.ok()) return std::move(translated).error().Within(named_at);
    for (auto& [name, value] : translated.value()) {
      if (may_replace) {
        mount.options[name] = value;
      } else {
        mount.options.emplace(name, value);
      }
    }
    return {};
  }

  Status Options(const Node* own, const std::string& path, Mount& mount) {
    Status status = Split(OptionsOf(own), path, mount, true);
    if (!status.ok()) return status;
    return Split(OptionsOf(root_.At("spec", "sharedOptions")), "spec.sharedOptions", mount, false);
  }

  // Adds what the mount does not have yet.
  static Status Secrets(const Node* list, const std::string& path, Mount& mount) {
    if (list == nullptr) return {};
    std::vector<SecretRef> found;
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      const Node& item = list->items[i];
      const std::string here = fmt::format("{}[{}]", path, i);
      const std::string name = TextOf(item.Find("name"));
      if (name.empty()) return Missing(here + ".name", "the option that the secret is for");
      const std::string secret = TextOf(item.At("valueFrom", "secretKeyRef", "name"));
      const std::string key = TextOf(item.At("valueFrom", "secretKeyRef", "key"));
      if (secret.empty() || key.empty()) {
        return Missing(here + ".valueFrom.secretKeyRef", "{name: SECRET, key: KEY}");
      }
      const std::string_view ours =
          TakesStoreOptions(mount.url) ? StoreOptionNamed(name) : std::string_view();
      SecretRef ref{std::string(ours.empty() ? name : ours),
                    fmt::format("secret:{}/{}", secret, key)};
      if (std::ranges::find(found, ref.option, &SecretRef::option) != found.end()) {
        return Error(Code::kInvalidArgument,
                     fmt::format("{}.name: {} is there twice; write it once", here, ref.option));
      }
      found.push_back(std::move(ref));
    }
    for (SecretRef& ref : found) {
      const auto same = std::ranges::find(mount.secrets, ref.option, &SecretRef::option);
      if (same == mount.secrets.end()) mount.secrets.push_back(std::move(ref));
    }
    return {};
  }

  void Warn(const std::string& path, const std::string& value, std::string message,
            std::string remedy) {
    warnings_.push_back({where_, path, LooksSecret(path) ? "***" : std::string(Shortened(value)),
                         std::move(message), std::move(remedy)});
  }

  const Node& root_;
  const std::string& where_;
  std::vector<Warning>& warnings_;
};

}  // namespace

Result<ObjectName> BuildName(const Node& root) {
  ObjectName object;
  const Node* const name = root.At("metadata", "name");
  if (name == nullptr) return Missing("metadata.name", "a name like prices");
  object.name = name->text;
  const Node* const namespace_name = root.At("metadata", "namespace");
  if (namespace_name != nullptr) object.namespace_name = namespace_name->text;
  if (root.Find("spec") == nullptr) return Missing("spec", "what is wanted");
  return object;
}

Result<DatasetSpec> BuildDataset(const Node& root, const std::string& where,
                                 std::vector<Warning>& warnings) {
  const Result<ObjectName> name = BuildName(root);
  if (!name.ok()) return name.error();
  return DatasetBuilder(root, where, warnings).Build(name.value());
}

}  // namespace forebay
