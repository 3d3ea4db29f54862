// mount.forebay: what mount(8) runs for type forebay, and so for lines of /etc/fstab.
//
//   mount.forebay SOURCE DIR [-sfnv] [-o OPTIONS]
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace forebay {

// Whether this program was started under a name that mount(8) gives a helper.
bool IsMountHelper(std::string_view program);

struct MountHelperCall {
  // Of the command line that does it: forebay WORD....
  std::vector<std::string> words;
  // Of root's mounts by default that of the services, if there is one.
  std::string environment_file;
};

// From the words behind the program's name. Errors: kInvalidArgument.
Result<MountHelperCall> ParseMountHelper(const std::vector<std::string>& arguments);

// Name and value of each line NAME=VALUE; quotes around a value go. Lines that begin with '#' or
// ';', or have no name, are left out, as systemd does.
std::vector<std::pair<std::string, std::string>> ParseEnvironment(std::string_view text);

// Adds what is missing of `call`'s file to the environment. While this process has one thread.
// Errors: kInvalidArgument: it was named, and cannot be read.
Status AddEnvironment(const MountHelperCall& call);

// What mount(8) expects, from the exit code of a verb.
int MountHelperExitCode(int code);

}  // namespace forebay
