// MountedTotals: how much the dataset that is mounted holds, as control says, for df(1).
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "app/context.h"
#include "app/control_client.h"
#include "base/deadline.h"
#include "base/mutex.h"
#include "mount/reply.h"

namespace forebay {

// Thread safety: safe.
class MountedTotals {
 public:
  // `url` names the dataset. Null: it is not one, or there is no way to its control.
  static std::shared_ptr<MountedTotals> Create(const Context& context, const std::string& url);

  // What was last known, no more than 5 s old while control answers. Waits for control for 1 s at
  // most, and then not again for 5 s. Nothing: it never said.
  std::optional<MountedSize> Find(std::stop_token stop) EXCLUDES(mutex_);

 private:
  MountedTotals(std::unique_ptr<ControlClient> control, std::string target)
      : control_(std::move(control)), target_(std::move(target)) {}

  const std::unique_ptr<ControlClient> control_;
  const std::string target_;
  Mutex mutex_;
  Clock::time_point ask_at_ GUARDED_BY(mutex_);
  std::optional<MountedSize> known_ GUARDED_BY(mutex_);
};

}  // namespace forebay
