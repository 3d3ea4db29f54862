// RecentMap: a map that holds the most recently used keys only, so that no stream of foreign keys
// can make it grow.
#pragma once

#include <cstddef>
#include <list>
#include <unordered_map>
#include <utility>

namespace forebay {

// Thread safety: none.
template <typename Key, typename Value, typename Hash>
class RecentMap {
 public:
  // At most `size_max` keys, > 0.
  explicit RecentMap(std::size_t size_max) : size_max_(size_max) {}

  // The value of `key`, a new one if it has none. When that makes the map too large, `forgotten` is
  // called with the value that was not used for longest, and it is gone.
  // The reference is valid until the key is forgotten or erased.
  template <typename Forgotten>
  Value& Use(const Key& key, Forgotten forgotten) {
    if (const auto found = index_.find(key); found != index_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return found->second->second;
    }
    if (order_.size() >= size_max_) {
      forgotten(order_.back().second);
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(key, Value{});
    index_.emplace(key, order_.begin());
    return order_.front().second;
  }

  // Forgets the values that were not used for longest, for as long as `gone` says so of the next.
  template <typename Gone>
  void ForgetOldest(Gone gone) {
    while (!order_.empty() && gone(order_.back().second)) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
  }

  // The value of `key`, used now; null if it has none. Valid as Use's.
  const Value* Find(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &found->second->second;
  }

  void Erase(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    order_.erase(found->second);
    index_.erase(found);
  }

  std::size_t size() const { return order_.size(); }

 private:
  const std::size_t size_max_;
  std::list<std::pair<Key, Value>> order_;  // Last used first.
  std::unordered_map<Key, typename std::list<std::pair<Key, Value>>::iterator, Hash> index_;
};

}  // namespace forebay
