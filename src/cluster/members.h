// The members file: a fixed ring without control, read once at start by workers and clients alike.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace forebay {

struct Member {
  std::string name;          // Stable: placement hangs on it. [A-Za-z0-9._-], at most 63 bytes.
  std::string address;       // "HOST:PORT" or "unix:PATH".
  std::uint32_t weight = 1;  // Share of the blocks, 1 to 1000.
};

struct MembersFile {
  std::vector<Member> members;           // None is a legal group: reads go to the upstream.
  std::uint32_t block_bytes = 4u << 20;  // A power of two, 64 KiB to 64 MiB.
  std::chrono::milliseconds staleness{60'000};
  std::map<std::string, std::string> options;  // Of the store; never secrets.
  std::vector<std::string> allow;              // URL prefixes that workers may fetch; empty: any.
};

// Parses what CONTRACT.md section 2 calls a members file: a list of members, or a map with
// `members`, `blockSize`, `staleness`, `options`, `allow`.
// Errors: kInvalidArgument, naming the field, its value and what would do.
Result<MembersFile> ParseMembers(const std::string& yaml);

// The same from a file; kNotFound or kDenied if it cannot be read.
Result<MembersFile> ReadMembersFile(const std::string& path);

}  // namespace forebay
