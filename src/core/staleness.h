// Staleness: how long what is known about a file may be used.
//
// An entry's age counts from before the upstream was asked. Every cache that hands it on hands on
// its age, and the next keeps it only for what is left of the bound: so the dataset's bound holds
// end to end, whatever lies between.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/deadline.h"
#include "core/ids.h"
#include "core/recent_map.h"

namespace forebay {

// A dataset's staleness bound. Immutable value.
class StalenessBound {
 public:
  // 0: one check per open.
  explicit constexpr StalenessBound(std::chrono::milliseconds bound) : bound_(bound) {}
  // A snapshot: what is known stays true until it is refreshed by hand.
  static constexpr StalenessBound Pinned() {
    return StalenessBound(std::chrono::milliseconds::max());
  }

  constexpr bool pinned() const { return bound_ == std::chrono::milliseconds::max(); }

  // Whether an entry asked for at `asked_at` may serve a request made at `now`. With bound 0 only
  // if it was asked for no earlier than that.
  bool Usable(Clock::time_point asked_at, Clock::time_point now) const;

  // Whether a request made at `now` may wait for a check that others wait for: if it was not sent
  // yet (`sent_at` empty), or its answer will be usable for this request.
  bool MayJoin(std::optional<Clock::time_point> sent_at, Clock::time_point now) const {
    return !sent_at || Usable(*sent_at, now);
  }

 private:
  std::chrono::milliseconds bound_;
};

// An age as it travels: whole milliseconds, rounded up, so that hops never make an entry younger.
std::uint64_t AgeMilliseconds(Clock::time_point asked_at, Clock::time_point now);

// When to fetch a whole listing instead of one more name: at the 32nd lookup in the same directory
// within a minute.
//
// Thread safety: none; the worker guards it. Bounded: the last kDirectoriesMax directories.
class ListingRule {
 public:
  static constexpr std::uint32_t kLookups = 32;
  static constexpr std::size_t kDirectoriesMax = 4096;
  static constexpr std::chrono::seconds kWindow{60};

  ListingRule() : directories_(kDirectoriesMax) {}

  // Counts a lookup that had to ask the upstream, in the directory with this placement hash.
  // True: fetch the listing now. The count then starts again.
  bool Looked(std::uint64_t directory_hash, Clock::time_point now);

  // The directory was too large to be listed for the sake of its names: not again within an hour.
  void TooLarge(std::uint64_t directory_hash, Clock::time_point now);

 private:
  static constexpr std::chrono::hours kTooLargeFor{1};
  struct Count {
    std::uint32_t lookups = 0;
    Clock::time_point not_before;  // Not listed until then.
    Clock::time_point since;
  };
  RecentMap<std::uint64_t, Count, KeyHash> directories_;
};

}  // namespace forebay
