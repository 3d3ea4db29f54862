// fusermount3(1): the program, set-uid root, through which everybody else mounts.
#pragma once

#include <string>

#include "base/result.h"
#include "io/unique_fd.h"
#include "mount/mount_point.h"

namespace forebay {

// As Mount. Errors: kUnavailable: there is no fusermount3, or what it says.
Result<UniqueFd> MountByFusermount(const MountOptions& options);

// As Unmount; kAbort is kDetach.
Status UnmountByFusermount(const std::string& directory, Unmounting how);

}  // namespace forebay
