// Where a worker's tier lies, and what it may take.
#pragma once

#include <cstdint>
#include <string>

namespace forebay {

// Whether this process may mount (CAP_SYS_ADMIN, bit 21 of the effective set), so that a tier can
// have a tmpfs of its own.
bool MayMount();

// Of the worker `name`, without --tier-dir. Pure, but for the user's number.
std::string DefaultTierDirectory(const std::string& state, const std::string& name, bool own_mount);
// The directories of it, also those that a crashed predecessor made. Those that hold anything stay.
void RemoveDefaultTier(const std::string& directory);

std::uint64_t MachineMemoryBytes();

}  // namespace forebay
