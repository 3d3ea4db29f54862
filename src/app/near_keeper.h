// The process that keeps a mount's own near worker.
#pragma once

#include <sys/types.h>

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

}  // namespace forebay
