// A mount that stays when the command has returned: the same command in the foreground, in a
// session of its own.
#pragma once

#include <string>
#include <string_view>

#include "app/context.h"
#include "app/interrupts.h"

namespace forebay {

// What a mount in the foreground says on standard output once it is usable, in front of its source
// and its directory.
inline constexpr std::string_view kMounted = "mounted ";

// Starts this process's command again with --foreground, and returns when that has mounted at
// `directory`, or has ended: the exit code.
int MountInBackground(const Context& context, Interrupts& interrupts, const std::string& directory);

}  // namespace forebay
