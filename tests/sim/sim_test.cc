// Runs the simulation for a row of seeds, and says how to see a failure again.
//
//   sim_test [--seeds COUNT] [--first SEED] [--verbose]
#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "sim/config.h"
#include "sim/world.h"

namespace forebay::sim {
namespace {

struct Arguments {
  std::uint64_t seeds = 100;
  std::uint64_t first = 1;
  bool verbose = false;
};

Arguments Parse(int count, char** values) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const bool more = i + 1 < count;
    if (std::strcmp(values[i], "--seeds") == 0 && more) {
      arguments.seeds = std::strtoull(values[++i], nullptr, 10);
    } else if (std::strcmp(values[i], "--first") == 0 && more) {
      arguments.first = std::strtoull(values[++i], nullptr, 10);
    } else if (std::strcmp(values[i], "--verbose") == 0) {
      arguments.verbose = true;
    } else {
      fmt::print(stderr, "usage: sim_test [--seeds COUNT] [--first SEED] [--verbose]\n");
      std::exit(2);
    }
  }
  return arguments;
}

// For the handler below, which can be told nothing.
std::uint64_t running_seed = 0;

// A broken invariant of src/core aborts: say where.
void OnAbort(int /*signal*/) {
  fmt::print("FAILED: aborted\n  reproduce: sim_test --seeds 1 --first {}\n", running_seed);
  std::fflush(stdout);
  std::_Exit(1);
}

Outcome RunSeed(std::uint64_t seed) {
  running_seed = seed;
  return World(DrawConfig(seed)).Run();
}

// What went wrong; empty if nothing.
std::string TrySeed(std::uint64_t seed, Outcome& outcome) {
  outcome = RunSeed(seed);
  if (!outcome.violation.empty()) return outcome.violation;
  // Every tenth seed twice: the order of events must follow from the seed alone.
  if (seed % 10 == 0 && RunSeed(seed).digest != outcome.digest) return "two runs differ";
  return {};
}

int Run(const Arguments& arguments) {
  std::signal(SIGABRT, OnAbort);
  Outcome sum;
  std::uint64_t failed = 0;
  for (std::uint64_t seed = arguments.first; seed < arguments.first + arguments.seeds; ++seed) {
    Outcome outcome;
    const std::string wrong = TrySeed(seed, outcome);
    if (arguments.verbose) {
      fmt::print("seed {}: {} events, {} blocks, {} fetches, {} direct\n", seed, outcome.events,
                 outcome.blocks_read, outcome.fetches, outcome.direct);
    }
    sum.events += outcome.events;
    sum.blocks_read += outcome.blocks_read;
    sum.fetches += outcome.fetches;
    sum.direct += outcome.direct;
    if (wrong.empty()) continue;
    ++failed;
    fmt::print("FAILED: {}\n  world: {}\n  reproduce: sim_test --seeds 1 --first {}\n", wrong,
               Describe(DrawConfig(seed)), seed);
  }
  fmt::print(
      "{} seeds, {} failed: {} events, {} blocks read, {} fetched by workers, {} read "
      "directly\n",
      arguments.seeds, failed, sum.events, sum.blocks_read, sum.fetches, sum.direct);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace forebay::sim

int main(int count, char** values) {
  return forebay::sim::Run(forebay::sim::Parse(count, values));
}
