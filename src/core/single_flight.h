// SingleFlight: one piece of work for all who want the same thing at the same time.
//
// Used for block fills, attribute checks and listings: the first to ask leads and does the work,
// the others wait for it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"

namespace forebay {

enum class Joined {
  kLead,        // The caller must do the work, and Finish it whatever comes of it.
  kFollow,      // Somebody does. The waiter will be among those that Finish returns.
  kOverloaded,  // Too many flights, or too many wait for this one. The waiter was not kept.
};

// `Waiter` is what its owner needs to tell the one who waits; equality identifies it.
//
// Thread safety: none; its owner guards it.
template <typename Key, typename Waiter, typename Hash>
class SingleFlight {
 public:
  SingleFlight(std::size_t flights_max, std::size_t waiters_max)
      : flights_max_(flights_max), waiters_max_(waiters_max) {}

  // Whoever leads waits too: its waiter is the first that Finish returns.
  Joined Join(const Key& key, Waiter waiter) {
    if (const auto found = flights_.find(key); found != flights_.end()) {
      if (found->second.size() >= waiters_max_) return Joined::kOverloaded;
      found->second.push_back(std::move(waiter));
      return Joined::kFollow;
    }
    if (flights_.size() >= flights_max_) return Joined::kOverloaded;
    flights_[key].push_back(std::move(waiter));
    return Joined::kLead;
  }

  // The work is done or has failed: ends the flight and returns who waits for it, in the order of
  // their joining. The flight must exist.
  std::vector<Waiter> Finish(const Key& key) {
    const auto found = flights_.find(key);
    CHECK(found != flights_.end());
    std::vector<Waiter> waiters = std::move(found->second);
    flights_.erase(found);
    return waiters;
  }

  // `waiter` waits no longer. The flight goes on, even with nobody waiting, until Finish. False if
  // it did not wait (any more).
  bool Leave(const Key& key, const Waiter& waiter) {
    const auto found = flights_.find(key);
    if (found == flights_.end()) return false;
    const auto place = std::find(found->second.begin(), found->second.end(), waiter);
    if (place == found->second.end()) return false;
    found->second.erase(place);
    return true;
  }

  bool Contains(const Key& key) const { return flights_.contains(key); }
  std::size_t flights() const { return flights_.size(); }
  std::size_t waiters(const Key& key) const {
    const auto found = flights_.find(key);
    return found == flights_.end() ? 0 : found->second.size();
  }

 private:
  const std::size_t flights_max_;
  const std::size_t waiters_max_;
  std::unordered_map<Key, std::vector<Waiter>, Hash> flights_;  // Never iterated.
};

}  // namespace forebay
