// The signals that ask a process to end, as a descriptor.
#pragma once

#include "io/unique_fd.h"

namespace forebay {

// Blocks SIGINT, SIGTERM and SIGHUP in this thread and in those that it starts from now on, and
// returns a signalfd of them, which does not block. A SIGHUP that was ignored (nohup) stays so.
UniqueFd BlockEndSignals();

}  // namespace forebay
