// Runs the simulation of a group's membership for a row of seeds.
//
//   sim_group_test [SEEDS [FIRST]]
#include <fmt/format.h>

#include <cstdlib>

#include "sim/group.h"

int main(int count, char** values) {
  const std::uint64_t seeds = count > 1 ? std::strtoull(values[1], nullptr, 10) : 100;
  const std::uint64_t first = count > 2 ? std::strtoull(values[2], nullptr, 10) : 1;
  std::uint64_t failed = 0;
  std::uint64_t maps = 0;
  std::uint64_t rings = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    forebay::sim::Group group(seed);
    const std::string wrong = group.Run();
    maps += group.maps();
    rings += group.rings();
    if (wrong.empty()) continue;
    ++failed;
    fmt::print("FAILED: {}\n  reproduce: sim_group_test 1 {}\n", wrong, seed);
  }
  fmt::print("{} seeds, {} failed: {} maps, {} rings\n", seeds, failed, maps, rings);
  return failed == 0 ? 0 : 1;
}
