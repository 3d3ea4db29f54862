#include "worker/stores.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cluster/dataset_upstream.h"

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

// Counts what the upstream of a dataset is asked.
class CountedUpstream : public Upstream {
 public:
  CountedUpstream(std::unique_ptr<Upstream> upstream, std::shared_ptr<DatasetCounters> counters)
      : upstream_(std::move(upstream)), counters_(std::move(counters)) {}

  bool ProvenWhileStreaming(const std::string& path) const override {
    return upstream_->ProvenWhileStreaming(path);
  }
  Result<Attributes> Stat(const std::string& path, Deadline deadline,
                          std::stop_token stop) override {
    return Counted(upstream_->Stat(path, deadline, std::move(stop)));
  }
  Result<ListPage> List(const std::string& directory, const std::string& after, Deadline deadline,
                        std::stop_token stop) override {
    return Counted(upstream_->List(directory, after, deadline, std::move(stop)));
  }
  Result<ReadOutcome> Read(const ReadRange& range, ByteSink& sink, Deadline deadline,
                           std::stop_token stop) override {
    Result<ReadOutcome> read = Counted(upstream_->Read(range, sink, deadline, std::move(stop)));
    if (read.ok()) counters_->upstream_bytes += range.length;
    return read;
  }

 private:
  template <typename T>
  Result<T> Counted(Result<T> outcome) const {
    ++counters_->upstream_requests;
    // That something is not there is an answer.
    if (!outcome.ok() && outcome.error().code() != Code::kNotFound) ++counters_->upstream_errors;
    return outcome;
  }

  const std::unique_ptr<Upstream> upstream_;
  const std::shared_ptr<DatasetCounters> counters_;
};

// The names of a pinned dataset.
class SnapshotUpstream : public Upstream {
 public:
  SnapshotUpstream(std::shared_ptr<SnapshotSource> source, SnapshotKey key)
      : source_(std::move(source)), key_(key) {}

  bool ProvenWhileStreaming(const std::string& /*path*/) const override { return false; }
  Result<Attributes> Stat(const std::string& path, Deadline deadline,
                          std::stop_token stop) override {
    const Result<SnapshotPointer> snapshot = source_->Get(key_, deadline, std::move(stop));
    return snapshot.ok() ? snapshot.value()->Stat(path) : snapshot.error();
  }
  Result<ListPage> List(const std::string& directory, const std::string& after, Deadline deadline,
                        std::stop_token stop) override {
    const Result<SnapshotPointer> snapshot = source_->Get(key_, deadline, std::move(stop));
    return snapshot.ok() ? snapshot.value()->List(directory, after) : snapshot.error();
  }
  Result<ReadOutcome> Read(const ReadRange& range, ByteSink& /*sink*/, Deadline /*deadline*/,
                           std::stop_token /*stop*/) override {
    return Error(Code::kInternal, range.path + ": a snapshot has no bytes");
  }

 private:
  const std::shared_ptr<SnapshotSource> source_;
  const SnapshotKey key_;
};

}  // namespace

ReadMetrics::ReadMetrics(const std::string& dataset, const std::string& name_space) {
  constexpr std::array kResults = {"hit", "miss", "coalesced"};
  std::ranges::transform(kResults, requests_.begin(), [&](const char* result) {
    return &Metrics().AddCounter(
        "forebay_cache_requests_total", "Requests for blocks.",
        {{"dataset", dataset}, {"namespace", name_space}, {"result", result}});
  });
  constexpr std::array kSources = {"local", "peer", "upstream"};
  std::ranges::transform(kSources, bytes_.begin(), [&](const char* source) {
    return &Metrics().AddCounter(
        "forebay_read_bytes_total", "Bytes that readers got, and from where.",
        {{"dataset", dataset}, {"namespace", name_space}, {"source", source}});
  });
  std::ranges::transform(kSources, durations_.begin(), [](const char* source) {
    return &Metrics().AddHistogram(
        "forebay_read_duration_seconds",
        "From a request's arrival until its last byte goes to the socket.", {{"source", source}});
  });
}

Result<Location> AllowedPrefix(const std::string& url) {
  if (url == "s3://") return Location{.scheme = "s3", .bucket = "", .path = ""};
  return ParseLocation(url);
}

ServedStores::ServedStores(UpstreamOptions options, const std::vector<std::string>& allow)
    : in_group_(false), options_(std::move(options)) {
  for (const std::string& url : allow) {
    Result<Location> location = AllowedPrefix(url);
    if (location.ok()) {
      allow_.push_back(std::move(location).value());
    } else if (allow_status_.ok()) {
      allow_status_ = std::move(location).error().Within("allow");
    }
  }
}

ServedStores::ServedStores(Environment environment, std::shared_ptr<SnapshotSource> snapshots)
    : in_group_(true), environment_(std::move(environment)), snapshots_(std::move(snapshots)) {}

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
  const std::optional<DatasetUid> uid = ParseDatasetStore(url);
  if (uid && in_group_) return FindDataset(*uid, path);
  if (!in_group_) return FindLocation(url, path);
  return Error(Code::kDenied,
               fmt::format("\"{}\": workers of a group serve datasets; make one of it", url));
}

Result<StorePath> ServedStores::FindDataset(DatasetUid uid, const std::string& path) {
  MutexLock lock(mutex_);
  const auto entry = entries_.find(uid);
  if (entry == entries_.end()) {
    return Error(Code::kUnavailable,
                 fmt::format("dataset {}: this worker does not know it (yet)", uid.value.Hex()));
  }
  StorePointer& store = datasets_[uid];
  if (store == nullptr) {
    std::shared_ptr<DatasetCounters>& counters = counters_[uid];
    if (counters == nullptr) counters = std::make_shared<DatasetCounters>();
    Result<std::shared_ptr<Upstream>> upstream = Mounted(*entry->second, counters);
    if (!upstream.ok()) {
      // Another worker may be able to, or this one after the dataset was mended.
      return Error(Code::kUnavailable, upstream.error().message())
          .Within("dataset " + entry->second->name);
    }
    auto made = std::make_shared<ServedStore>();
    made->upstream = std::move(upstream).value();
    made->number = ++numbers_;
    made->dataset = entry->second->name;
    made->name_space = entry->second->name_space;
    made->uid = uid;
    made->entry = entry->second;
    made->counters = counters;
    made->metrics = std::make_shared<const ReadMetrics>(made->dataset, made->name_space);
    SetSnapshot(*made);
    store = std::move(made);
  }
  return StorePath{store, path};
}

void ServedStores::SetSnapshot(ServedStore& store) const {
  store.snapshot.reset();
  if (!store.entry->pinned) return;
  auto snapshot = std::make_shared<ServedStore>(store);
  snapshot->upstream = std::make_shared<SnapshotUpstream>(
      snapshots_, SnapshotKey{store.uid, store.entry->refreshed});
  store.snapshot = std::move(snapshot);
}

Result<std::shared_ptr<Upstream>> ServedStores::Mounted(
    const DatasetEntry& entry, const std::shared_ptr<DatasetCounters>& counters) const {
  Result<std::unique_ptr<Upstream>> tree = MakeDatasetUpstream(entry, environment_);
  if (!tree.ok()) return std::move(tree).error();
  return std::shared_ptr<Upstream>(
      std::make_shared<CountedUpstream>(std::move(tree).value(), counters));
}

void ServedStores::SetDatasets(const GroupView& view) {
  MutexLock lock(mutex_);
  entries_ = view.datasets;
  std::erase_if(counters_,
                [&view](const auto& item) { return !view.datasets.contains(item.first); });
  for (auto item = datasets_.begin(); item != datasets_.end();) {
    const auto entry = entries_.find(item->first);
    const bool stays = entry != entries_.end() && item->second != nullptr &&
                       SameMounts(*entry->second, *item->second->entry);
    if (!stays) {
      item = datasets_.erase(item);
      continue;
    }
    if (entry->second != item->second->entry) {
      auto changed = std::make_shared<ServedStore>(*item->second);
      changed->entry = entry->second;
      changed->dataset = entry->second->name;
      changed->name_space = entry->second->name_space;
      changed->metrics = std::make_shared<const ReadMetrics>(changed->dataset, changed->name_space);
      SetSnapshot(*changed);
      item->second = std::move(changed);
    }
    ++item;
  }
}

std::vector<DatasetFigures> ServedStores::Figures() const {
  std::vector<DatasetFigures> all;
  MutexLock lock(mutex_);
  all.reserve(counters_.size());
  for (const auto& [uid, counters] : counters_) {
    DatasetFigures figures;
    figures.uid = uid;
    figures.hits = counters->hits;
    figures.misses = counters->misses;
    figures.upstream_requests = counters->upstream_requests;
    figures.upstream_bytes = counters->upstream_bytes;
    figures.upstream_errors = counters->upstream_errors;
    all.push_back(figures);
  }
  return all;
}

Result<StorePath> ServedStores::FindLocation(const std::string& url, const std::string& path) {
  if (!allow_status_.ok()) return allow_status_.error();
  Result<Location> parsed = ParseLocation(url + "/");
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
    auto store = std::make_shared<ServedStore>();
    store->upstream = std::move(upstream).value();
    store->number = ++numbers_;
    store->counters = std::make_shared<DatasetCounters>();
    store->root = root.path;
    store->dataset = StoreName(location, options_);
    store->metrics = std::make_shared<const ReadMetrics>(store->dataset, store->name_space);
    store->uid = DatasetUid{DigestOf(store->dataset)};
    found = stores_.emplace(UrlOf(root), std::move(store)).first;
  }
  return StorePath{found->second, std::string(relative)};
}

}  // namespace forebay
