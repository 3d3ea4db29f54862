// From the flags and the -o list of `forebay mount` to what they choose.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "app/context.h"
#include "base/result.h"

namespace forebay {

struct MountUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

struct MountChoices {
  std::string root;    // The URL of what is mounted, ending in '/'.
  std::string source;  // What df(1) shows: the name, or the URL.
  bool allow_other = false;
  // False: as on kernels that cannot send requests again, nor forget all names at once.
  bool may_resend = true;
  bool may_pass_through = true;  // False: as on kernels that cannot read from other files.
  bool no_exec = false;
  std::uint64_t near_memory_bytes = 0;  // Of a near worker of its own; 0: none.
  // Of a store's names, if it was said: how long the kernel may keep them.
  std::optional<std::chrono::milliseconds> metadata_ttl = {};
  bool only_check = false;   // Mount nothing.
  bool own_session = false;  // Begin one once it is mounted.
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t file_mode = 0;
  std::uint32_t directory_mode = 0;
};

// `user` mounts. Options of mount(8) and fstab(5) that mean nothing here are taken silently.
// Errors: kInvalidArgument, naming the flag, its value and what would do.
Result<MountChoices> MountChoicesOf(const Context& context, const MountUser& user);

// How long the kernel may keep a name at most. A dataset's names are to be asked for again within a
// minute of its refresh, whatever its bound is; nothing refreshes a store but its bound.
std::chrono::nanoseconds ValidMax(const MountChoices& choices);

}  // namespace forebay
