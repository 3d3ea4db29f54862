// BufferPool: memory for blocks on their way, used again and again: fresh pages cost more than a
// copy.
#pragma once

#include <bit>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace forebay {

// Memory for one block. Movable; empty when default-made.
struct BlockBuffer {
  std::unique_ptr<std::byte[]> memory;
  std::size_t capacity = 0;
};

// Thread safety: safe.
class BufferPool {
 public:
  // Keeps at most `kept_bytes_max` of unused memory.
  explicit BufferPool(std::size_t kept_bytes_max) : kept_bytes_max_(kept_bytes_max) {}

  // At least `bytes` of memory, not cleared. What was put last comes first: it may be in a cache.
  BlockBuffer Get(std::size_t bytes) EXCLUDES(mutex_) {
    const std::size_t capacity = std::bit_ceil(bytes);
    MutexLock lock(mutex_);
    std::vector<BlockBuffer>& kept = kept_[capacity];
    if (kept.empty()) {
      return BlockBuffer{std::make_unique_for_overwrite<std::byte[]>(capacity), capacity};
    }
    BlockBuffer buffer = std::move(kept.back());
    kept.pop_back();
    kept_bytes_ -= capacity;
    return buffer;
  }

  void Put(BlockBuffer buffer) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (buffer.capacity == 0 || kept_bytes_ + buffer.capacity > kept_bytes_max_) return;
    kept_bytes_ += buffer.capacity;
    kept_[buffer.capacity].push_back(std::move(buffer));
  }

 private:
  const std::size_t kept_bytes_max_;
  Mutex mutex_;
  std::size_t kept_bytes_ GUARDED_BY(mutex_) = 0;
  // By capacity, a power of two.
  std::map<std::size_t, std::vector<BlockBuffer>> kept_ GUARDED_BY(mutex_);
};

}  // namespace forebay
