#include "client/dataset_upstream.h"

#include <utility>

#include "upstream/tree.h"

namespace forebay {
namespace {

Result<TreeMount> MakeMount(const DatasetMount& mount,
                            const std::map<std::string, std::string>& environment) {
  Result<Location> location = ParseLocation(mount.url);
  if (!location.ok()) return std::move(location).error();
  OptionMap options = mount.options;
  for (const auto& [key, secret] : mount.secrets) options[key] = secret.Reveal();
  const Result<UpstreamOptions> resolved = ResolveOptions(options, environment);
  if (!resolved.ok()) return resolved.error();
  // The root of a posix tree is the mount itself, so that nothing leads out of it.
  std::string prefix;
  if (location.value().scheme != "file") prefix = std::exchange(location.value().path, "");
  while (prefix.ends_with('/')) prefix.pop_back();
  Result<std::unique_ptr<Upstream>> upstream = MakeUpstream(location.value(), resolved.value());
  if (!upstream.ok()) return std::move(upstream).error();
  return TreeMount{
      .point = mount.path, .prefix = std::move(prefix), .upstream = std::move(upstream).value()};
}

}  // namespace

Result<std::unique_ptr<Upstream>> MakeDatasetUpstream(
    const DatasetEntry& dataset, const std::map<std::string, std::string>& environment) {
  std::vector<TreeMount> mounts;
  for (const DatasetMount& mount : dataset.mounts) {
    Result<TreeMount> made = MakeMount(mount, environment);
    if (!made.ok()) {
      return std::move(made).error().Within("dataset " + dataset.name + ": mount " + mount.path);
    }
    mounts.push_back(std::move(made).value());
  }
  return MakeTreeUpstream(std::move(mounts));
}

}  // namespace forebay
