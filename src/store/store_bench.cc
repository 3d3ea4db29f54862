// How long a worker that was killed takes to have its blocks again: MemoryTier::Create on a full
// tier of 2 GiB. Each round is a process that adopts, and is killed.
#include <benchmark/benchmark.h>

#include <chrono>

#include "core/quota.h"
#include "store/tier_fixture.h"

namespace forebay {
namespace {

constexpr std::uint64_t kQuotaBytes = 2ull << 30;

BlockKey KeyOfFile(std::uint64_t number) {
  BlockKey key;
  key.file.path = DigestOf(std::to_string(number / 1000));
  key.index = static_cast<std::uint32_t>(number % 1000);
  return key;
}

std::unique_ptr<MemoryTier> FillAll(const TierOptions& options) {
  auto tier = MemoryTier::Create(options).value();
  const TierLayout layout = LayoutFor(options.quota_bytes, options.block_bytes);
  const std::uint64_t blocks = layout.chunks * layout.chunk_bytes / options.block_bytes;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    CHECK(Fill(*tier, KeyOfFile(i), options.block_bytes, i).ok());
  }
  return tier;
}

void BM_Adopt(benchmark::State& state, bool own_mount) {
  TestDirectory directory;
  TierOptions options = SmallTier(directory, own_mount);
  options.quota_bytes = kQuotaBytes;
  options.block_bytes = static_cast<std::uint32_t>(state.range(0));
  InKilledProcess([&] { return FillAll(options); });
  int fds[2];
  CHECK(pipe(fds) == 0);
  std::uint64_t blocks = 0;
  for (auto _ : state) {
    InKilledProcess([&] {
      const auto began = std::chrono::steady_clock::now();
      auto tier = MemoryTier::Create(options).value();
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
      const std::uint64_t count = tier->adoption().blocks;
      CHECK(write(fds[1], &seconds, sizeof seconds) == sizeof seconds);
      CHECK(write(fds[1], &count, sizeof count) == sizeof count);
      return tier;
    });
    double seconds = 0;
    CHECK(read(fds[0], &seconds, sizeof seconds) == sizeof seconds);
    CHECK(read(fds[0], &blocks, sizeof blocks) == sizeof blocks);
    state.SetIterationTime(seconds);
  }
  close(fds[0]);
  close(fds[1]);
  state.counters["blocks"] = static_cast<double>(blocks);
}

BENCHMARK_CAPTURE(BM_Adopt, directory, false)
    ->Arg(4 << 20)
    ->Arg(64 << 10)
    ->Iterations(5)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Adopt, own_mount, true)
    ->Arg(4 << 20)
    ->Arg(64 << 10)
    ->Iterations(5)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace forebay
