// MountStats: what a mount has done, and what it tells of that in `.forebay`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/metrics.h"
#include "client/client.h"
#include "mount/request.h"

namespace forebay {

// What is so at this moment.
struct MountFigures {
  SourceBytes source_bytes;
  std::uint64_t checksum_failures = 0;
  std::uint64_t nodes = 0;
  std::uint64_t open_files = 0;
  std::uint64_t open_directories = 0;
  std::uint64_t processes = 0;  // That have served the mount, one after the other.
  std::uint64_t epoch = 0;      // Of the group's map; 0: none is known.
  bool passes_through = false;  // The kernel may read files by itself.
  std::vector<PoolMember> members;
};

// What it was told when it was made.
struct MountFacts {
  std::string version;  // Of this program.
  std::string source;   // As it was named.
  std::string root;     // Its URL.
  std::string directory;
  std::string config;  // The file of that name.
};

// Thread safety: safe. Counts are of the process.
class MountStats {
 public:
  MountStats();

  // An answer with `error`, or else `bytes` of a file.
  void Count(const Request& request, int error, std::size_t bytes);

  // `.forebay/stats`: Prometheus text format, with all metrics of this process.
  static std::string Text(const MountFigures& figures);

 private:
  std::array<Counter*, std::variant_size_v<FuseCall>> requests_{};  // By kind of call. Null: none.
};

// `.forebay/status`: JSON.
std::string MountStatusText(const MountFacts& facts, const MountFigures& figures);

}  // namespace forebay
