// The near worker of a mount: of its own, or the one of the state directory.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "app/context.h"
#include "app/mount_choices.h"
#include "app/near_setup.h"
#include "base/result.h"

namespace forebay {

// A process that keeps a near worker alive: started now, ended in order with this.
//
// Thread safety: none.
class NearKeeper {
 public:
  // Forks: before this process has a second thread. Returns when the near worker listens, or after
  // a while: nobody needs it. Errors: kUnavailable: no process.
  static Result<NearKeeper> Start(const Context& context, const MountChoices& choices,
                                  const NearSetup& setup);
  ~NearKeeper();
  NearKeeper(NearKeeper&& other) noexcept;
  NearKeeper& operator=(NearKeeper&&) = delete;

 private:
  explicit NearKeeper(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

// For a mount at `directory` with --near-memory. Nothing: it has none of its own.
// Errors: kInvalidArgument, naming the flag.
Result<std::optional<NearSetup>> OwnNear(const Context& context, const MountChoices& choices,
                                         const std::string& directory);

// The socket of the near worker of the state directory, if there may be one for this mount.
std::string SharedNearSocket(const Context& context, const MountChoices& choices);

}  // namespace forebay
