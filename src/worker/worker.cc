#include "worker/worker.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "base/metrics.h"
#include "base/units.h"
#include "rpc/server.h"
#include "upstream/upstream.h"
#include "worker/block_service.h"
#include "worker/fills.h"
#include "worker/lookups.h"
#include "worker/peers.h"
#include "worker/stores.h"

namespace forebay {
namespace {

constexpr std::uint32_t kConcurrencyMax = 256;

std::uint64_t RandomId() {
  std::uint64_t id = 0;
  CHECK(getrandom(&id, sizeof id, 0) == sizeof id);
  return id;
}

Status Validated(const WorkerOptions& options) {
  const Member* self = nullptr;
  for (const Member& member : options.members.members) {
    if (member.name == options.name) self = &member;
  }
  if (self == nullptr) {
    return Error(
        Code::kInvalidArgument,
        "--name \"" + options.name + "\": not in the members file; add it, or use a name of it");
  }
  if (self->address != options.address.text) {
    return Error(Code::kInvalidArgument,
                 fmt::format("--address \"{}\": the members file says {} for {}; make them agree",
                             options.address.text, self->address, options.name));
  }
  if (!options.address.is_local() && !options.insecure) {
    return Error(Code::kInvalidArgument,
                 fmt::format("--address \"{}\": beyond loopback nobody is authenticated yet; add "
                             "--insecure if the network is private, or listen on 127.0.0.1",
                             options.address.text));
  }
  if (options.insecure && options.members.allow.empty()) {
    return Error(Code::kInvalidArgument,
                 "--insecure: needs `allow` in the members file: the URL prefixes that workers may "
                 "fetch for anybody who connects");
  }
  if (options.upstream_concurrency < 1 || options.upstream_concurrency > kConcurrencyMax) {
    return Error(Code::kInvalidArgument,
                 fmt::format("--upstream-concurrency {}: 1 to {}", options.upstream_concurrency,
                             kConcurrencyMax));
  }
  return {};
}

}  // namespace

// In the order of dependence: each part is destroyed before what it uses.
struct Worker::State {
  std::unique_ptr<MemoryTier> tier;
  std::unique_ptr<ServedStores> stores;
  std::unique_ptr<Peers> peers;
  std::unique_ptr<Fills> fills;
  std::unique_ptr<SharedLookups> lookups;
  std::unique_ptr<BlockService> service;
  std::unique_ptr<Server> server;

  ~State() {
    // The registry outlives this worker; its gauges must not.
    for (const char* name : {"forebay_cache_used_bytes", "forebay_cache_capacity_bytes"}) {
      Metrics().RemoveGauge(name, {{"tier", "memory"}});
    }
  }
};

Result<std::unique_ptr<Worker>> Worker::Start(const WorkerOptions& options) {
  if (Status status = Validated(options); !status.ok()) return std::move(status).error();
  Result<UpstreamOptions> upstream = ResolveOptions(options.members.options, options.environment);
  if (!upstream.ok()) return std::move(upstream).error();
  const std::string endpoint = upstream.value().endpoint;
  const std::uint32_t block_bytes = options.members.block_bytes;

  auto state = std::make_unique<State>();
  Result<std::unique_ptr<Peers>> peers = Peers::Create(
      options.members, options.name,
      ChannelOptions{.reader_id = RandomId(), .block_bytes = block_bytes, .endpoint = endpoint});
  if (!peers.ok()) return std::move(peers).error();
  state->peers = std::move(peers).value();

  TierOptions tier_options;
  tier_options.directory = options.tier_directory;
  tier_options.own_mount = options.own_mount;
  tier_options.quota_bytes = options.memory_bytes;
  tier_options.block_bytes = block_bytes;
  Result<std::unique_ptr<MemoryTier>> tier = MemoryTier::Create(std::move(tier_options));
  if (!tier.ok()) return std::move(tier).error();
  state->tier = std::move(tier).value();
  MemoryTier* raw_tier = state->tier.get();
  Metrics().SetGauge("forebay_cache_used_bytes", "Bytes of blocks held.", {{"tier", "memory"}},
                     [raw_tier] { return static_cast<double>(raw_tier->usage().used_bytes); });
  Metrics().SetGauge("forebay_cache_capacity_bytes", "Quota of the tier.", {{"tier", "memory"}},
                     [raw_tier] { return static_cast<double>(raw_tier->usage().capacity_bytes); });

  state->stores =
      std::make_unique<ServedStores>(std::move(upstream).value(), options.members.allow);
  state->fills = std::make_unique<Fills>(
      FillOptions{.block_bytes = block_bytes, .upstream_threads = options.upstream_concurrency},
      *state->peers);
  state->lookups = std::make_unique<SharedLookups>(LookupOptions{});
  state->service = std::make_unique<BlockService>(
      BlockService::Parts{options.name, endpoint, block_bytes, *state->tier, *state->stores,
                          *state->fills, *state->lookups},
      HotFilesOptions{.members = static_cast<std::uint32_t>(options.members.members.size()),
                      .capacity_bytes = options.memory_bytes});
  Result<std::unique_ptr<Server>> server = Server::Start(
      ServerOptions{.address = options.address,
                    .unsent_bytes_max = std::clamp(block_bytes / 8, 16u << 10, 512u << 10)},
      *state->service);
  if (!server.ok()) return std::move(server).error();
  state->server = std::move(server).value();
  return std::unique_ptr<Worker>(new Worker(std::move(state)));
}

Worker::Worker(std::unique_ptr<State> state) : state_(std::move(state)) {}

Worker::~Worker() {
  // Fills first: their writers and the replies' leases belong to the tier.
  state_->server.reset();
  state_->fills.reset();
}

const Address& Worker::address() const {
  return state_->server->address();
}

TierUsage Worker::usage() const {
  return state_->tier->usage();
}

}  // namespace forebay
