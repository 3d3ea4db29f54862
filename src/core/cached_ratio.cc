#include "core/cached_ratio.h"

#include <algorithm>

#include "base/check.h"

namespace forebay {
namespace {

bool IsBelow(std::string_view path, std::string_view prefix) {
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix.empty()) return true;
  if (!path.starts_with(prefix)) return false;
  return path.size() == prefix.size() || path[prefix.size()] == '/';
}

void AddTo(CacheCount& count, std::uint64_t cached, std::uint64_t size) {
  count.cached_bytes += cached;
  count.total_bytes += size;
}

}  // namespace

void BlockBitmap::Set(std::uint64_t block) {
  CHECK(block < blocks_);
  words_[block / 64] |= std::uint64_t{1} << (block % 64);
}

bool BlockBitmap::Has(std::uint64_t block) const {
  CHECK(block < blocks_);
  return (words_[block / 64] >> (block % 64) & 1) != 0;
}

void BlockBitmap::Or(const BlockBitmap& other) {
  CHECK(other.blocks_ == blocks_);
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
}

std::uint64_t BlockCount(std::uint64_t size, std::uint32_t block_bytes) {
  CHECK(block_bytes > 0);
  return size / block_bytes + (size % block_bytes != 0 ? 1 : 0);
}

std::uint64_t CachedBytes(std::uint64_t size, std::uint32_t block_bytes, const BlockBitmap& held) {
  const std::uint64_t blocks = BlockCount(size, block_bytes);
  CHECK(held.blocks() == blocks);
  std::uint64_t bytes = 0;
  for (std::uint64_t block = 0; block < blocks; ++block) {
    if (!held.Has(block)) continue;
    bytes += std::min<std::uint64_t>(block_bytes, size - block * block_bytes);
  }
  return bytes;
}

double CacheCount::Ratio() const {
  CHECK(cached_bytes <= total_bytes);
  if (cached_bytes == total_bytes) return 1.0;
  // Near 1 the quotient may round up to it, which would say that nothing is missing.
  constexpr double kBelowOne = 1.0 - 0x1p-53;
  return std::min(kBelowOne, static_cast<double>(cached_bytes) / static_cast<double>(total_bytes));
}

Census::Census(const std::vector<std::string>& prefixes) {
  for (const std::string& prefix : prefixes) below_[prefix];
}

void Census::Add(std::string_view path, std::uint64_t size, std::uint32_t block_bytes,
                 const BlockBitmap& held) {
  const std::uint64_t cached = CachedBytes(size, block_bytes, held);
  ++files_;
  AddTo(total_, cached, size);
  for (auto& [prefix, count] : below_) {
    if (IsBelow(path, prefix)) AddTo(count, cached, size);
  }
}

bool GateOpens(const CacheCount& count, double ratio, bool listing_complete, bool census_complete) {
  return listing_complete && census_complete && count.Reaches(ratio);
}

}  // namespace forebay
