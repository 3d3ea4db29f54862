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

std::chrono::milliseconds ListEvery(const DatasetSpec& spec) {
  return std::max<std::chrono::milliseconds>(*spec.staleness, kListEvery);
}

}  // namespace

CacheCount CountBelow(const DatasetCount& count, const std::string& path) {
  CacheCount below;
  for (std::size_t i = 0; i < count.listing->files.size(); ++i) {
    const ListedFile& file = count.listing->files[i];
    if (!LiesBelow(file.path, path)) continue;
    below.total_bytes += file.attributes.size;
    below.cached_bytes += count.cached_of_file[i];
  }
  return below;
}

Inventory::Inventory(Pool& pool, const DatasetTable& datasets) : pool_(pool), datasets_(datasets) {
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
  if (!entry.listing || entry.refreshed != entry.dataset->refreshed) {
    due = now;
  } else if (spec.staleness != DatasetSpec::kPinned) {
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
  if (listing == nullptr) {
    List(uid, dataset, stop);
  } else {
    CountOne(uid, dataset, std::move(listing), stop);
  }
}

void Inventory::List(DatasetUid uid, const DatasetPointer& dataset, const std::stop_token& stop) {
  Result<DatasetListing> listed = pool_.List(*dataset, Clock::now() + kListTimeout, stop);
  MutexLock lock(mutex_);
  Entry& entry = entries_.at(uid);
  if (!listed.ok()) {
    constexpr std::uint32_t kDoublings = 5;
    const std::chrono::seconds pause(1 << std::min(entry.failures++, kDoublings));
    entry.list_not_before = Clock::now() + std::min(pause, kFailureMax);
    entry.problem = listed.error().message();
    return;
  }
  entry.failures = 0;
  entry.problem.clear();
  entry.listing = std::make_shared<const DatasetListing>(std::move(listed).value());
  entry.refreshed = dataset->refreshed;
  entry.dirty = true;
  entry.count_not_before = Deadline::min();
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
