// ServedStores: the upstreams of a worker, and what it may fetch from them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "core/ids.h"
#include "upstream/upstream.h"

namespace forebay {

// One store of a worker. Lives as long as the worker.
struct ServedStore {
  std::unique_ptr<Upstream> upstream;
  std::string root;     // Prefix of every path that the upstream is asked for, cut off before.
  std::string dataset;  // Label in metrics.
  DatasetUid uid;
};

// A path in a store, as its upstream takes it.
struct StorePath {
  ServedStore* store = nullptr;
  std::string path;
};

// An entry of `allow`: a URL prefix; "s3://" is every bucket. Errors: those of ParseLocation.
Result<Location> AllowedPrefix(const std::string& url);

// Thread safety: safe.
class ServedStores {
 public:
  // `allow`: URL prefixes, matched by whole components; empty: anything but "file:".
  ServedStores(UpstreamOptions options, const std::vector<std::string>& allow);

  // The store of `url` ("s3://BUCKET" or "file://") and `path` in it.
  // Errors: kDenied if `allow` does not cover it; kInvalidArgument; kOverloaded beyond kStoresMax.
  Result<StorePath> Find(const std::string& url, const std::string& path) EXCLUDES(mutex_);

 private:
  static constexpr std::size_t kStoresMax = 64;

  // The prefix that covers `location`, if any.
  const Location* Covering(const Location& location) const;

  const UpstreamOptions options_;
  std::vector<Location> allow_;
  Status allow_status_;
  Mutex mutex_;
  std::map<std::string, std::unique_ptr<ServedStore>> stores_ GUARDED_BY(mutex_);
};

}  // namespace forebay
