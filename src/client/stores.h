// Stores: the under-storages that this client's URLs point to, each made when first needed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/result.h"
#include "cluster/snapshot_source.h"
#include "core/ids.h"
#include "core/staleness.h"
#include "upstream/upstream.h"

namespace forebay {

// What a dataset says about how it is read.
struct StoreRules {
  std::uint32_t block_bytes = 4u << 20;
  std::chrono::milliseconds staleness{60'000};  // max(): pinned.
  // How often the dataset was refreshed: what was asked for under a smaller number is not used.
  std::uint64_t refreshed = 0;
  // How many holders every block has at least.
  std::uint32_t replicas = 1;

  bool pinned() const { return StalenessBound(staleness).pinned(); }
};

// One store as it was at one moment. Immutable; a change makes another one.
struct Store {
  std::string url;  // "s3://BUCKET", "file://" or "dataset:UID": what workers are told.
  DatasetUid dataset;
  std::shared_ptr<Upstream> upstream;
  StoreRules rules;
  // Of a pinned dataset: who knows what is there. Null: only the store does.
  std::shared_ptr<SnapshotSource> snapshots = nullptr;
};
using StoreRef = std::shared_ptr<const Store>;

// What a URL names.
struct Place {
  StoreRef store;
  std::string path;
};

// One version of one file: what blocks are blocks of.
struct FileVersion {
  StoreRef store;
  std::string path;
  Attributes attributes;
  FileKey key;
};

std::shared_ptr<const FileVersion> MakeFileVersion(const Place& place, Attributes attributes);

// The stores of bare URLs.
//
// Thread safety: safe.
class Stores {
 public:
  using Factory =
      std::function<Result<std::unique_ptr<Upstream>>(const Location&, const UpstreamOptions&)>;
  // One client talks to few stores; each has its own connections.
  static constexpr std::size_t kStoresMax = 256;

  // `factory` is MakeUpstream, but for tests. `rules` are those of all of them.
  Stores(UpstreamOptions options, StoreRules rules, Factory factory)
      : options_(std::move(options)), rules_(rules), factory_(std::move(factory)) {}

  // Errors: kInvalidArgument (not a URL), kOverloaded (more than kStoresMax stores), and those of
  // MakeUpstream.
  Result<Place> Find(const std::string& url) EXCLUDES(mutex_);

 private:
  const UpstreamOptions options_;
  const StoreRules rules_;
  const Factory factory_;
  Mutex mutex_;
  std::map<std::string, StoreRef> stores_ GUARDED_BY(mutex_);
};

}  // namespace forebay
