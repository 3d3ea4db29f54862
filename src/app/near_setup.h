// A near worker of this process: where it listens, where its tier lies, and how it runs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "app/context.h"
#include "base/result.h"

namespace forebay {

struct NearSetup {
  std::string name;
  std::string socket;  // Its path.
  std::string tier_directory;
  bool own_mount = true;
  std::uint64_t memory_bytes = 0;
};

// The one that all mounts of a state directory may use is called this.
inline constexpr const char kSharedNearName[] = "near";

// Makes the state directory. `flag` gave `memory_bytes`. Errors: kInvalidArgument, naming the flag;
// kDenied.
Result<NearSetup> NearSetupOf(const Context& context, const std::string& name,
                              const std::string& flag, std::uint64_t memory_bytes);

// Serves what `urls` name (empty: datasets of the group, or with --members stores) until a signal
// comes; then drops the tier. `on_ready` is called once it listens. `beats`, if there is one, gets
// bytes as Supervisor::Body says. The exit code.
int ServeNear(const Context& context, std::span<const std::string> urls, const NearSetup& setup,
              const std::function<void()>& on_ready, std::optional<int> beats = std::nullopt);

}  // namespace forebay
