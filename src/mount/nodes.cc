#include "mount/nodes.h"

#include <algorithm>
#include <utility>

namespace forebay {
namespace {

std::string NameOf(const std::string& path, const Attributes& attributes) {
  std::string name;
  name.reserve(path.size() + 1 + attributes.version.size());
  name += path;
  name += '\0';
  name += attributes.type == FileType::kDirectory ? std::string() : attributes.version;
  return name;
}

}  // namespace

Nodes::Nodes() {
  const Attributes directory{.type = FileType::kDirectory, .version = ""};
  by_id_.emplace(kRootNode, Known{std::make_shared<KnownNode>(kRootNode, "", directory), 1});
}

NodeRef Nodes::Enter(const std::string& path, const Attributes& attributes) {
  std::string name = NameOf(path, attributes);
  MutexLock lock(mutex_);
  const auto [entry, is_new] = by_name_.try_emplace(std::move(name), last_id_ + 1);
  Known& known = by_id_[entry->second];
  if (is_new) {
    ++last_id_;
    const Attributes bare{.type = FileType::kDirectory, .version = ""};
    known.node = std::make_shared<KnownNode>(
        entry->second, path, attributes.type == FileType::kDirectory ? bare : attributes);
  }
  ++known.lookups;
  return known.node;
}

NodeRef Nodes::Find(std::uint64_t id) const {
  MutexLock lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second.node;
}

void Nodes::Forget(std::uint64_t id, std::uint64_t lookups) {
  if (id == kRootNode) return;
  NodeRef last;  // Destroyed without the lock.
  MutexLock lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  found->second.lookups -= std::min(found->second.lookups, lookups);
  if (found->second.lookups > 0) return;
  last = std::move(found->second.node);
  by_name_.erase(NameOf(last->path, last->attributes));
  by_id_.erase(found);
}

std::size_t Nodes::size() const {
  MutexLock lock(mutex_);
  return by_id_.size();
}

}  // namespace forebay
