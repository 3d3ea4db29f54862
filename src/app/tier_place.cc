#include "app/tier_place.h"

#include <fstream>
#include <string>
#include <string_view>

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

}  // namespace forebay
