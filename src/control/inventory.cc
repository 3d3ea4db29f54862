#include "control/inventory.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"

namespace forebay {
namespace {

// Listings are renewed for this long after somebody looked.
constexpr std::chrono::minutes kInterest{2};
// A dataset with a bound of 0 is not listed all the time only because somebody looks.
constexpr std::chrono::seconds kListEvery{5};
// Counts of one dataset are this far apart, or as far as makes them a tenth of a thread's time:
// with heartbeats every 500 ms, figures are right within 2 s.
constexpr std::chrono::milliseconds kCountEvery{700};
constexpr int kCountShare = 10;
constexpr std::chrono::seconds kFailureMax{30};
constexpr std::chrono::minutes kListTimeout{10};
constexpr std::chrono::seconds kCountTimeout{30};
constexpr std::chrono::milliseconds kStopPoll{100};

// "a/b" lies below "/a", "a", "/a/" and "/"; and is itself.
bool LiesBelow(std::string_view file, std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.empty() || file == path) return true;
  return file.size() > path.size() && file.starts_with(path) && file[path.size()] == '/';
}

bool IsPinned(const DatasetRecord& dataset) {
  return dataset.spec.staleness == DatasetSpec::kPinned;
}

std::chrono::milliseconds ListEvery(const DatasetSpec& spec) {
  return std::max<std::chrono::milliseconds>(*spec.staleness, kListEvery);
}

}  // namespace

std::optional<CacheCount> CountBelow(const DatasetCount& count, const std::string& path) {
  CacheCount below;
  bool any = path.find_first_not_of('/') == std::string::npos;
  for (std::size_t i = 0; i < count.listing->files.size(); ++i) {
    const ListedFile& file = count.listing->files[i];
    if (!LiesBelow(file.path, path)) continue;
    any = true;
    below.total_bytes += file.attributes.size;
    below.cached_bytes += count.cached_of_file[i];
  }
  if (!any) return std::nullopt;
  return below;
}

bool IsPermanent(Code code) {
  return code == Code::kDenied || code == Code::kNotFound || code == Code::kInvalidArgument;
}

Inventory::Inventory(Pool& pool, DatasetTable& datasets, SnapshotFiles& snapshots, EventLog& events)
    : pool_(pool), datasets_(datasets), snapshots_(snapshots), events_(events) {
  std::set<DatasetUid> pinned;
  for (const DatasetPointer& dataset : datasets_.All()) {
    if (IsPinned(*dataset)) pinned.insert(dataset->uid);
  }
  snapshots_.Sweep(pinned);
  DatasetsChanged();
  for (int i = 0; i < kThreads; ++i) {
    threads_.Run("inventory", [this](std::stop_token stop) { RunThread(stop); });
  }
}

Inventory::~Inventory() {
  threads_.RequestStop();
  {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  }
  threads_.StopAndJoin();
}

void Inventory::DatasetsChanged() {
  MutexLock lock(mutex_);
  const DatasetTable::Changes changes = datasets_.Since(seen_generation_);
  seen_generation_ = changes.generation;
  for (const DatasetPointer& dataset : changes.datasets) {
    Entry& entry = entries_[dataset->uid];
    if (entry.dataset == dataset) continue;
    entry.dataset = dataset;
    if (entry.snapshot && !IsPinned(*dataset)) {
      entry.snapshot.reset();
      snapshots_.Remove(dataset->uid);
    }
    entry.list_not_before = Deadline::min();  // Whatever failed may do now.
    Schedule(dataset->uid, entry);
  }
  std::vector<DatasetUid> gone = changes.deleted;
  if (changes.full) {
    for (const auto& [uid, entry] : entries_) {
      if (datasets_.FindUid(uid) == nullptr) gone.push_back(uid);
    }
  }
  for (const DatasetUid& uid : gone) {
    const auto found = entries_.find(uid);
    if (found == entries_.end() || found->second.busy) continue;  // Its thread removes it.
    queue_.erase({found->second.due, uid});
    entries_.erase(found);
    snapshots_.Remove(uid);
  }
  changed_.NotifyAll();
}

void Inventory::BlocksChanged(DatasetUid uid) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(uid);
  if (found == entries_.end()) return;
  found->second.dirty = true;
  Schedule(uid, found->second);
}

void Inventory::MembersChanged() {
  MutexLock lock(mutex_);
  for (auto& [uid, entry] : entries_) {
    entry.dirty = true;
    Schedule(uid, entry);
  }
}

Known Inventory::Look(const DatasetRecord& dataset) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(dataset.uid);
  if (found == entries_.end()) return {};
  Entry& entry = found->second;
  entry.looked_at = Clock::now();
  Schedule(dataset.uid, entry);
  return {entry.listing, entry.count, entry.problem};
}

ListingProblem Inventory::Problem(DatasetUid uid) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(uid);
  if (found == entries_.end() || found->second.problem.empty()) return {};
  const Entry& entry = found->second;
  return {Error(entry.problem_code, entry.problem), entry.failed_at};
}

Result<DatasetCountPointer> Inventory::CountFrom(DatasetUid uid, Deadline since, Deadline until,
                                                 const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (true) {
    const auto found = entries_.find(uid);
    if (found == entries_.end()) return Error(Code::kNotFound, "the dataset was deleted");
    Entry& entry = found->second;
    if (entry.count && entry.count->began >= since) return entry.count;
    if (stop.stop_requested()) return Error(Code::kCancelled, "stopped");
    const Deadline now = Clock::now();
    if (now >= until) {
      return Error(Code::kDeadlineExceeded,
                   entry.problem.empty() ? "it is not listed and counted yet" : entry.problem);
    }
    if (entry.wanted_since < since) {
      entry.wanted_since = since;
      entry.looked_at = now;
      entry.count_not_before = std::min(entry.count_not_before, now + kCountEvery);
      Schedule(uid, entry);
    }
    changed_.WaitUntil(mutex_, std::min(until, now + kStopPoll));
  }
}

Deadline Inventory::ListDue(const Entry& entry, Deadline now) {
  if (entry.dataset->not_bound) return Deadline::max();
  const DatasetSpec& spec = entry.dataset->spec;
  Deadline due = Deadline::max();
  if (IsPinned(*entry.dataset)) {
    const bool wanted = !entry.snapshot ||
                        entry.snapshot->key().refreshed < entry.dataset->refreshed ||
                        entry.refresh_since > entry.listing->began;
    if (wanted) due = now;
  } else if (!entry.listing || entry.refreshed != entry.dataset->refreshed) {
    due = now;
  } else {
    const Deadline stale = entry.listing->began + *spec.staleness;
    if (entry.wanted_since > stale) {
      due = now;
    } else if (entry.looked_at + kInterest > now) {
      due = entry.listing->began + ListEvery(spec);
    }
  }
  return std::max(due, entry.list_not_before);
}

Deadline Inventory::CountDue(const Entry& entry) {
  if (!entry.listing) return Deadline::max();
  const bool wanted = !entry.count || entry.dirty || entry.wanted_since > entry.count->began;
  return wanted ? entry.count_not_before : Deadline::max();
}

void Inventory::Schedule(DatasetUid uid, Entry& entry) {
  if (entry.busy) return;  // It is when its work is done.
  const Deadline due = std::min(ListDue(entry, Clock::now()), CountDue(entry));
  if (due == entry.due) return;
  queue_.erase({entry.due, uid});
  entry.due = due;
  if (due == Deadline::max()) return;
  queue_.insert({due, uid});
  if (queue_.begin()->second == uid) changed_.NotifyAll();
}

void Inventory::RunThread(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    DatasetUid uid;
    {
      MutexLock lock(mutex_);
      const Deadline now = Clock::now();
      if (queue_.empty() || queue_.begin()->first > now) {
        constexpr std::chrono::hours kNothing{1};
        changed_.WaitUntil(mutex_, queue_.empty() ? now + kNothing : queue_.begin()->first);
        continue;
      }
      uid = queue_.begin()->second;
      queue_.erase(queue_.begin());
      Entry& entry = entries_.at(uid);
      entry.due = Deadline::max();
      entry.busy = true;
    }
    Work(uid, stop);
    MutexLock lock(mutex_);
    Entry& entry = entries_.at(uid);
    entry.busy = false;
    if (datasets_.FindUid(uid) == nullptr) {
      entries_.erase(uid);
      snapshots_.Remove(uid);
    } else {
      Schedule(uid, entry);
    }
    changed_.NotifyAll();
  }
}

void Inventory::Work(DatasetUid uid, const std::stop_token& stop) {
  DatasetPointer dataset;
  std::shared_ptr<const DatasetListing> listing;
  {
    MutexLock lock(mutex_);
    const Entry& entry = entries_.at(uid);
    dataset = entry.dataset;
    listing = entry.listing;
    const Deadline now = Clock::now();
    if (ListDue(entry, now) <= now) listing.reset();
  }
  if (listing == nullptr && IsPinned(*dataset)) {
    MakeSnapshot(uid, dataset, stop);
  } else if (listing == nullptr) {
    List(uid, dataset, stop);
  } else {
    CountOne(uid, dataset, std::move(listing), stop);
  }
}

void Inventory::List(DatasetUid uid, const DatasetPointer& dataset, const std::stop_token& stop) {
  Result<DatasetListing> listed = pool_.List(*dataset, Clock::now() + kListTimeout, stop);
  if (!listed.ok()) return NoteFailure(uid, listed.error());
  bool had_failed = false;
  {
    MutexLock lock(mutex_);
    Entry& entry = entries_.at(uid);
    entry.refreshed = dataset->refreshed;
    had_failed = NoteListing(entry, std::move(listed).value());
  }
  if (had_failed) TellListed(*dataset);
}

void Inventory::NoteFailure(DatasetUid uid, const Error& error) {
  constexpr std::uint32_t kDoublings = 5;
  DatasetPointer first_of;
  {
    MutexLock lock(mutex_);
    Entry& entry = entries_.at(uid);
    if (entry.failures == 0) first_of = entry.dataset;
    const std::chrono::seconds pause(1 << std::min(entry.failures++, kDoublings));
    entry.list_not_before = Clock::now() + std::min(pause, kFailureMax);
    entry.problem = error.message();
    entry.problem_code = error.code();
    entry.failed_at = Clock::now();
    entry.refresh_since = Deadline::min();  // Who asked is told.
  }
  if (first_of == nullptr) return;
  events_.Add({.warning = true,
               .reason = "ListingFailed",
               .object = DatasetObject(first_of->name.name),
               .namespace_name = first_of->name.namespace_name,
               .message = error.message()});
}

bool Inventory::NoteListing(Entry& entry, DatasetListing listing) {
  const bool had_failed = std::exchange(entry.failures, 0) > 0;
  entry.problem.clear();
  entry.listing = std::make_shared<const DatasetListing>(std::move(listing));
  entry.dirty = true;
  entry.count_not_before = Deadline::min();
  return had_failed;
}

void Inventory::TellListed(const DatasetRecord& dataset) {
  events_.Add({.reason = "Listed",
               .object = DatasetObject(dataset.name.name),
               .namespace_name = dataset.name.namespace_name,
               .message = "the store answers again"});
}

void Inventory::MakeSnapshot(DatasetUid uid, const DatasetPointer& dataset,
                             const std::stop_token& stop) {
  bool first = false;
  {
    MutexLock lock(mutex_);
    first = entries_.at(uid).snapshot == nullptr;
  }
  // What a control before this one made: older than any refresh that this one is asked for.
  Deadline began = Deadline::min();
  SnapshotPointer snapshot = first ? snapshots_.Read({uid, dataset->refreshed}) : nullptr;
  if (snapshot == nullptr) {
    began = Clock::now();
    Result<SnapshotTree> tree = pool_.ListNow(*dataset, began + kListTimeout, stop);
    Result<SnapshotPointer> made =
        tree.ok() ? Store(*dataset, std::move(tree).value()) : std::move(tree).error();
    if (!made.ok()) return NoteFailure(uid, made.error());
    snapshot = std::move(made).value();
    DatasetsChanged();  // It was counted.
  }
  DatasetListing listing = ListingOf(*snapshot, began);
  bool had_failed = false;
  {
    MutexLock lock(mutex_);
    Entry& entry = entries_.at(uid);
    if (!IsPinned(*entry.dataset)) return snapshots_.Remove(uid);  // Not any more.
    had_failed = NoteListing(entry, std::move(listing));
    entry.refreshed = snapshot->key().refreshed;
    entry.snapshot = std::move(snapshot);
    changed_.NotifyAll();
  }
  if (had_failed) TellListed(*dataset);
}

// Every snapshot has a count of its own, also one that replaces a file that was lost: so nobody
// takes names of two for those of one.
Result<SnapshotPointer> Inventory::Store(const DatasetRecord& dataset, SnapshotTree tree) {
  auto snapshot = std::make_shared<const Snapshot>(SnapshotKey{dataset.uid, dataset.refreshed + 1},
                                                   std::move(tree));
  // Before anybody is told of it: what was told must outlive this process.
  Status status = snapshots_.Stage(*snapshot);
  if (status.ok()) status = datasets_.RefreshFrom(dataset.uid, dataset.refreshed);
  if (!status.ok()) return std::move(status).error();
  if (const Status committed = snapshots_.Commit(dataset.uid); !committed.ok()) {
    Log(Level::kWarning, "a snapshot could not take its place; the next control puts it there",
        {{"dataset", dataset.name.name}, {"error", committed.error().message()}});
  }
  return snapshot;
}

Result<SnapshotPointer> Inventory::SnapshotOf(const SnapshotKey& key) {
  MutexLock lock(mutex_);
  const DatasetPointer dataset = datasets_.FindUid(key.uid);
  if (dataset == nullptr || !IsPinned(*dataset)) {
    return Error(Code::kStale, "there is no pinned dataset of this uid");
  }
  const auto found = entries_.find(key.uid);
  if (found == entries_.end()) return Error(Code::kUnavailable, "the dataset is new");
  const Entry& entry = found->second;
  if (entry.snapshot && entry.snapshot->key().refreshed >= key.refreshed) return entry.snapshot;
  if (!entry.snapshot && !entry.problem.empty() && IsPermanent(entry.problem_code)) {
    return Error(entry.problem_code, entry.problem);
  }
  return Error(Code::kUnavailable, "the snapshot is not complete yet: " + entry.problem);
}

Status Inventory::Refresh(DatasetUid uid, Deadline until, const std::stop_token& stop) {
  const Deadline since = Clock::now();
  MutexLock lock(mutex_);
  while (true) {
    const auto found = entries_.find(uid);
    if (found == entries_.end()) return Error(Code::kNotFound, "the dataset was deleted");
    Entry& entry = found->second;
    if (entry.dataset->not_bound) {
      return Error(Code::kInvalidArgument, entry.dataset->not_bound->message);
    }
    if (entry.snapshot && entry.listing->began >= since) return {};
    if (entry.failed_at >= since) {
      return Error(entry.problem_code, "the snapshot stays as it is: " + entry.problem);
    }
    if (entry.refresh_since < since) {
      entry.refresh_since = since;
      entry.list_not_before = Deadline::min();
      Schedule(uid, entry);
    }
    if (stop.stop_requested()) return Error(Code::kCancelled, "stopped");
    const Deadline now = Clock::now();
    if (now >= until) {
      return Error(Code::kDeadlineExceeded, "the store is still being listed");
    }
    changed_.WaitUntil(mutex_, std::min(until, now + kStopPoll));
  }
}

void Inventory::CountOne(DatasetUid uid, const DatasetPointer& dataset,
                         std::shared_ptr<const DatasetListing> listing,
                         const std::stop_token& stop) {
  auto count = std::make_shared<DatasetCount>();
  count->began = Clock::now();
  {
    MutexLock lock(mutex_);
    entries_.at(uid).dirty = false;  // What changes from here on is counted again.
  }
  Result<std::vector<std::uint64_t>> held = pool_.CountHeld(
      *dataset, listing->files, /*verify=*/false, count->began + kCountTimeout, stop);
  const Deadline ended = Clock::now();
  MutexLock lock(mutex_);
  Entry& entry = entries_.at(uid);
  entry.count_not_before =
      ended + std::max<Clock::duration>(kCountEvery, (ended - count->began) * kCountShare);
  if (entry.wanted_since > count->began) entry.count_not_before = Deadline::min();
  if (!held.ok()) {
    entry.dirty = true;
    return;
  }
  count->listing = std::move(listing);
  count->cached_of_file = std::move(held).value();
  for (const std::uint64_t bytes : count->cached_of_file) count->cached_bytes += bytes;
  entry.count = std::move(count);
}

}  // namespace forebay
