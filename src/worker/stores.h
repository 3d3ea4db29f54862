// ServedStores: the upstreams of a worker, and what it may fetch from them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/mutex.h"
#include "base/result.h"
#include "cluster/group_view.h"
#include "cluster/snapshot_source.h"
#include "core/ids.h"
#include "upstream/upstream.h"

namespace forebay {

// Totals of a dataset since the process started.
struct DatasetCounters {
  std::atomic<std::uint64_t> hits = 0;
  std::atomic<std::uint64_t> misses = 0;
  std::atomic<std::uint64_t> upstream_requests = 0;
  std::atomic<std::uint64_t> upstream_bytes = 0;
  std::atomic<std::uint64_t> upstream_errors = 0;
};

// How a block came to be sent, and what a request for it met.
enum class BlockSource : std::uint8_t { kLocal, kPeer, kUpstream };
enum class CacheResult : std::uint8_t { kHit, kMiss, kCoalesced };

// What is counted for each read, found once: that takes longer than to count.
//
// Thread safety: safe.
class ReadMetrics {
 public:
  ReadMetrics(const std::string& dataset, const std::string& name_space);

  Counter& requests(CacheResult result) const {
    return *requests_[static_cast<std::size_t>(result)];
  }
  Counter& bytes(BlockSource source) const { return *bytes_[static_cast<std::size_t>(source)]; }
  Histogram& duration(BlockSource source) const {
    return *durations_[static_cast<std::size_t>(source)];
  }

 private:
  std::array<Counter*, 3> requests_{};
  std::array<Counter*, 3> bytes_{};
  std::array<Histogram*, 3> durations_{};
};

// One store of a worker, as it is now. Who holds it goes on with it when the dataset changes.
struct ServedStore {
  std::shared_ptr<Upstream> upstream;
  std::uint64_t number = 0;  // Of the upstream, never used again: what is known of it hangs on it.
  std::string root;          // Prefix of every path that the upstream is asked for, cut off before.
  std::string dataset;       // Labels in metrics.
  std::string name_space;
  DatasetUid uid;
  std::shared_ptr<const DatasetEntry> entry;  // Null: a store of a members file.
  std::shared_ptr<DatasetCounters> counters;
  std::shared_ptr<const ReadMetrics> metrics;  // By the labels.
  // Of a pinned dataset: the same, but what is there is asked of its snapshot. It cannot be read.
  std::shared_ptr<const ServedStore> snapshot;
};

// A path in a store, as its upstream takes it.
struct StorePath {
  std::shared_ptr<const ServedStore> store;
  std::string path;
};

// An entry of `allow`: a URL prefix; "s3://" is every bucket. Errors: those of ParseLocation.
Result<Location> AllowedPrefix(const std::string& url);

// Thread safety: safe.
class ServedStores {
 public:
  using Environment = std::map<std::string, std::string>;

  // With a members file: whatever URL `allow` covers. `allow`: URL prefixes, matched by whole
  // components; empty: anything but "file:".
  ServedStores(UpstreamOptions options, const std::vector<std::string>& allow);
  // In a group: its datasets, and nothing else. `environment`: for credentials that a dataset
  // lacks. `snapshots`: of those that are pinned.
  ServedStores(Environment environment, std::shared_ptr<SnapshotSource> snapshots);

  // The store of `url` ("s3://BUCKET", "file://" or "dataset:UID") and `path` in it.
  // Errors: kDenied if `allow` does not cover it; kInvalidArgument; kOverloaded beyond kStoresMax;
  // kUnavailable: the dataset is not known (yet), or its mounts make no store.
  Result<StorePath> Find(const std::string& url, const std::string& path) EXCLUDES(mutex_);

  // The datasets there are from now on. Those that were there keep their counters, and their
  // upstream unless their mounts changed.
  void SetDatasets(const GroupView& view) EXCLUDES(mutex_);

  // Of all datasets that are there, in the order of uids: counters only.
  std::vector<DatasetFigures> Figures() const EXCLUDES(mutex_);

 private:
  static constexpr std::size_t kStoresMax = 64;
  using StorePointer = std::shared_ptr<const ServedStore>;

  // The prefix that covers `location`, if any.
  const Location* Covering(const Location& location) const;
  Result<StorePath> FindDataset(DatasetUid uid, const std::string& path) EXCLUDES(mutex_);
  Result<StorePath> FindLocation(const std::string& url, const std::string& path) EXCLUDES(mutex_);
  // Sets what hangs on `store.entry`.
  void SetSnapshot(ServedStore& store) const;
  Result<std::shared_ptr<Upstream>> Mounted(const DatasetEntry& entry,
                                            const std::shared_ptr<DatasetCounters>& counters) const;

  const bool in_group_;
  const UpstreamOptions options_;
  const Environment environment_;
  const std::shared_ptr<SnapshotSource> snapshots_;
  std::vector<Location> allow_;
  Status allow_status_;
  mutable Mutex mutex_;
  std::uint64_t numbers_ GUARDED_BY(mutex_) = 0;
  std::map<std::string, StorePointer> stores_ GUARDED_BY(mutex_);
  std::map<DatasetUid, std::shared_ptr<const DatasetEntry>> entries_ GUARDED_BY(mutex_);
  std::map<DatasetUid, std::shared_ptr<DatasetCounters>> counters_ GUARDED_BY(mutex_);
  std::map<DatasetUid, StorePointer> datasets_ GUARDED_BY(mutex_);  // Made when first asked for.
};

}  // namespace forebay
