// Nodes: what the kernel knows by number. A node is one version of one file, or a directory.
//
// Invariant: a number never means another path or another version, so pages and attributes that the
// kernel has of a file's node are right for ever.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "core/ids.h"
#include "mount/node_table.h"
#include "upstream/upstream.h"

namespace forebay {

inline constexpr std::uint64_t kRootNode = 1;

// How a node is open now: Backings alone reads and changes this.
struct NodeOpens {
  std::uint32_t buffered = 0;                     // Handles that are read through us.
  std::uint32_t passed_through = 0;               // Handles that the kernel reads from the backing.
  std::int32_t backing = 0;                       // While it has one.
  std::atomic<std::int32_t>* recorded = nullptr;  // The same in the table. Null: the root.
  bool is_adopted = false;                        // There may be handles that are not counted.
  bool is_forgotten = false;                      // `recorded` is another node's.
};

struct KnownNode {
  KnownNode(std::uint64_t own_id, std::string own_path, Attributes own_attributes)
      : id(own_id), path(std::move(own_path)), attributes(std::move(own_attributes)) {}

  bool is_directory() const { return attributes.type == FileType::kDirectory; }

  const std::uint64_t id;
  const std::string path;       // Below the mounted URL, without '/' at either end; "": the root.
  const Attributes attributes;  // Of a directory only the type: the rest changes.

  // The kernel may have pages that were read before the version's tag was settled.
  std::atomic<bool> has_young_pages = false;
  // It was given all bytes, by such a tag, and may have them still.
  std::atomic<bool> is_with_kernel = false;
  NodeOpens opens;
};
using NodeRef = std::shared_ptr<KnownNode>;

// Thread safety: safe. About 300 bytes a node, and its record in the table.
class Nodes {
 public:
  // Adopts `table`, and what another process left in it. `table` outlives this.
  explicit Nodes(NodeTable& table);

  // The node of this version of `path`, which the kernel then knows once more. Null: the table is
  // full.
  NodeRef Enter(const std::string& path, const Attributes& attributes) EXCLUDES(mutex_);
  // Null: no such node (any more).
  NodeRef Find(std::uint64_t id) const EXCLUDES(mutex_);
  using Visitor = std::function<void(KnownNode&)>;
  // The kernel knows it `lookups` times less; at 0 it is forgotten, after `last`, which must not
  // call this, was called with it. The root stays.
  void Forget(std::uint64_t id, std::uint64_t lookups, const Visitor& last) EXCLUDES(mutex_);
  // All nodes. `visit` must not call this.
  void Visit(const Visitor& visit) EXCLUDES(mutex_);
  std::size_t size() const EXCLUDES(mutex_);

  // A name that the kernel may keep, in the directory with this node.
  struct KnownName {
    std::uint64_t directory = 0;
    std::string name;
  };
  // Those of `most` nodes.
  std::vector<KnownName> Names(std::size_t most) const EXCLUDES(mutex_);

 private:
  struct Known {
    NodeRef node;
    NodeTable::Record* record = nullptr;  // Null: the root.
  };

  mutable Mutex mutex_;
  std::unordered_map<std::uint64_t, Known, KeyHash> by_id_ GUARDED_BY(mutex_);
  // By path, NUL byte, version.
  std::unordered_map<std::string, std::uint64_t, KeyHash> by_name_ GUARDED_BY(mutex_);
  NodeTable& table_ GUARDED_BY(mutex_);
};

}  // namespace forebay
