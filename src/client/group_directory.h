// GroupDirectory: who is asked first about a group: its map, and its datasets by name.
#pragma once

#include <memory>
#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "client/dataset_url.h"
#include "cluster/group_json.h"
#include "cluster/snapshot_source.h"

namespace forebay {

// Thread safety: safe.
class GroupDirectory {
 public:
  virtual ~GroupDirectory() = default;

  // The map and `dataset`; without the dataset if control does not answer and what it wrote down is
  // older. Errors: kNotFound: the group has no such dataset; kInvalidArgument: it cannot be read,
  // and why; kUnavailable, or any other: who knows cannot be reached.
  virtual Result<GroupAnswer> Ask(const DatasetRef& dataset, Deadline deadline,
                                  std::stop_token stop) = 0;

  // Of the group's pinned datasets. Null: their stores are asked instead.
  virtual std::shared_ptr<SnapshotSource> snapshots() const { return nullptr; }
};

// Where a group is found. At least one is set.
struct GroupAddress {
  std::string control;         // "unix:PATH" or "http://HOST:PORT".
  std::string group_file;      // STATE/group.json, for while control is away.
  std::string snapshots = {};  // STATE/snapshots, likewise.
};

// Asks control, and reads the file while control does not answer.
// Errors: kInvalidArgument: `control` is no such address.
Result<std::unique_ptr<GroupDirectory>> MakeControlDirectory(const GroupAddress& address);

}  // namespace forebay
