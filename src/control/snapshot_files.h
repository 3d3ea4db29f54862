// SnapshotFiles: STATE/snapshots: one file for each pinned dataset, so that a new control goes on
// with the snapshots of the one before.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "cluster/snapshot.h"

namespace forebay {

// Thread safety: safe for different datasets at a time.
class SnapshotFiles {
 public:
  // `directory` is made when it is first needed.
  explicit SnapshotFiles(std::string directory) : directory_(std::move(directory)) {}

  // Removes what belongs to other datasets than `pinned`.
  void Sweep(const std::set<DatasetUid>& pinned) const;

  // The snapshot of that key, also one that was only staged. Null: there is none, or another
  // one's; what is unreadable is logged.
  SnapshotPointer Read(const SnapshotKey& key) const;

  // Two steps, so that the registry can count the refresh between them: whatever ends in between,
  // the snapshot of the count that the registry has is there. Stage writes a file beside, Commit
  // replaces the file whole with it. Errors: those of ReplaceFile.
  Status Stage(const Snapshot& snapshot) const;
  Status Commit(DatasetUid uid) const;
  void Remove(DatasetUid uid) const;

 private:
  std::string StagedPath(DatasetUid uid) const;

  const std::string directory_;
};

}  // namespace forebay
