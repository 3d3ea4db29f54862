// Stores: the under-storages that this client's URLs point to, each made when first needed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/result.h"
#include "core/ids.h"
#include "upstream/upstream.h"

namespace forebay {

// One store. Immutable, and as long-lived as its Stores.
struct Store {
  std::string url;  // "s3://BUCKET" or "file://": what workers are told.
  DatasetUid dataset;
  std::unique_ptr<Upstream> upstream;
};

// What a URL names.
struct Place {
  Store* store = nullptr;
  std::string path;
};

// One version of one file: what blocks are blocks of.
struct FileVersion {
  Store* store = nullptr;
  std::string path;
  Attributes attributes;
  FileKey key;
};

std::shared_ptr<const FileVersion> MakeFileVersion(const Place& place, Attributes attributes);

// Thread safety: safe.
class Stores {
 public:
  using Factory =
      std::function<Result<std::unique_ptr<Upstream>>(const Location&, const UpstreamOptions&)>;
  // One client talks to few stores; each has its own connections.
  static constexpr std::size_t kStoresMax = 256;

  // `factory` is MakeUpstream, but for tests.
  Stores(UpstreamOptions options, Factory factory)
      : options_(std::move(options)), factory_(std::move(factory)) {}

  // Errors: kInvalidArgument (not a URL), kOverloaded (more than kStoresMax stores), and those of
  // MakeUpstream.
  Result<Place> Find(const std::string& url) EXCLUDES(mutex_);

 private:
  const UpstreamOptions options_;
  const Factory factory_;
  Mutex mutex_;
  std::map<std::string, std::unique_ptr<Store>> stores_ GUARDED_BY(mutex_);
};

}  // namespace forebay
