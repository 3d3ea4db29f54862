// Pool: the group's workers, as control uses them: to list a dataset, to count what is held, to
// fill and to drop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "client/client.h"
#include "cluster/snapshot.h"
#include "control/dataset_table.h"
#include "control/members.h"

namespace forebay {

// A file of a dataset, as it was listed.
struct ListedFile {
  std::string path;  // In the dataset's tree, without a slash at its start.
  Attributes attributes;
};

// All files of a dataset at one time. Immutable.
struct DatasetListing {
  std::vector<ListedFile> files;  // In byte order of their paths' components.
  std::uint64_t total_bytes = 0;
  Deadline began;
};

// The files of a snapshot.
DatasetListing ListingOf(const Snapshot& snapshot, Deadline began);

struct PoolFill {
  std::uint32_t replicas = 1;
  std::uint64_t bytes_per_second_max = 0;  // 0: as fast as it goes.
  // Called now and then with the bytes of blocks that are held by now, of this fill.
  std::function<void(std::uint64_t)> progress;
};

struct FillFailure {
  std::string path;
  std::string reason;
};

// Thread safety: safe. Obeys `stop` within 100 ms.
class Pool {
 public:
  // `environment` has the credentials of stores that are asked when no worker answers. The others
  // must outlive the pool.
  Pool(const Members& members, const DatasetTable& datasets,
       std::map<std::string, std::string> environment);
  ~Pool();

  // All names of a pinned dataset, as the store says they are now, asked through the pool.
  // Errors: those of Client::List.
  Result<SnapshotTree> ListNow(const DatasetRecord& dataset, Deadline deadline,
                               const std::stop_token& stop);

  // All files of another dataset, through the pool, known for no longer than its staleness bound.
  // Errors: those of Client::List.
  Result<DatasetListing> List(const DatasetRecord& dataset, Deadline deadline,
                              const std::stop_token& stop);

  // Bytes of each file that living workers say they hold, each block counted once; with `verify`
  // only what still matches its checksums. Who does not answer in time holds nothing.
  // Errors: kCancelled, kDeadlineExceeded, kInvalidArgument.
  Result<std::vector<std::uint64_t>> CountHeld(const DatasetRecord& dataset,
                                               const std::vector<ListedFile>& files, bool verify,
                                               Deadline deadline, const std::stop_token& stop);

  // Has the first `replicas` holders of every block hold it. Returns what could not be held, and
  // why.
  Result<std::vector<FillFailure>> Fill(const DatasetRecord& dataset,
                                        const std::vector<ListedFile>& files, const PoolFill& fill,
                                        const std::stop_token& stop);

  // Has all workers forget the blocks of these paths; none: of the whole dataset.
  Result<DropReport> Drop(const DatasetRecord& dataset, const std::vector<std::string>& paths,
                          Deadline deadline, const std::stop_token& stop);

  // Those of the map, who hold blocks.
  std::size_t workers() const;

  // Tells every worker that something changed; returns when those that answer know it.
  void Refresh(Deadline deadline, const std::stop_token& stop);

  // The metrics of every worker that answers.
  std::vector<std::string> Metrics(Deadline deadline, const std::stop_token& stop);

 private:
  struct State;

  // The client, going by the newest map.
  Client& Current();

  const Members& members_;
  std::unique_ptr<State> state_;
};

}  // namespace forebay
