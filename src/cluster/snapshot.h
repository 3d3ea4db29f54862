// Snapshot: all names of a pinned dataset at one time, and how they are written down.
//
// It has what a tree shows: a key that is also a directory is that directory, and keys that a tree
// cannot show are only counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/ids.h"
#include "upstream/upstream.h"

namespace forebay {

// Which snapshot: every refresh of a dataset has a number of its own.
struct SnapshotKey {
  DatasetUid uid;
  std::uint64_t refreshed = 0;
};

struct SnapshotDirectory {
  std::vector<Entry> entries;  // In byte order of their names.
  std::uint64_t left_out = 0;  // As in ListPage.
};

// By path: "" or ending in '/'.
using SnapshotTree = std::map<std::string, SnapshotDirectory, std::less<>>;

// Thread safety: immutable.
class Snapshot {
 public:
  Snapshot(SnapshotKey key, SnapshotTree tree);

  const SnapshotKey& key() const { return key_; }
  const SnapshotTree& tree() const { return tree_; }
  std::size_t names() const { return names_; }

  // As Upstream's. Errors: kNotFound.
  Result<Attributes> Stat(const std::string& path) const;
  Result<ListPage> List(const std::string& directory, const std::string& after) const;

 private:
  SnapshotKey key_;
  SnapshotTree tree_;
  std::size_t names_ = 0;
};

using SnapshotPointer = std::shared_ptr<const Snapshot>;

// Tables: docs/formats/snapshot.md. Errors of what decodes: kCorrupt, kInvalidArgument.
std::vector<std::byte> EncodeSnapshot(const Snapshot& snapshot);
Result<Snapshot> DecodeSnapshot(std::span<const std::byte> bytes);

// The file of a dataset's snapshot in `directory`, which is STATE/snapshots.
std::string SnapshotPath(const std::string& directory, DatasetUid uid);
// Errors: kNotFound, kUnavailable, and those of DecodeSnapshot.
Result<Snapshot> ReadSnapshot(const std::string& path);

}  // namespace forebay
