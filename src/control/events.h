// EventLog: what happened to the group, in words, for `forebay events` and for whoever looks later.
#pragma once

#include <cstdint>
#include <deque>
#include <stop_token>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "registry/registry.h"

namespace forebay {

struct Event {
  std::uint64_t sequence = 0;
  std::int64_t time_ms = 0;  // Since 1970: when it happened last.
  bool warning = false;
  std::string reason;          // "WorkerReady": one word, for scripts.
  std::string object;          // "dataset.data.fluid.io/prices", "worker/default-0".
  std::string namespace_name;  // Empty for workers.
  std::string message;
  std::uint64_t count = 1;  // How often in a row.
};

// Keeps the newest kEventsMax. One that repeats within a minute only raises the count of the old.
//
// Thread safety: safe.
class EventLog {
 public:
  static constexpr std::size_t kEventsMax = 1000;

  // Starts with what the registry has kept.
  explicit EventLog(Registry& registry);

  void Add(Event event) EXCLUDES(mutex_);

  // Events after `sequence`, oldest first.
  std::vector<Event> Since(std::uint64_t sequence) const EXCLUDES(mutex_);

  // The same, but waits for one until `until`. Obeys `stop` within 100 ms.
  std::vector<Event> Await(std::uint64_t sequence, Deadline until, const std::stop_token& stop)
      EXCLUDES(mutex_);

 private:
  // Takes out the event that `event` repeats; returns its count, or 0.
  std::uint64_t DropTwinOf(const Event& event) REQUIRES(mutex_);

  Registry& registry_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Event> events_ GUARDED_BY(mutex_);
  std::uint64_t next_ GUARDED_BY(mutex_) = 1;
};

}  // namespace forebay
