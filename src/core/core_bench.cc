// What the decisions on the data path cost.
#include <benchmark/benchmark.h>

#include <array>
#include <string>
#include <vector>

#include "base/rng.h"
#include "core/eviction.h"
#include "core/ring.h"

namespace forebay {
namespace {

Ring MakeRing(std::int64_t members, bool weighted) {
  std::vector<RingMember> list;
  for (std::int64_t i = 0; i < members; ++i) list.push_back({"default-" + std::to_string(i), 1});
  if (weighted) list[0].weight = 2;
  return Ring::Create(1, std::move(list)).value();
}

void Holders(benchmark::State& state, bool weighted) {
  const Ring ring = MakeRing(state.range(0), weighted);
  std::array<std::uint32_t, 4> out{};
  std::uint64_t hash = 0;
  for (auto _ : state) benchmark::DoNotOptimize(ring.Holders(Mix64(++hash), out));
}
void BM_HoldersEqualWeights(benchmark::State& state) {
  Holders(state, false);
}
void BM_HoldersUnequalWeights(benchmark::State& state) {
  Holders(state, true);
}
BENCHMARK(BM_HoldersEqualWeights)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(BM_HoldersUnequalWeights)->Arg(10)->Arg(100);

// One read of a tier of range(0) blocks by a skewed stream over four times as many.
void BM_EvictionRead(benchmark::State& state) {
  const auto blocks = static_cast<std::uint64_t>(state.range(0));
  Eviction eviction;
  Rng rng(1);
  BlockKey key;
  for (auto _ : state) {
    key.file.domain.value = rng.Below(1 + rng.Below(4 * blocks));
    if (eviction.Contains(key)) {
      eviction.Touched(key);
      continue;
    }
    if (eviction.size() >= blocks) {
      eviction.Removed(*eviction.Victim([](const BlockKey&) { return false; }), Removal::kEvicted);
    }
    eviction.Inserted(key, 4096);
  }
}
BENCHMARK(BM_EvictionRead)->Arg(1000)->Arg(100'000);

}  // namespace
}  // namespace forebay
