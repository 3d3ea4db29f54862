// BlockIndex: which blocks a tier knows by name, and how much of each dataset it holds.
//
// Invariant: a block is known once; a dataset's usage is the sum over its complete blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "core/ids.h"
#include "store/memory_tier.h"

namespace forebay {

class TierBlock;

// Thread safety: none; the tier guards it. Cost: logarithmic in the blocks, but for Find.
// Memory: 200 bytes a block.
class BlockIndex {
 public:
  // `first_change`: above every change that an earlier index of the same tier may have counted.
  explicit BlockIndex(std::uint64_t first_change) : changes_(first_change) {}

  // Null if it is not known.
  std::shared_ptr<TierBlock> Find(const BlockKey& key) const;

  // It must not be known.
  void Add(const BlockKey& key, std::shared_ptr<TierBlock> block);
  // A known block is complete, or a complete one was adopted.
  void Completed(const BlockKey& key, std::uint32_t bytes);
  // A known block goes. `bytes`: as in Completed; 0 if it was not.
  // The key by value: it may be the block's own, which ends here.
  void Remove(BlockKey key, std::uint32_t bytes);

  // At most `count_max` known keys from `first` on, or above `after`, ascending.
  std::vector<BlockKey> KeysFrom(const BlockKey& first, std::size_t count_max) const;
  std::vector<BlockKey> KeysAfter(const std::optional<BlockKey>& after,
                                  std::size_t count_max) const;

  const std::map<DatasetUid, DatasetUsage>& usage() const { return usage_; }
  std::uint64_t complete_bytes() const { return complete_bytes_; }

 private:
  std::vector<BlockKey> Keys(std::set<BlockKey>::const_iterator at, std::size_t count_max) const;

  std::unordered_map<BlockKey, std::shared_ptr<TierBlock>, KeyHash> blocks_;
  std::set<BlockKey> ordered_;  // The keys of blocks_: walked a part at a time.
  std::map<DatasetUid, DatasetUsage> usage_;
  std::uint64_t complete_bytes_ = 0;
  std::uint64_t changes_;
};

}  // namespace forebay
