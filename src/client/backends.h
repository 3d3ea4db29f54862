// Backends: everything that the readers of one client share: workers, stores, and what came from
// where.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "client/client.h"
#include "client/stores.h"
#include "client/upstream_reads.h"
#include "client/workers.h"

namespace forebay {

struct ReadLimits {
  std::uint32_t block_bytes = 4u << 20;
  std::uint64_t window_bytes_max = std::uint64_t{16} << 20;
  std::chrono::milliseconds stall_patience{2000};
  std::chrono::milliseconds staleness{60'000};
};

// Thread safety: safe, if its parts are used through their methods.
struct Backends {
  ReadLimits limits;
  Workers workers;
  Stores stores;
  UpstreamReads upstream_reads;
  std::atomic<std::uint64_t> peer_bytes = 0;
  std::atomic<std::uint64_t> upstream_bytes = 0;
  std::atomic<std::uint64_t> checksum_failures = 0;
};

}  // namespace forebay
