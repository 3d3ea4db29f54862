// Cached ratio: the arithmetic of a census.
//
// A census goes along the listing of a dataset and asks which blocks of the *current* versions have
// at least one live holder. Each block counts once, however many hold it. A ratio is never clamped:
// more cached than there is means that the count is wrong, and the process stops.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace forebay {

// Which blocks of a file someone holds. Holders' answers are OR-ed into one.
//
// Thread safety: none. Immutable size.
class BlockBitmap {
 public:
  explicit BlockBitmap(std::uint64_t blocks) : blocks_(blocks), words_((blocks + 63) / 64) {}

  std::uint64_t blocks() const { return blocks_; }
  void Set(std::uint64_t block);
  bool Has(std::uint64_t block) const;
  // `other` is of the same file.
  void Or(const BlockBitmap& other);

 private:
  std::uint64_t blocks_;
  std::vector<std::uint64_t> words_;
};

// Blocks of a file of `size` bytes; none of an empty one. `block_bytes` > 0.
std::uint64_t BlockCount(std::uint64_t size, std::uint32_t block_bytes);

// Bytes of the blocks that are set: the last one may be short.
std::uint64_t CachedBytes(std::uint64_t size, std::uint32_t block_bytes, const BlockBitmap& held);

struct CacheCount {
  std::uint64_t cached_bytes = 0;
  std::uint64_t total_bytes = 0;

  // 1 for what has no bytes: there is nothing left to cache.
  double Ratio() const;
  // Whether it is at least `ratio`, 0 to 1. Exact when all is cached: 1.0 means every byte.
  bool Reaches(double ratio) const { return Ratio() >= ratio; }
  bool operator==(const CacheCount&) const = default;
};

// Counts a dataset, and besides what lies below each of some prefixes of its paths.
//
// Thread safety: none. Cost: linear in the prefixes for each file.
class Census {
 public:
  // A prefix is a directory ("train" or "train/") or a file; "" is everything.
  explicit Census(const std::vector<std::string>& prefixes = {});

  // One file of the listing. Each path once.
  void Add(std::string_view path, std::uint64_t size, std::uint32_t block_bytes,
           const BlockBitmap& held);

  const CacheCount& total() const { return total_; }
  std::uint64_t files() const { return files_; }
  // `prefix` as it was given.
  const CacheCount& Below(const std::string& prefix) const { return below_.at(prefix); }

 private:
  CacheCount total_;
  std::uint64_t files_ = 0;
  std::map<std::string, CacheCount> below_;
};

// Whether a gate at `ratio` may open: on what is known in full only. A listing that is still under
// way would make the ratio of a part that of the whole, and a holder that was not heard may or may
// not have its blocks.
bool GateOpens(const CacheCount& count, double ratio, bool listing_complete, bool census_complete);

}  // namespace forebay
