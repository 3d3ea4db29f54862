#include "client/lookups.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/ids.h"

namespace forebay {
namespace {

// Between two questions for a snapshot that nobody has yet.
constexpr std::chrono::milliseconds kPauseMin{25};
constexpr std::chrono::milliseconds kPauseMax{400};
constexpr std::chrono::milliseconds kStopPoll{100};

// The directory that holds `path`, as a path: "" or ending in '/'.
std::string DirectoryOf(const std::string& path) {
  // A directory's own name, with its '/', is a name in the directory above it.
  const std::size_t end = path.ends_with('/') ? path.size() - 1 : path.size();
  const std::size_t slash = end == 0 ? std::string::npos : path.rfind('/', end - 1);
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

Result<Attributes> FromWire(const WireAttributes& wire) {
  const auto type = static_cast<FileType>(wire.type);
  if (type != FileType::kFile && type != FileType::kDirectory) {
    return Error(Code::kInternal, "type " + std::to_string(wire.type) + " is not one that we know");
  }
  return Attributes{
      .type = type, .size = wire.size, .mtime_ns = wire.mtime_ns, .version = wire.version};
}

WireAttributes ToWire(const Attributes& attributes) {
  return WireAttributes{.type = static_cast<std::uint8_t>(attributes.type),
                        .size = attributes.size,
                        .mtime_ns = attributes.mtime_ns,
                        .version = attributes.version};
}

// Whether the answer is about the file, or the caller's limits: asking elsewhere would not change
// it.
bool IsFinal(Code code) {
  switch (code) {
    case Code::kNotFound:
    case Code::kInvalidArgument:
    case Code::kDenied: return true;
    case Code::kNotHere:
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:  // Ours is checked by the caller: this is one worker's share.
    case Code::kChanged:
    case Code::kOverloaded:
    case Code::kCorrupt:
    case Code::kStale:
    case Code::kCancelled:  // Ours likewise.
    case Code::kInternal: return false;
  }
  return false;
}

LookupReply FromPage(ListPage page) {
  LookupReply reply;
  for (Entry& entry : page.entries) {
    reply.entries.push_back(WireEntry{std::move(entry.name), ToWire(entry.attributes)});
  }
  reply.next = std::move(page.next);
  reply.left_out = page.left_out;
  return reply;
}

Result<LookupReply> ReplyOf(const Result<Attributes>& attributes) {
  if (!attributes.ok()) return attributes.error();
  LookupReply reply;
  reply.entries.push_back(WireEntry{"", ToWire(attributes.value())});
  return reply;
}

Result<LookupReply> ReplyOf(Result<ListPage> page) {
  if (!page.ok()) return std::move(page).error();
  return FromPage(std::move(page).value());
}

// One question, straight to the store.
Result<LookupReply> AskUpstream(bool list, const Place& place, const std::string& after,
                                Deadline deadline, std::stop_token stop) {
  Upstream& upstream = *place.store->upstream;
  return list ? ReplyOf(upstream.List(place.path, after, deadline, std::move(stop)))
              : ReplyOf(upstream.Stat(place.path, deadline, std::move(stop)));
}

// The same to the snapshot of a pinned dataset, if it can be had now. Errors: those of
// SnapshotSource::Get.
Result<LookupReply> AskSnapshot(bool list, const Place& place, const std::string& after,
                                std::stop_token stop) {
  const Store& store = *place.store;
  const Result<SnapshotPointer> snapshot =
      store.snapshots->Get({store.dataset, store.rules.refreshed}, Clock::now(), std::move(stop));
  if (!snapshot.ok()) return snapshot.error();
  return list ? ReplyOf(snapshot.value()->List(place.path, after))
              : ReplyOf(snapshot.value()->Stat(place.path));
}

// Of an answer that was `age` old when it was given; it was asked for at `asked_at`.
Freshness FreshnessOf(const StoreRules& rules, Clock::time_point asked_at,
                      std::chrono::milliseconds age) {
  const Clock::time_point as_of = asked_at - age;
  return {.as_of = as_of,
          .until = rules.pinned() ? Clock::time_point::max() : as_of + rules.staleness};
}

Result<ListPage> ToPage(LookupReply reply) {
  ListPage page;
  page.next = std::move(reply.next);
  page.left_out = reply.left_out;
  for (WireEntry& entry : reply.entries) {
    Result<Attributes> attributes = FromWire(entry.attributes);
    if (!attributes.ok()) return attributes.error();
    page.entries.push_back(Entry{std::move(entry.name), std::move(attributes).value()});
  }
  return page;
}

}  // namespace

Lookups::Lookups(Backends& backends) : backends_(backends), listings_(kListingsMax) {}

Result<LookupReply> Lookups::Ask(bool list, const Place& place, const Lookup& lookup,
                                 Deadline deadline, std::stop_token stop) {
  for (auto pause = kPauseMin;; pause = std::min(2 * pause, kPauseMax)) {
    std::optional<Result<LookupReply>> told = AskWorkers(list, place, lookup, deadline, stop);
    if (told) return *std::move(told);
    if (stop.stop_requested()) return Error(Code::kCancelled, "asked to stop");
    if (!place.store->snapshots) break;
    Result<LookupReply> read = AskSnapshot(list, place, lookup.after, stop);
    if (read.ok()) return read;
    if (read.error().code() == Code::kNotHere) break;  // It is not pinned any more.
    // Until then the store is not asked: it may have moved.
    const Deadline again = Clock::now() + pause;
    if (read.error().code() != Code::kUnavailable || again >= deadline) return read;
    MutexLock lock(mutex_);
    while (Clock::now() < again && !stop.stop_requested()) {
      never_.WaitUntil(mutex_, std::min<Deadline>(again, Clock::now() + kStopPoll));
    }
  }
  return AskUpstream(list, place, lookup.after, deadline, stop);
}

std::optional<Result<LookupReply>> Lookups::AskWorkers(bool list, const Place& place,
                                                       const Lookup& lookup, Deadline deadline,
                                                       std::stop_token stop) {
  Workers& workers = backends_.workers;
  const std::uint64_t hash = DirectoryHash64(DomainId{}, place.store->dataset,
                                             list ? place.path : DirectoryOf(place.path));
  std::uint64_t epoch = workers.epoch();
  // Nobody is asked twice by one map.
  std::vector<WorkerRef> left = workers.DirectoryHolders(hash);
  while (!left.empty() && !stop.stop_requested() && !Passed(deadline)) {
    // The home first: it is the one that has the answer already.
    const WorkerRef asked = workers.Ask(std::span(left).first(1));
    left.erase(left.begin());
    if (!asked) continue;
    // A worker that hangs must leave time for the next one and the store.
    const Clock::time_point now = Clock::now();
    const Deadline turn =
        std::min<Deadline>(now + backends_.limits.stall_patience, now + (deadline - now) / 2);
    Result<LookupReply> reply =
        list ? asked->link->List(lookup, turn, stop) : asked->link->Stat(lookup, turn, stop);
    if (reply.ok() || IsFinal(reply.error().code())) {
      workers.AnsweredOther(asked);
      if (reply.ok() || reply.error().code() == Code::kNotFound) return reply;
      return Result<LookupReply>(std::move(reply).error().Within("worker " + asked->name));
    }
    if (stop.stop_requested()) {
      workers.Abandoned(asked);
    } else if (asked->link->last_heard() >= now) {
      workers.AnsweredOther(asked);  // Healthy: it is the store that has trouble.
    } else {
      workers.Failed(asked);
    }
    if (const std::uint64_t newer = workers.epoch();
        reply.error().code() == Code::kStale && newer > epoch) {
      epoch = newer;
      left = workers.DirectoryHolders(hash);
    }
  }
  return std::nullopt;
}

Result<Attributes> Lookups::Stat(const Place& place, Deadline deadline, std::stop_token stop) {
  if (auto known = FindListed(place)) return std::move(known->attributes);
  Result<Looked> looked = AskFor(place, place.store->rules.staleness, deadline, std::move(stop));
  if (!looked.ok()) return std::move(looked).error();
  return std::move(looked.value().attributes);
}

Result<Attributes> Lookups::StatAnew(const Place& place, Deadline deadline, std::stop_token stop) {
  ForgetListing(DirectoryHash64(DomainId{}, place.store->dataset, DirectoryOf(place.path)));
  Result<Looked> looked = AskFor(place, std::chrono::milliseconds(0), deadline, std::move(stop));
  if (!looked.ok()) return std::move(looked).error();
  return std::move(looked.value().attributes);
}

Result<Looked> Lookups::LookUp(const Place& place, Deadline deadline, std::stop_token stop) {
  // Listings name as files only what is no directory too.
  if (auto known = FindListed(place)) return *std::move(known);
  const std::chrono::milliseconds max_age = place.store->rules.staleness;
  Result<Looked> looked = AskFor(place, max_age, deadline, stop);
  if (!looked.ok() || looked.value().attributes.type != FileType::kFile ||
      !place.store->upstream->MayBeBoth(place.path)) {
    return looked;
  }
  Result<Looked> directory =
      AskFor(Place{place.store, place.path + '/'}, max_age, deadline, std::move(stop));
  if (!directory.ok() && directory.error().code() != Code::kNotFound) return directory;
  const bool is_both = directory.ok() && directory.value().attributes.type == FileType::kDirectory;
  return is_both ? directory : looked;
}

Result<Looked> Lookups::AskFor(const Place& place, std::chrono::milliseconds max_age,
                               Deadline deadline, std::stop_token stop) {
  const Place directory{place.store, DirectoryOf(place.path)};
  const std::uint64_t hash = DirectoryHash64(DomainId{}, directory.store->dataset, directory.path);
  const Lookup lookup{.store = place.store->url,
                      .path = place.path,
                      .after = "",
                      .max_age = max_age,
                      .refreshed = place.store->rules.refreshed};
  const Clock::time_point asked_at = Clock::now();
  Result<LookupReply> reply = Ask(false, place, lookup, deadline, stop);
  if (!reply.ok()) return std::move(reply).error();
  if (reply.value().entries.size() != 1) {
    return Error(Code::kInternal, "an answer with " + std::to_string(reply.value().entries.size()) +
                                      " entries, to a question about one name");
  }
  bool fetch = false;
  if (max_age.count() > 0) {
    MutexLock lock(mutex_);
    fetch = rule_.Looked(hash, Clock::now());
  }
  if (fetch) KeepListing(directory, hash, deadline, stop);
  Result<Attributes> attributes = FromWire(reply.value().entries.front().attributes);
  if (!attributes.ok()) return std::move(attributes).error();
  return Looked{std::move(attributes).value(),
                FreshnessOf(place.store->rules, asked_at, reply.value().age)};
}

Result<ListedPage> Lookups::List(const Place& place, const std::string& after, Deadline deadline,
                                 std::stop_token stop) {
  const Lookup lookup{.store = place.store->url,
                      .path = place.path,
                      .after = after,
                      .max_age = place.store->rules.staleness,
                      .refreshed = place.store->rules.refreshed};
  const Clock::time_point asked_at = Clock::now();
  Result<LookupReply> reply = Ask(true, place, lookup, deadline, stop);
  if (!reply.ok()) return std::move(reply).error();
  const Freshness freshness = FreshnessOf(place.store->rules, asked_at, reply.value().age);
  Result<ListPage> page = ToPage(std::move(reply).value());
  if (!page.ok()) return std::move(page).error();
  return ListedPage{std::move(page).value(), freshness};
}

std::optional<Looked> Lookups::FindListed(const Place& place) {
  if (place.store->rules.staleness.count() == 0) return std::nullopt;
  const std::string directory = DirectoryOf(place.path);
  std::shared_ptr<const Listing> listing;
  {
    MutexLock lock(mutex_);
    listing = listings_.Use(DirectoryHash64(DomainId{}, place.store->dataset, directory),
                            [](const auto&) {});
  }
  if (!listing || Clock::now() >= listing->freshness.until ||
      listing->refreshed < place.store->rules.refreshed) {
    return std::nullopt;
  }
  const auto found = listing->files.find(place.path.substr(directory.size()));
  if (found == listing->files.end()) return std::nullopt;
  return Looked{found->second, listing->freshness};
}

void Lookups::ForgetListing(std::uint64_t directory_hash) {
  MutexLock lock(mutex_);
  listings_.Erase(directory_hash);
}

// Best effort: without the listing, names are asked for one by one, as before.
void Lookups::KeepListing(const Place& directory, std::uint64_t directory_hash, Deadline deadline,
                          std::stop_token stop) {
  const StoreRules& rules = directory.store->rules;
  auto listing = std::make_shared<Listing>();
  listing->refreshed = rules.refreshed;
  listing->freshness = {.as_of = Clock::time_point::max(), .until = Clock::time_point::max()};
  Lookup lookup{.store = directory.store->url,
                .path = directory.path,
                .after = "",
                .max_age = rules.staleness,
                .refreshed = rules.refreshed};
  while (listing->files.size() < kListingEntriesMax) {
    const Clock::time_point asked_at = Clock::now();
    Result<LookupReply> reply = Ask(true, directory, lookup, deadline, stop);
    if (!reply.ok()) return;
    // The page is as old as the worker says, counted from before we asked.
    const Freshness page_freshness = FreshnessOf(rules, asked_at, reply.value().age);
    listing->freshness.as_of = std::min(listing->freshness.as_of, page_freshness.as_of);
    listing->freshness.until = std::min(listing->freshness.until, page_freshness.until);
    const std::string next = reply.value().next;
    Result<ListPage> page = ToPage(std::move(reply).value());
    if (!page.ok()) return;
    for (Entry& entry : page.value().entries) {
      // A name shown as a directory may also be a file: that is asked for by name.
      if (entry.attributes.type != FileType::kFile) continue;
      listing->files.emplace(std::move(entry.name), std::move(entry.attributes));
    }
    if (next.empty()) {
      MutexLock lock(mutex_);
      listings_.Use(directory_hash, [](const auto&) {}) = std::move(listing);
      return;
    }
    lookup.after = next;
  }
}

}  // namespace forebay
