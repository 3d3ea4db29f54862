// What framing costs beside the bytes that are framed.
#include <benchmark/benchmark.h>

#include "wire/frame.h"
#include "wire/messages.h"

namespace forebay {
namespace {

void BM_EncodeFrameHeader(benchmark::State& state) {
  FrameHeader header;
  header.type = FrameType::kBlockData;
  for (auto _ : state) {
    ++header.request_id;
    benchmark::DoNotOptimize(EncodeFrameHeader(header));
  }
}
BENCHMARK(BM_EncodeFrameHeader);

void BM_DecodeFrameHeader(benchmark::State& state) {
  FrameHeader header;
  header.type = FrameType::kBlockData;
  const FrameHeaderBytes bytes = EncodeFrameHeader(header);
  for (auto _ : state) benchmark::DoNotOptimize(DecodeFrameHeader(bytes));
}
BENCHMARK(BM_DecodeFrameHeader);

// A request, as the client makes it and the worker takes it apart.
void BM_ReadBlockRequest(benchmark::State& state) {
  const ReadBlock request = {.store = "s3://bucket",
                             .path = "prices/2024/AAPL.bin",
                             .version = "\"d41d8cd98f00b204e9800998ecf8427e\"",
                             .file_size = 30'000'000,
                             .index = 3,
                             .offset = 0,
                             .length = 4u << 20};
  for (auto _ : state) benchmark::DoNotOptimize(DecodeReadBlock(Encode(request)));
}
BENCHMARK(BM_ReadBlockRequest);

// The head of a reply with range(0) granules.
void BM_BlockDataHead(benchmark::State& state) {
  BlockData data;
  data.checksums.assign(static_cast<std::size_t>(state.range(0)), 0x1234'5678);
  for (auto _ : state) benchmark::DoNotOptimize(DecodeBlockData(Encode(data)));
}
BENCHMARK(BM_BlockDataHead)->Arg(1)->Arg(64);

}  // namespace
}  // namespace forebay
