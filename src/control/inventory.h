// Inventory: what the datasets consist of, and how much of that is held: listings and censuses,
// made in the background and on demand.
//
// Invariants: a count is of what living workers said they hold, of versions that a listing named,
// never of what was once filled; whoever waits for a count is given one that began after it asked.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"
#include "control/dataset_table.h"
#include "control/events.h"
#include "control/pool.h"
#include "control/snapshot_files.h"
#include "core/cached_ratio.h"

namespace forebay {

// A census of one dataset. Immutable.
struct DatasetCount {
  std::shared_ptr<const DatasetListing> listing;
  std::uint64_t cached_bytes = 0;
  std::vector<std::uint64_t> cached_of_file;  // Bytes, in the listing's order.
  Deadline began;
};

using DatasetCountPointer = std::shared_ptr<const DatasetCount>;

// What is cached and listed below `path`; "/" is all. Null if no file lies below another path.
std::optional<CacheCount> CountBelow(const DatasetCount& count, const std::string& path);

// What is known of a dataset now; parts are null until they are.
struct Known {
  std::shared_ptr<const DatasetListing> listing;
  DatasetCountPointer count;
  std::string problem;  // Why the newest listing failed; empty: it did not.
};

// Why the newest listing failed, if one did since the last that did not.
struct ListingProblem {
  Error error{Code::kUnavailable, "the store is still being listed"};
  Deadline failed_at = Deadline::min();  // That: none did.
};

// Whether trying again, without a change of the dataset or its store, is of no use.
bool IsPermanent(Code code);

// Thread safety: safe. Threads: kThreads.
class Inventory {
 public:
  static constexpr int kThreads = 4;

  // `snapshots` is where those of pinned datasets are kept. All must outlive this.
  Inventory(Pool& pool, DatasetTable& datasets, SnapshotFiles& snapshots, EventLog& events);
  ~Inventory();

  // Datasets were created, changed, refreshed or deleted.
  void DatasetsChanged() EXCLUDES(mutex_);
  // A worker says that its blocks of this dataset changed.
  void BlocksChanged(DatasetUid uid) EXCLUDES(mutex_);
  // Workers came or went.
  void MembersChanged() EXCLUDES(mutex_);

  // Says what is known, and that somebody looks: listings are renewed for a while.
  Known Look(const DatasetRecord& dataset) EXCLUDES(mutex_);

  ListingProblem Problem(DatasetUid uid) EXCLUDES(mutex_);

  // A count that began at `since` or later, of a listing no older than the dataset's staleness
  // bound. Shared by all who wait. Obeys `stop` within 100 ms.
  // Errors: kDeadlineExceeded (names why there is none yet), kCancelled, kNotFound (the dataset was
  // deleted).
  Result<DatasetCountPointer> CountFrom(DatasetUid uid, Deadline since, Deadline until,
                                        const std::stop_token& stop) EXCLUDES(mutex_);

  // The snapshot of a pinned dataset, of that count of refreshes or a later one.
  // Errors: kStale: the dataset is not pinned, or was deleted; kUnavailable: it is not complete
  // yet; kDenied, kNotFound and kInvalidArgument: what keeps the first one from being made.
  Result<SnapshotPointer> SnapshotOf(const SnapshotKey& key) EXCLUDES(mutex_);

  // Makes a new snapshot of a pinned dataset, and gives it a new count of refreshes; until then the
  // old one stays. It is made also if this ends with kDeadlineExceeded.
  // Errors: kNotFound (deleted), kInvalidArgument (not bound), kCancelled, kDeadlineExceeded; any
  // other: the listing failed, or cannot be stored; the request is then forgotten.
  Status Refresh(DatasetUid uid, Deadline until, const std::stop_token& stop) EXCLUDES(mutex_);

 private:
  struct Entry {
    DatasetPointer dataset;
    std::shared_ptr<const DatasetListing> listing;
    std::uint64_t refreshed = 0;               // Of the dataset, when the listing began.
    SnapshotPointer snapshot;                  // Of a pinned dataset, whose `listing` is of it.
    Deadline refresh_since = Deadline::min();  // When a new snapshot was last asked for.
    std::string problem;
    Code problem_code = Code::kInternal;  // Means something with a `problem`.
    std::uint32_t failures = 0;
    Deadline failed_at = Deadline::min();  // When the newest listing failed that did.
    Deadline list_not_before = Deadline::min();
    DatasetCountPointer count;
    bool dirty = false;  // What is held, or listed, changed since the count began.
    Deadline count_not_before = Deadline::min();
    Deadline looked_at = Deadline::min();
    Deadline wanted_since = Deadline::min();  // Of the newest who waits for a count.
    Deadline due = Deadline::max();           // Its place in queue_.
    bool busy = false;                        // A thread works on it.
  };

  static Deadline ListDue(const Entry& entry, Deadline now);
  static Deadline CountDue(const Entry& entry);
  void Schedule(DatasetUid uid, Entry& entry) REQUIRES(mutex_);
  void RunThread(const std::stop_token& stop) EXCLUDES(mutex_);
  void Work(DatasetUid uid, const std::stop_token& stop) EXCLUDES(mutex_);
  void List(DatasetUid uid, const DatasetPointer& dataset, const std::stop_token& stop)
      EXCLUDES(mutex_);
  void MakeSnapshot(DatasetUid uid, const DatasetPointer& dataset, const std::stop_token& stop)
      EXCLUDES(mutex_);
  // What was just listed, as a snapshot that outlives this process. Errors: those of
  // SnapshotFiles::Stage and DatasetTable::RefreshFrom.
  Result<SnapshotPointer> Store(const DatasetRecord& dataset, SnapshotTree tree);
  void NoteFailure(DatasetUid uid, const Error& error) EXCLUDES(mutex_);
  // Whether the listing before failed.
  static bool NoteListing(Entry& entry, DatasetListing listing);
  void TellListed(const DatasetRecord& dataset) EXCLUDES(mutex_);
  void CountOne(DatasetUid uid, const DatasetPointer& dataset,
                std::shared_ptr<const DatasetListing> listing, const std::stop_token& stop)
      EXCLUDES(mutex_);

  Pool& pool_;
  DatasetTable& datasets_;
  SnapshotFiles& snapshots_;
  EventLog& events_;
  Mutex mutex_;
  CondVar changed_;
  std::uint64_t seen_generation_ GUARDED_BY(mutex_) = 0;  // Of the table.
  std::map<DatasetUid, Entry> entries_ GUARDED_BY(mutex_);
  std::set<std::pair<Deadline, DatasetUid>> queue_ GUARDED_BY(mutex_);
  TaskGroup threads_;  // Last: joined first.
};

}  // namespace forebay
