// Backends: everything that the readers of one client share: workers, stores, and what came from
// where.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "client/client.h"
#include "client/datasets.h"
#include "client/stores.h"
#include "client/upstream_reads.h"
#include "client/workers.h"

namespace forebay {

struct ReadLimits {
  std::uint64_t window_bytes_max = std::uint64_t{16} << 20;
  std::chrono::milliseconds stall_patience{2000};
};

// Thread safety: safe, if its parts are used through their methods.
struct Backends {
  ReadLimits limits;
  std::uint64_t seed = 0;  // Differs from client to client.
  Workers workers;
  Stores stores;
  std::unique_ptr<Datasets> datasets;  // Null: without a group.
  UpstreamReads upstream_reads;
  std::atomic<std::uint64_t> local_bytes = 0;
  std::atomic<std::uint64_t> peer_bytes = 0;
  std::atomic<std::uint64_t> upstream_bytes = 0;
  std::atomic<std::uint64_t> checksum_failures = 0;

  // What `url` names. Errors: those of Stores::Find or, for a dataset's, of Datasets::Find.
  Result<Place> Find(const std::string& url, Deadline deadline, std::stop_token stop);
};

}  // namespace forebay
