// From the flags of `up` and `down` to a control: where its things are, and how its workers start.
#pragma once

#include <string>

#include "app/context.h"
#include "base/result.h"
#include "control/control.h"

namespace forebay {

// Of the group in --state-dir. Errors: kInvalidArgument, naming the flag.
Result<ControlOptions> ControlOptionsOf(const Context& context);

// Whether `workers` tiers of `memory_bytes` fit into this host's memory, and into the tmpfs that
// they would share. Errors: kInvalidArgument, saying how much there is.
Status CheckMemory(std::uint64_t workers, std::uint64_t memory_bytes);

}  // namespace forebay
