// A mount from its beginning to its end: the supervisor's process, and who it looks after.
#pragma once

#include <string>

#include "app/context.h"
#include "app/mount_choices.h"

namespace forebay {

// Mounts at `directory`, an absolute path, tells so on stdout and to the service manager, and keeps
// it served until it is unmounted or a signal comes. While this process has one thread. The exit
// code.
int MountHere(const Context& context, const MountChoices& choices, const std::string& directory);

}  // namespace forebay
