// Why the kernel interrupts a request: what signals wait for the thread that made it.
//
// The kernel interrupts for any signal, also for a timer's or a child's. A file system on disk
// never lets such a signal end a call, and programs do not expect it; so only who is to end is let
// go.
#pragma once

#include <cstdint>
#include <string_view>

namespace forebay {

// Whether a thread with this /proc/TID/status is being killed, or was asked to end (SIGINT,
// SIGQUIT, SIGTERM, SIGHUP). Pure.
bool IsAskedToEnd(std::string_view status);

// The same of the thread `tid`; also if it is not to be seen (0: in a pid namespace of its own).
bool IsAskedToEnd(std::uint32_t tid);

}  // namespace forebay
