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

inline constexpr std::uint32_t kFakeBlockBytes = 128u << 10;

// Hands calls on to the one store of the test, which outlives the client.
class UpstreamLink : public Upstream {
 public:
  explicit UpstreamLink(Upstream& store) : store_(store) {}
  bool ProvenWhileStreaming(const std::string& path) const override {
    return store_.ProvenWhileStreaming(path);
  }
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
  explicit FakePool(std::size_t members, ReadLimits limits = FakeLimits())
      : backends{.limits = limits,
                 .workers = Workers(MakeRing(members), MakeLinks(members), 1),
                 .stores = Stores(UpstreamOptions{},
                                  [this](const Location&, const UpstreamOptions&) {
                                    return Result<std::unique_ptr<Upstream>>(
                                        std::make_unique<UpstreamLink>(store));
                                  }),
                 .upstream_reads = UpstreamReads(AimdOptions{.start = 4, .cap = 16})} {}

  static ReadLimits FakeLimits() {
    return ReadLimits{.block_bytes = kFakeBlockBytes,
                      .window_bytes_max = 8 * kFakeBlockBytes,
                      .stall_patience = std::chrono::milliseconds(2000)};
  }
  static Ring MakeRing(std::size_t members) {
    std::vector<RingMember> ring_members;
    for (std::size_t i = 0; i < members; ++i) {
      ring_members.push_back(RingMember{"w-" + std::to_string(i), 1});
    }
    return Ring::Create(1, std::move(ring_members)).value();
  }
  std::vector<std::unique_ptr<WorkerLink>> MakeLinks(std::size_t members) {
    std::vector<std::unique_ptr<WorkerLink>> links;
    for (std::size_t i = 0; i < members; ++i) {
      auto link = std::make_unique<FakeWorker>(store, kFakeBlockBytes);
      workers.push_back(link.get());
      links.push_back(std::move(link));
    }
    return links;
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
  std::vector<FakeWorker*> workers;  // Owned by the links.
  Backends backends;
  Lookups lookups{backends};
};

}  // namespace forebay
