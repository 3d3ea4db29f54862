// Handles: what is open, by the number that the kernel keeps for it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "base/mutex.h"
#include "core/ids.h"

namespace forebay {

// Thread safety: safe. Numbers begin at `first` and never repeat. What is open may be null: it will
// be needed later, or never.
template <typename T>
class Handles {
 public:
  explicit Handles(std::uint64_t first) : next_(first) {}

  std::uint64_t Add(std::shared_ptr<T> opened) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    const std::uint64_t handle = next_++;
    open_.emplace(handle, std::move(opened));
    return handle;
  }

  // Null: there is no such handle, or nothing was needed yet.
  std::shared_ptr<T> Find(std::uint64_t handle) const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    const auto found = open_.find(handle);
    return found == open_.end() ? nullptr : found->second;
  }

  std::size_t size() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return open_.size();
  }

  // What it stood for: to be let go by the caller, without a lock.
  std::shared_ptr<T> Remove(std::uint64_t handle) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    const auto found = open_.find(handle);
    if (found == open_.end()) return nullptr;
    std::shared_ptr<T> opened = std::move(found->second);
    open_.erase(found);
    return opened;
  }

  // Opened under this number by somebody else, or later. Returns what is open under it now.
  std::shared_ptr<T> Restore(std::uint64_t handle, const std::shared_ptr<T>& opened)
      EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    std::shared_ptr<T>& known = open_[handle];
    if (!known) known = opened;
    return known;
  }

 private:
  mutable Mutex mutex_;
  std::uint64_t next_ GUARDED_BY(mutex_);
  std::unordered_map<std::uint64_t, std::shared_ptr<T>, KeyHash> open_ GUARDED_BY(mutex_);
};

}  // namespace forebay
