#include "cluster/dataset_upstream.h"

#include <algorithm>
#include <utility>

#include "upstream/tree.h"

namespace forebay {
namespace {

Result<TreeMount> MakeMount(const DatasetEntry& dataset, const DatasetMount& mount,
                            const std::map<std::string, std::string>& environment) {
  Result<Location> location = ParseLocation(mount.url);
  if (!location.ok()) return std::move(location).error();
  OptionMap options = mount.options;
  for (const auto& [key, secret] : mount.secrets) options[key] = secret.Reveal();
  Result<UpstreamOptions> resolved = ResolveOptions(options, environment);
  if (!resolved.ok()) return std::move(resolved).error();
  resolved.value().dataset = dataset.name;
  resolved.value().name_space = dataset.name_space;
  // A mounted directory is opened at its root, so that nothing leads out of it; a bucket is one
  // store, whatever part is meant.
  std::string prefix;
  if (location.value().scheme != "file") prefix = std::exchange(location.value().path, "");
  while (prefix.ends_with('/')) prefix.pop_back();
  Result<std::unique_ptr<Upstream>> upstream = MakeUpstream(location.value(), resolved.value());
  if (!upstream.ok()) return std::move(upstream).error();
  return TreeMount{
      .point = mount.path, .prefix = std::move(prefix), .upstream = std::move(upstream).value()};
}

}  // namespace

bool SameMounts(const DatasetEntry& a, const DatasetEntry& b) {
  return std::ranges::equal(a.mounts, b.mounts, [](const DatasetMount& x, const DatasetMount& y) {
    return x.path == y.path && x.url == y.url && x.options == y.options &&
           std::ranges::equal(x.secrets, y.secrets, [](const auto& s, const auto& t) {
             return s.first == t.first && s.second.Reveal() == t.second.Reveal();
           });
  });
}

Result<std::unique_ptr<Upstream>> MakeDatasetUpstream(
    const DatasetEntry& dataset, const std::map<std::string, std::string>& environment) {
  std::vector<TreeMount> mounts;
  for (const DatasetMount& mount : dataset.mounts) {
    Result<TreeMount> made = MakeMount(dataset, mount, environment);
    if (!made.ok()) {
      return std::move(made).error().Within("dataset " + dataset.name + ": mount " + mount.path);
    }
    mounts.push_back(std::move(made).value());
  }
  return MakeTreeUpstream(std::move(mounts));
}

}  // namespace forebay
