// What checking every byte costs.
#include <benchmark/benchmark.h>

#include "base/crc32c.h"

namespace forebay {
namespace {

// range(0): bytes in the buffer; one granule lies in the second-level cache, 256 MiB do not.
void BM_Crc32cOfGranules(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{0x5a});
  for (auto _ : state) {
    for (std::size_t at = 0; at < bytes.size(); at += kGranuleBytes) {
      const std::span<const std::byte> granule(bytes.data() + at, kGranuleBytes);
      benchmark::DoNotOptimize(Crc32c(granule));
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Crc32cOfGranules)->Arg(kGranuleBytes)->Arg(256 << 20);

}  // namespace
}  // namespace forebay
