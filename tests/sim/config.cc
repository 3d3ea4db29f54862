#include "sim/config.h"

#include <fmt/format.h>

#include <array>

#include "base/rng.h"

namespace forebay::sim {
namespace {

std::uint32_t Draw(Rng& rng, std::uint32_t from, std::uint32_t to) {
  return from + static_cast<std::uint32_t>(rng.Below(to - from + 1));
}

// Half of the worlds do not know a fault at all.
std::uint32_t Maybe(Rng& rng, std::uint32_t most) {
  return rng.Chance(1, 2) ? 0 : Draw(rng, 1, most);
}

}  // namespace

Config DrawConfig(std::uint64_t seed) {
  Rng rng(seed);
  Config config;
  config.seed = seed;
  config.workers = Draw(rng, 1, 6);
  config.readers = Draw(rng, 1, 8);
  config.files = Draw(rng, 1, 10);
  config.blocks_max = Draw(rng, 1, 6);
  config.opens = Draw(rng, 10, 40);
  config.tenants = Draw(rng, 1, 3);
  config.in_order = rng.Chance(1, 2);
  config.chunks = Draw(rng, 1, 12);
  config.places = Draw(rng, 1, 3);
  config.waiting_max = rng.Chance(1, 3) ? Draw(rng, 1, 4) : 64;
  config.flights_max = rng.Chance(1, 3) ? Draw(rng, 1, 4) : 64;
  config.waiters_max = rng.Chance(1, 3) ? Draw(rng, 1, 3) : 64;
  config.upstream_max = Draw(rng, 1, 4);
  if (rng.Chance(1, 5)) return config;  // A calm world.
  if (rng.Chance(1, 3)) {
    // Only the ring changes, or only workers die: here every read of the store is counted.
    config.deaf = Maybe(rng, 1000);
    config.rings_max = static_cast<std::uint32_t>(rng.Below(3));
    config.ring_changes = rng.Chance(3, 4);
    config.crashes = rng.Chance(1, 3);
    config.duplicate = Maybe(rng, 100);
    if (rng.Chance(3, 4)) {
      config.hand_over = std::chrono::milliseconds(Draw(rng, 10, 100));
      config.workers = Draw(rng, 3, 6);
      config.readers = Draw(rng, 4, 8);
      config.files = Draw(rng, 10, 60);  // So that many are cold whenever the ring changes.
      config.chunks = Draw(rng, 8, 100);
      config.waiting_max = config.flights_max = config.waiters_max = 64;
    }
    return config;
  }
  config.deaf = Maybe(rng, 1000);
  config.lose = Maybe(rng, 80);
  config.duplicate = Maybe(rng, 100);
  config.late = Maybe(rng, 100);
  config.stall = Maybe(rng, 300);
  config.store_fails = Maybe(rng, 200);
  config.crashes = rng.Chance(1, 2);
  config.pauses = rng.Chance(1, 2);
  config.cuts = rng.Chance(1, 2);
  config.ring_changes = rng.Chance(1, 2);
  config.overwrites = rng.Chance(1, 2);
  constexpr std::array<std::uint32_t, 4> kBounds = {0, 2, 20, 300};
  config.staleness = std::chrono::milliseconds(kBounds[rng.Below(kBounds.size())]);
  if (!config.overwrites && rng.Chance(1, 4)) config.staleness = std::chrono::milliseconds::max();
  return config;
}

std::string Describe(const Config& c) {
  return fmt::format(
      "workers {} readers {} files {} x {} blocks, opens {}, tenants {}, in order {}, chunks {}, "
      "places {}, waiting {}, flights {}, waiters {}, upstream {}, staleness {} ms, lose {}, "
      "duplicate {}, late {}, stall {}, store fails {}, crashes {}, pauses {}, cuts {}, ring "
      "changes {} at most {} every {} ms, deaf {}, overwrites {}",
      c.workers, c.readers, c.files, c.blocks_max, c.opens, c.tenants, c.in_order, c.chunks,
      c.places, c.waiting_max, c.flights_max, c.waiters_max, c.upstream_max, c.staleness.count(),
      c.lose, c.duplicate, c.late, c.stall, c.store_fails, c.crashes, c.pauses, c.cuts,
      c.ring_changes, c.rings_max, c.hand_over.count(), c.deaf, c.overwrites);
}

}  // namespace forebay::sim
