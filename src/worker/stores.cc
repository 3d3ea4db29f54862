#include "worker/stores.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace forebay {
namespace {

// Whether `path` is `prefix` or lies below it. "" covers everything.
bool Covers(std::string_view prefix, std::string_view path) {
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix.empty()) return true;
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

// A posix path that could climb out of the prefix that covers it.
bool Climbs(std::string_view path) {
  while (true) {
    const std::size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

Result<Location> AllowedPrefix(const std::string& url) {
  if (url == "s3://") return Location{.scheme = "s3", .bucket = "", .path = ""};
  return ParseLocation(url);
}

ServedStores::ServedStores(UpstreamOptions options, const std::vector<std::string>& allow)
    : options_(std::move(options)) {
  for (const std::string& url : allow) {
    Result<Location> location = AllowedPrefix(url);
    if (location.ok()) {
      allow_.push_back(std::move(location).value());
    } else if (allow_status_.ok()) {
      allow_status_ = std::move(location).error().Within("allow");
    }
  }
}

const Location* ServedStores::Covering(const Location& location) const {
  for (const Location& prefix : allow_) {
    if (prefix.scheme == location.scheme &&
        (prefix.bucket.empty() || prefix.bucket == location.bucket) &&
        Covers(prefix.path, location.path)) {
      return &prefix;
    }
  }
  return nullptr;
}

Result<StorePath> ServedStores::Find(const std::string& url, const std::string& path) {
  if (!allow_status_.ok()) return allow_status_.error();
  Result<Location> parsed = ParseLocation(fmt::format("{}/", url));
  if (!parsed.ok()) return std::move(parsed).error();
  Location location = std::move(parsed).value();
  location.path = path;
  const bool is_file = location.scheme == "file";
  const Location* prefix = Covering(location);
  if ((prefix == nullptr && (is_file || !allow_.empty())) || (is_file && Climbs(path))) {
    return Error(Code::kDenied,
                 fmt::format("\"{}\": the workers' members file does not `allow` it; add a URL "
                             "prefix that covers it",
                             UrlOf(location)));
  }
  // A posix tree is opened at its prefix, so that no link leads out of it.
  Location root{location.scheme, location.bucket, {}};
  std::string_view relative = path;
  if (is_file) {
    root.path = prefix->path;
    while (root.path.ends_with('/')) root.path.pop_back();
    relative.remove_prefix(std::min(root.path.size(), relative.size()));
    if (relative.starts_with('/')) relative.remove_prefix(1);
  }

  MutexLock lock(mutex_);
  auto found = stores_.find(UrlOf(root));
  if (found == stores_.end()) {
    if (stores_.size() >= kStoresMax) {
      return Error(Code::kOverloaded, "this worker serves too many stores already");
    }
    Result<std::unique_ptr<Upstream>> upstream = MakeUpstream(root, options_);
    if (!upstream.ok()) return std::move(upstream).error();
    auto store = std::make_unique<ServedStore>();
    store->upstream = std::move(upstream).value();
    store->root = root.path;
    store->dataset = StoreName(location, options_);
    store->uid = DatasetUid{DigestOf(store->dataset)};
    found = stores_.emplace(UrlOf(root), std::move(store)).first;
  }
  return StorePath{found->second.get(), std::string(relative)};
}

}  // namespace forebay
