#include "app/tier_place.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/check.h"

namespace forebay {

bool MayMount() {
  std::ifstream status("/proc/self/status");
  constexpr std::string_view kKey = "CapEff:";
  constexpr unsigned kSysAdmin = 21;
  constexpr int kHexadecimal = 16;
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(kKey)) continue;
    return (std::stoull(line.substr(kKey.size()), nullptr, kHexadecimal) >> kSysAdmin & 1) != 0;
  }
  return false;
}

std::string DefaultTierDirectory(const std::string& state, const std::string& name,
                                 bool own_mount) {
  return own_mount ? fmt::format("{}/{}/tier", state, name)
                   : fmt::format("/dev/shm/forebay-{}/{}", geteuid(), name);
}

void RemoveDefaultTier(const std::string& directory) {
  rmdir(directory.c_str());
  rmdir(std::filesystem::path(directory).parent_path().c_str());
}

std::uint64_t MachineMemoryBytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  CHECK(pages > 0 && page_bytes > 0);
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
}

}  // namespace forebay
