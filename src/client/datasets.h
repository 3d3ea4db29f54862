// Datasets: the datasets that this client's URLs name, as the group last said they are.
//
// Invariant: what a dataset says is asked for again once its staleness bound has passed and it is
// used; as long as nobody can answer, what is known stays in force, so that a client outlives
// control.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "client/dataset_url.h"
#include "client/group_directory.h"
#include "client/stores.h"
#include "client/workers.h"
#include "core/recent_map.h"

namespace forebay {

struct DatasetsOptions {
  // What is known is used for its staleness bound, but no shorter and no longer than this.
  std::chrono::milliseconds use_min{1'000};
  std::chrono::milliseconds use_max{60'000};
  // Asking again, of all who may know, takes no longer than this.
  std::chrono::milliseconds renew_timeout{2'000};
  // The directory answers from this process's memory: it alone is asked, at every use.
  bool directory_at_hand = false;
  // What is known of names is used no longer than this, unless the dataset is pinned.
  std::chrono::milliseconds staleness_max = std::chrono::milliseconds::max();
};

// Thread safety: safe.
class Datasets {
 public:
  // The upstream of a dataset: TreeUpstream over its mounts, but for tests.
  using Factory = std::function<Result<std::shared_ptr<Upstream>>(const DatasetEntry&)>;
  static constexpr std::size_t kDatasetsMax = 16'384;

  Datasets(std::unique_ptr<GroupDirectory> directory, Workers& workers, Factory make_upstream,
           DatasetsOptions options = {})
      : directory_(std::move(directory)),
        workers_(workers),
        make_upstream_(std::move(make_upstream)),
        options_(options),
        known_(kDatasetsMax) {}

  // Errors: kNotFound: the group has no such dataset; kUnavailable: nobody who knows was reached,
  // and it was not known before; kInvalidArgument: this build cannot read its mounts.
  Result<StoreRef> Find(const DatasetRef& name, Deadline deadline, std::stop_token stop)
      EXCLUDES(mutex_);
  // Asks now, whatever is known: the generation of the dataset. Errors: as Find; kUnavailable also
  // if it was known before.
  Result<std::uint64_t> Renew(const DatasetRef& name, Deadline deadline, std::stop_token stop)
      EXCLUDES(mutex_);

 private:
  struct Known {
    DatasetEntry entry;
    StoreRef store;  // Null: not known yet.
    Clock::time_point renew_at;
    bool renewing = false;
  };

  Clock::duration UseFor(const DatasetEntry& entry) const;
  Result<StoreRef> FindFirst(const DatasetRef& name, Deadline deadline, std::stop_token stop);
  // What `name` is now. Errors: kNotFound; any other: nobody knows.
  Result<DatasetEntry> AskAgain(const DatasetRef& name, const DatasetEntry& known,
                                Deadline deadline, std::stop_token stop);
  Result<DatasetEntry> AskDirectory(const DatasetRef& name, Deadline deadline,
                                    std::stop_token stop);
  Result<DatasetEntry> AskWorkers(const DatasetRef& name, Deadline deadline, std::stop_token stop);
  // Takes what was answered over; the store to use now.
  Result<StoreRef> Keep(const DatasetRef& name, DatasetEntry entry) EXCLUDES(mutex_);
  Result<StoreRef> MakeStore(const Known& known, const DatasetEntry& entry) const;

  const std::unique_ptr<GroupDirectory> directory_;
  Workers& workers_;
  const Factory make_upstream_;
  const DatasetsOptions options_;
  Mutex mutex_;
  RecentMap<std::string, Known, KeyHash> known_ GUARDED_BY(mutex_);  // By DatasetRef::Text.
};

}  // namespace forebay
