// FakePool: Backends over fake workers and a fake store, for tests.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/backends.h"
#include "client/fake_upstream.h"
#include "client/fake_worker.h"
#include "client/lookups.h"

namespace forebay {

inline constexpr std::uint64_t kFakeBlockBytes = 128u << 10;

// Hands calls on to the one store of the test, which outlives the client.
class UpstreamLink : public Upstream {
 public:
  explicit UpstreamLink(Upstream& store) : store_(store) {}
  bool ProvenWhileStreaming(const std::string& path) const override {
    return store_.ProvenWhileStreaming(path);
  }
  bool MayBeBoth(const std::string& path) const override { return store_.MayBeBoth(path); }
  Result<Attributes> Stat(const std::string& path, Deadline deadline,
                          std::stop_token stop) override {
    return store_.Stat(path, deadline, stop);
  }
  Result<ListPage> List(const std::string& directory, const std::string& after, Deadline deadline,
                        std::stop_token stop) override {
    return store_.List(directory, after, deadline, stop);
  }
  Result<ReadOutcome> Read(const ReadRange& range, ByteSink& sink, Deadline deadline,
                           std::stop_token stop) override {
    return store_.Read(range, sink, deadline, stop);
  }

 private:
  Upstream& store_;
};

struct FakePool {
  explicit FakePool(std::size_t members, ReadLimits limits = FakeLimits(),
                    StoreRules rules = {.block_bytes = kFakeBlockBytes})
      : backends{.limits = limits,
                 .workers = Workers(
                     [this](const std::string& address, Workers::OnNewer on_newer) {
                       return MakeLink(address, std::move(on_newer));
                     },
                     1),
                 .stores = Stores(UpstreamOptions{}, rules,
                                  [this](const Location&, const UpstreamOptions&) {
                                    return Result<std::unique_ptr<Upstream>>(
                                        std::make_unique<UpstreamLink>(store));
                                  }),
                 .datasets = nullptr,
                 .upstream_reads = UpstreamReads(AimdOptions{.start = 4, .cap = 16})} {
    if (members > 0) CHECK(backends.workers.Adopt(FakeMap(1, Names(members))).ok());
  }

  static ReadLimits FakeLimits() {
    return ReadLimits{.window_bytes_max = 8 * kFakeBlockBytes,
                      .stall_patience = std::chrono::milliseconds(2000)};
  }
  // "w-0", "w-1", ...
  static std::vector<std::string> Names(std::size_t members) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < members; ++i) names.push_back("w-" + std::to_string(i));
    return names;
  }
  // Members in byte order of their names, each at an address that is its name.
  static GroupMap FakeMap(std::uint64_t epoch, const std::vector<std::string>& names,
                          const std::string& masked = "") {
    GroupMap map;
    map.epoch = epoch;
    map.ring.epoch = epoch;
    for (const std::string& name : names) {
      map.ring.members.push_back(RingMember{name, 1});
      map.members.push_back(MapMember{.name = name, .address = name, .masked = name == masked});
    }
    return map;
  }
  Result<std::unique_ptr<WorkerLink>> MakeLink(const std::string& /*address*/,
                                               Workers::OnNewer on_newer) {
    auto link = std::make_unique<FakeWorker>(store, kFakeBlockBytes, std::move(on_newer));
    workers.push_back(link.get());
    return std::unique_ptr<WorkerLink>(std::move(link));
  }
  // Puts a file into the store, and says what it is.
  std::shared_ptr<const FileVersion> Put(const std::string& path, const std::string& version,
                                         std::uint64_t size) {
    store.Put(path, version, size);
    return MakeFileVersion(
        backends.stores.Find("s3://b/" + path).value(),
        Attributes{.type = FileType::kFile, .size = size, .mtime_ns = 1, .version = version});
  }
  std::size_t calls() const {
    std::size_t all = 0;
    for (const FakeWorker* worker : workers) all += worker->calls().size();
    return all;
  }

  FakeUpstream store;
  std::vector<FakeWorker*> workers;  // In order of their making; owned by the rosters.
  Backends backends;
  Lookups lookups{backends};
};

}  // namespace forebay
