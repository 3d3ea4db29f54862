#include "store/block_index.h"

#include <utility>

#include "base/check.h"
#include "store/tier_block.h"

namespace forebay {

std::shared_ptr<TierBlock> BlockIndex::Find(const BlockKey& key) const {
  const auto found = blocks_.find(key);
  return found == blocks_.end() ? nullptr : found->second;
}

void BlockIndex::Add(const BlockKey& key, std::shared_ptr<TierBlock> block) {
  CHECK(blocks_.emplace(key, std::move(block)).second);
  ordered_.insert(key);
}

void BlockIndex::Completed(const BlockKey& key, std::uint32_t bytes) {
  CHECK(blocks_.contains(key) && bytes > 0);
  DatasetUsage& usage = usage_[key.file.dataset];
  usage.bytes += bytes;
  ++usage.blocks;
  usage.changes = ++changes_;
  complete_bytes_ += bytes;
}

void BlockIndex::Remove(BlockKey key, std::uint32_t bytes) {
  ordered_.erase(key);
  CHECK(blocks_.erase(key) == 1);
  if (bytes == 0) return;
  complete_bytes_ -= bytes;
  const auto found = usage_.find(key.file.dataset);
  CHECK(found != usage_.end() && found->second.blocks > 0);
  DatasetUsage& usage = found->second;
  usage.bytes -= bytes;
  --usage.blocks;
  usage.changes = ++changes_;
  if (usage.blocks == 0) usage_.erase(found);  // Should it return, its changes are still higher.
}

std::vector<BlockKey> BlockIndex::Keys(std::set<BlockKey>::const_iterator at,
                                       std::size_t count_max) const {
  std::vector<BlockKey> keys;
  for (; at != ordered_.end() && keys.size() < count_max; ++at) keys.push_back(*at);
  return keys;
}

std::vector<BlockKey> BlockIndex::KeysFrom(const BlockKey& first, std::size_t count_max) const {
  return Keys(ordered_.lower_bound(first), count_max);
}

std::vector<BlockKey> BlockIndex::KeysAfter(const std::optional<BlockKey>& after,
                                            std::size_t count_max) const {
  return Keys(after ? ordered_.upper_bound(*after) : ordered_.begin(), count_max);
}

}  // namespace forebay
