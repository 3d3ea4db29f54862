#include "app/mount_near.h"

#include <fmt/format.h>

#include <utility>

#include "app/state_dir.h"
#include "base/digest.h"
#include "client/dataset_url.h"

namespace forebay {

Result<std::optional<NearSetup>> OwnNear(const Context& context, const MountChoices& choices,
                                         const std::string& directory) {
  if (choices.near_memory_bytes == 0) return std::optional<NearSetup>();
  const std::string name = fmt::format("near-{:016x}", DigestOf(directory).Low64());
  Result<NearSetup> setup = NearSetupOf(context, name, "--near-memory", choices.near_memory_bytes);
  if (!setup.ok()) return std::move(setup).error();
  return std::optional(std::move(setup).value());
}

std::string SharedNearSocket(const Context& context, const MountChoices& choices) {
  if (context.settings.Has("near-memory") || !IsDatasetUrl(choices.root)) return "";
  const Result<std::string> state = StateDirectory(context);
  if (!state.ok()) return "";
  return SocketAddress(state.value(), kSharedNearName).unix_path;
}

}  // namespace forebay
