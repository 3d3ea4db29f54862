// MountPoint: attaches a file system of ours to a directory, and takes it off again.
//
// Root does so itself, everybody else through fusermount3(1). Nothing here touches what is mounted:
// a mount whose process is dead, or hangs, can be found and taken off.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/unique_fd.h"

namespace forebay {

inline constexpr std::string_view kMountType = "fuse.forebay";

// A line of /proc/self/mountinfo.
struct MountedAt {
  std::string directory;
  std::string type;
  std::string source;
  std::string device;  // "MAJOR:MINOR".
};

// The mounts that `text`, a mountinfo, lists, in its order: the last one of a directory is the one
// that is seen. Lines that are not like that are left out. Pure.
std::vector<MountedAt> ParseMountInfo(std::string_view text);

// What is mounted at `directory` now.
std::optional<MountedAt> FindMount(const std::string& directory);

// `directory` as mountinfo has it: absolute and without links, but what is mounted there is not
// asked. Errors: kNotFound, kDenied: of the directory above it.
Result<std::string> MountPath(const std::string& directory);

// A value of a list of options, as mount(8) and fusermount3(1) read it: with its commas escaped.
std::string EscapedOption(std::string_view value);

struct MountOptions {
  std::string directory;  // As MountPath gives it.
  std::string source;     // What df(1) shows.
  bool allow_other = true;
  bool no_exec = false;  // No program in it can be run.
  std::uint32_t root_mode = 0755;
};

// Mounts, read-only, and returns the descriptor that requests come from.
// Errors: kNotFound (no such directory), kInvalidArgument (not a directory), kDenied,
// kUnavailable (no /dev/fuse, no fusermount3), and all say what to do.
Result<UniqueFd> Mount(const MountOptions& options);

// kNow: refuses while files are open. kDetach: it disappears now, and ends with the last file.
// kAbort: all at once, files that are open get errors.
enum class Unmounting : unsigned char { kNow, kDetach, kAbort };

// Takes off what is mounted at `directory`. Errors: kOverloaded (busy), kNotFound (nothing is
// mounted there), kDenied, kUnavailable.
Status Unmount(const std::string& directory, Unmounting how);

// How far the kernel reads ahead in files of `device`. Errors: kDenied: it takes root, or /sys is
// read-only; kUnavailable.
Status SetReadAhead(const std::string& device, std::uint32_t bytes);

}  // namespace forebay
