// The near worker of a mount: of its own, or the one of the state directory.
#pragma once

#include <optional>
#include <string>

#include "app/context.h"
#include "app/mount_choices.h"
#include "app/near_setup.h"
#include "base/result.h"

namespace forebay {

// For a mount at `directory` with --near-memory. Nothing: it has none of its own.
// Errors: kInvalidArgument, naming the flag.
Result<std::optional<NearSetup>> OwnNear(const Context& context, const MountChoices& choices,
                                         const std::string& directory);

// The socket of the near worker of the state directory, if there may be one for this mount.
std::string SharedNearSocket(const Context& context, const MountChoices& choices);

}  // namespace forebay
