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

Nodes::Nodes(NodeTable& table) : table_(table) {
  const Attributes directory{.type = FileType::kDirectory, .version = ""};
  by_id_.emplace(kRootNode, Known{std::make_shared<KnownNode>(kRootNode, "", directory)});
  table_.Adopt([this](NodeTable::Known known) NO_THREAD_SAFETY_ANALYSIS {
    const std::uint64_t id = known.record.id;
    by_name_.emplace(NameOf(known.path, known.attributes), id);
    auto node = std::make_shared<KnownNode>(id, std::move(known.path), std::move(known.attributes));
    node->has_young_pages = true;  // They may be: who knew is gone.
    node->opens.is_adopted = true;
    node->opens.backing = known.record.backing;
    node->opens.recorded = &known.record.backing;
    by_id_.emplace(id, Known{std::move(node), &known.record});
  });
}

NodeRef Nodes::Enter(const std::string& path, const Attributes& attributes) {
  std::string name = NameOf(path, attributes);
  MutexLock lock(mutex_);
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    Known& known = by_id_.at(found->second);
    ++known.record->lookups;
    return known.node;
  }
  const Attributes bare{.type = FileType::kDirectory, .version = ""};
  const Attributes& kept = attributes.type == FileType::kDirectory ? bare : attributes;
  NodeTable::Record* const record = table_.Add(path, kept);
  if (record == nullptr) return nullptr;
  NodeRef node = std::make_shared<KnownNode>(record->id, path, kept);
  node->opens.recorded = &record->backing;
  by_name_.emplace(std::move(name), node->id);
  by_id_.emplace(node->id, Known{node, record});
  return node;
}

NodeRef Nodes::Find(std::uint64_t id) const {
  MutexLock lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second.node;
}

void Nodes::Forget(std::uint64_t id, std::uint64_t lookups, const Visitor& last) {
  if (id == kRootNode) return;
  NodeRef forgotten;  // Destroyed without the lock.
  MutexLock lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  NodeTable::Record& record = *found->second.record;
  record.lookups -= std::min<std::uint64_t>(record.lookups, lookups);
  if (record.lookups > 0) return;
  last(*found->second.node);
  table_.Remove(record);
  forgotten = std::move(found->second.node);
  by_name_.erase(NameOf(forgotten->path, forgotten->attributes));
  by_id_.erase(found);
}

void Nodes::Visit(const Visitor& visit) {
  MutexLock lock(mutex_);
  for (const auto& [id, known] : by_id_) visit(*known.node);
}

std::vector<Nodes::KnownName> Nodes::Names(std::size_t most) const {
  std::vector<KnownName> names;
  MutexLock lock(mutex_);
  for (const auto& [id, known] : by_id_) {
    if (names.size() == most) break;
    if (id == kRootNode) continue;
    const std::string& path = known.node->path;
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) {
      names.push_back({kRootNode, path});
      continue;
    }
    const auto above = by_name_.find(path.substr(0, slash) + '\0');
    if (above != by_name_.end()) names.push_back({above->second, path.substr(slash + 1)});
  }
  return names;
}

std::size_t Nodes::size() const {
  MutexLock lock(mutex_);
  return by_id_.size();
}

}  // namespace forebay
