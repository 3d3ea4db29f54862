#include "worker/worker.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "base/metrics.h"
#include "base/units.h"
#include "cluster/group_view.h"
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
// Threads that fetch snapshots. One that is being made is hardly waited for: readers come again,
// and those of other datasets need the threads.
constexpr std::uint32_t kSnapshotThreads = 8;
constexpr std::chrono::milliseconds kSnapshotTimeout{100};
// Answers that are kept beside the snapshot that they are from: it is at hand.
constexpr std::size_t kSnapshotAnswersMax = 1024;

std::uint64_t RandomId() {
  std::uint64_t id = 0;
  CHECK(getrandom(&id, sizeof id, 0) == sizeof id);
  return id;
}

// Of a members file.
Status ValidMember(const WorkerOptions& options) {
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
  if (options.insecure && options.members.allow.empty()) {
    return Error(Code::kInvalidArgument,
                 "--insecure: needs `allow` in the members file: the URL prefixes that workers may "
                 "fetch for anybody who connects");
  }
  return {};
}

Status Validated(const WorkerOptions& options) {
  if (!options.address.is_local() && !options.insecure) {
    return Error(Code::kInvalidArgument,
                 fmt::format("--address \"{}\": beyond loopback nobody is authenticated yet; add "
                             "--insecure if the network is private, or listen on 127.0.0.1",
                             options.address.text));
  }
  if (options.upstream_concurrency < 1 || options.upstream_concurrency > kConcurrencyMax) {
    return Error(Code::kInvalidArgument,
                 fmt::format("--upstream-concurrency {}: 1 to {}", options.upstream_concurrency,
                             kConcurrencyMax));
  }
  return options.control ? Status() : ValidMember(options);
}

// A connection takes a socket and an event descriptor; the store, peers and the tier need some too.
std::uint32_t ConnectionsMax() {
  constexpr rlim_t kOthers = 512;
  constexpr rlim_t kMost = 4096;
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= kOthers) return 64;
  return static_cast<std::uint32_t>(std::min((limit.rlim_cur - kOthers) / 2, kMost));
}

}  // namespace

// In the order of dependence: each part is destroyed before what it uses, and the group's thread
// and the server's end before all.
struct Worker::State {
  std::unique_ptr<GroupSource> group;
  ControlLink* control = nullptr;  // It is the group, if there is a control.
  std::unique_ptr<MemoryTier> tier;
  std::unique_ptr<ServedStores> stores;
  std::unique_ptr<Peers> peers;
  std::unique_ptr<Fills> fills;
  std::unique_ptr<SharedLookups> lookups;
  std::unique_ptr<SharedLookups> snapshots;
  std::unique_ptr<BlockService> service;
  std::unique_ptr<Server> server;

  ~State() {
    // The registry outlives this worker; its gauges must not.
    for (const char* name : {"forebay_cache_used_bytes", "forebay_cache_capacity_bytes"}) {
      Metrics().RemoveGauge(name, {{"tier", "memory"}});
    }
  }

  Status MakeGroup(const WorkerOptions& options);
  Status MakeTier(const WorkerOptions& options, std::uint32_t block_bytes);
  void SetView(const GroupView& view);
  void DropGoneDatasets(const GroupView& before, const GroupView& now);
  void TellFigures(Heartbeat& heartbeat) const;
};

Status Worker::State::MakeGroup(const WorkerOptions& options) {
  if (!options.control) {
    Result<std::unique_ptr<FixedGroup>> fixed = FixedGroup::Create(options.members);
    if (!fixed.ok()) return std::move(fixed).error();
    group = std::move(fixed).value();
    return {};
  }
  ControlLinkOptions link;
  link.control = *options.control;
  link.name = options.name;
  link.figures = [this](Heartbeat& heartbeat) { TellFigures(heartbeat); };
  link.on_view = [this](const std::shared_ptr<const GroupView>& view) { SetView(*view); };
  auto made = std::make_unique<ControlLink>(link, RandomId());
  control = made.get();
  group = std::move(made);
  return {};
}

Status Worker::State::MakeTier(const WorkerOptions& options, std::uint32_t block_bytes) {
  TierOptions tier_options;
  tier_options.directory = options.tier_directory;
  tier_options.own_mount = options.own_mount;
  tier_options.quota_bytes = options.memory_bytes;
  tier_options.block_bytes = block_bytes;
  Result<std::unique_ptr<MemoryTier>> made = MemoryTier::Create(tier_options);
  if (!made.ok()) return std::move(made).error();
  tier = std::move(made).value();
  MemoryTier* raw = tier.get();
  Metrics().SetGauge("forebay_cache_used_bytes", "Bytes of blocks held.", {{"tier", "memory"}},
                     [raw] { return static_cast<double>(raw->usage().used_bytes); });
  Metrics().SetGauge("forebay_cache_capacity_bytes", "Quota of the tier.", {{"tier", "memory"}},
                     [raw] { return static_cast<double>(raw->usage().capacity_bytes); });
  return {};
}

void Worker::State::SetView(const GroupView& view) {
  const std::shared_ptr<const GroupView> before = group->view();
  peers->SetMembers(view.map);
  service->SetView(view);
  if (control == nullptr) return;
  stores->SetDatasets(view);
  DropGoneDatasets(*before, view);
}

// Blocks of datasets that were deleted, or whose blocks have another size now; and, as soon as all
// datasets are known, those that a predecessor left of others.
void Worker::State::DropGoneDatasets(const GroupView& before, const GroupView& now) {
  std::set<DatasetUid> gone;
  for (const auto& [uid, entry] : before.datasets) {
    const auto found = now.datasets.find(uid);
    if (found == now.datasets.end() || found->second->block_bytes != entry->block_bytes) {
      gone.insert(uid);
    }
  }
  const bool others = now.knows_all_datasets && !before.knows_all_datasets;
  if (gone.empty() && !others) return;
  tier->DropIf([&](const BlockKey& key) {
    return gone.contains(key.file.dataset) || (others && !now.datasets.contains(key.file.dataset));
  });
}

void Worker::State::TellFigures(Heartbeat& heartbeat) const {
  const TierUsage usage = tier->usage();
  heartbeat.capacity_bytes = usage.capacity_bytes;
  heartbeat.used_bytes = usage.used_bytes;
  heartbeat.blocks = usage.blocks;
  heartbeat.datasets = stores->Figures();
  const std::size_t known = heartbeat.datasets.size();  // In the order of uids.
  const std::shared_ptr<const GroupView> view = group->view();
  for (const auto& [uid, held] : tier->Usage()) {
    if (!view->datasets.contains(uid)) continue;
    const std::span<DatasetFigures> counted(heartbeat.datasets.data(), known);
    const auto found = std::ranges::lower_bound(counted, uid, {}, &DatasetFigures::uid);
    const bool is_counted = found != counted.end() && found->uid == uid;
    DatasetFigures& figures = is_counted ? *found : heartbeat.datasets.emplace_back();
    figures.uid = uid;
    figures.bytes = held.bytes;
    figures.blocks = held.blocks;
    figures.changes = held.changes;
  }
}

Result<std::unique_ptr<Worker>> Worker::Start(const WorkerOptions& options) {
  if (Status status = Validated(options); !status.ok()) return std::move(status).error();
  Result<UpstreamOptions> upstream = ResolveOptions(options.members.options, options.environment);
  if (!upstream.ok()) return std::move(upstream).error();
  const bool in_group = options.control.has_value();
  const std::string endpoint = in_group ? "" : upstream.value().endpoint;
  const std::uint32_t block_bytes = in_group ? 0 : options.members.block_bytes;
  const std::uint32_t block_bytes_max = in_group ? options.block_bytes_max : block_bytes;

  // First of all: once the tier is there, no failure may remove what a predecessor left in it.
  Result<UniqueFd> listener = Listen(options.address);
  if (!listener.ok()) return std::move(listener).error();
  auto state = std::make_unique<State>();
  Status made = state->MakeGroup(options);
  if (made.ok()) made = state->MakeTier(options, block_bytes_max);
  if (!made.ok()) {
    if (options.address.is_unix()) unlink(options.address.unix_path.c_str());
    return std::move(made).error();
  }
  GroupSource* group = state->group.get();
  state->peers = std::make_unique<Peers>(
      options.name, ChannelOptions{.reader_id = RandomId(),
                                   .block_bytes = block_bytes,
                                   .endpoint = endpoint,
                                   .on_newer = [group](std::uint64_t epoch, std::string_view) {
                                     group->Heard(epoch);
                                   }});
  if (in_group) {
    Result<std::shared_ptr<SnapshotSource>> source =
        SnapshotSource::Create({options.control->text, options.snapshot_directory});
    if (!source.ok()) return std::move(source).error();
    state->stores = std::make_unique<ServedStores>(options.environment, std::move(source).value());
  } else {
    state->stores =
        std::make_unique<ServedStores>(std::move(upstream).value(), options.members.allow);
  }
  state->fills = std::make_unique<Fills>(
      FillOptions{.upstream_threads = options.upstream_concurrency}, *state->group, *state->peers);
  state->lookups = std::make_unique<SharedLookups>(LookupOptions{});
  state->snapshots =
      std::make_unique<SharedLookups>(LookupOptions{.threads = in_group ? kSnapshotThreads : 1,
                                                    .names_max = kSnapshotAnswersMax,
                                                    .pages_max = 1,
                                                    .timeout = kSnapshotTimeout,
                                                    .fetch_listings = false});
  state->service = std::make_unique<BlockService>(
      BlockService::Parts{options.name, endpoint, block_bytes, block_bytes_max, *state->tier,
                          *state->stores, *state->fills, *state->lookups, *state->snapshots,
                          *state->group},
      HotFilesOptions{.members = 1, .capacity_bytes = options.memory_bytes});
  if (!in_group) state->SetView(*state->group->view());
  Result<std::unique_ptr<Server>> server = Server::Start(
      ServerOptions{.address = options.address,
                    .connections_max = ConnectionsMax(),
                    .unsent_bytes_max = std::clamp(block_bytes_max / 2, 16u << 10, 1u << 20)},
      std::move(listener).value(), *state->service);
  if (!server.ok()) return std::move(server).error();
  state->server = std::move(server).value();
  if (state->control != nullptr) state->control->Start(state->server->address().text);
  return std::unique_ptr<Worker>(new Worker(std::move(state)));
}

Worker::Worker(std::unique_ptr<State> state) : state_(std::move(state)) {}

Status Worker::AwaitJoined(std::stop_token stop) {
  return state_->control != nullptr ? state_->control->AwaitJoined(std::move(stop)) : Status();
}

void Worker::Leave() {
  if (state_->control != nullptr) state_->control->Leave();
}

Worker::~Worker() {
  if (state_->control != nullptr) state_->control->Stop();
  state_->server.reset();
  // Before the fills that its replies may still begin, and the group that they wait for.
  state_->service.reset();
  // Fills first: their writers and the replies' leases belong to the tier.
  state_->fills.reset();
}

const Address& Worker::address() const {
  return state_->server->address();
}

TierUsage Worker::usage() const {
  return state_->tier->usage();
}

}  // namespace forebay
