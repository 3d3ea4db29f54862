// Receivers: the threads on which a process takes what workers send to it, over all connections.
//
// One thread for all of them as long as it can: with small blocks a wake-up costs more than the
// bytes, and a thread that serves many connections is woken once for several. Only a thread that
// has much of a processor to do hands half of its connections to another.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"

namespace forebay {

// A connection, as Receivers calls it: on one thread at a time, not always the same.
class Receiving {
 public:
  virtual ~Receiving() = default;

  // What was waited for is there (`ready`), or else the time has come that was named last. Must not
  // block: other connections wait. Returns when to call again if nothing comes. Nothing: the
  // descriptor is closed already, and forgotten; another one may have been added.
  virtual std::optional<Deadline> Receive(bool ready) = 0;
};

struct ReceiversOptions {
  std::size_t threads_max = std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
  // A thread that needs this share of a processor hands connections on.
  double busy_share = 0.5;
};

// Thread safety: safe. Threads: one from the first Add on, and more up to threads_max once those
// are busy; they stay. Cost: a system call for each Add and Remove, another after kWritable, two
// locks for each Receive.
class Receivers {
 public:
  // What is waited for at first; afterwards it is something to read.
  enum class First { kReadable, kWritable };

  explicit Receivers(ReceiversOptions options = {});
  // All must have been removed, or have ended.
  ~Receivers();
  Receivers(const Receivers&) = delete;
  Receivers& operator=(const Receivers&) = delete;

  // Calls `receiving` from now on, whenever there is something to read from `fd`, and at `due`;
  // kWritable: the first time once a connect(2) that is under way has ended.
  // The descriptor must stay open until it ended by itself (Receive) or Remove has returned.
  // Errors: kUnavailable (out of descriptors or memory).
  Status Add(int fd, Receiving& receiving, Deadline due, First first = First::kReadable)
      EXCLUDES(mutex_);

  // After this returned, `receiving` is not called any more; waits for a call under way. Not from
  // inside of Receive, and not with a lock that Receive takes. Unknown ones are ignored.
  void Remove(const Receiving& receiving) EXCLUDES(mutex_);

  // Threads that were started.
  std::size_t threads() const EXCLUDES(mutex_);

 private:
  using Id = std::uint64_t;
  struct Thread;
  struct Entry {
    Receiving* receiving = nullptr;
    int fd = -1;
    Deadline due;
    Thread* thread = nullptr;
    First awaits = First::kReadable;
    bool called = false;   // Right now.
    bool removed = false;  // Not to be called again.
  };

  Thread* StartThread() REQUIRES(mutex_);
  Thread* LeastOccupied() REQUIRES(mutex_);
  void Run(Thread& thread, const std::stop_token& stop) EXCLUDES(mutex_);
  void Call(Thread& thread, Id id, bool ready) EXCLUDES(mutex_);
  Deadline CallDue(Thread& thread) EXCLUDES(mutex_);
  void ShareIfBusy(Thread& thread) EXCLUDES(mutex_);
  void HandOn(Thread& thread) EXCLUDES(mutex_);

  const ReceiversOptions options_;
  mutable Mutex mutex_;
  CondVar returned_;  // From a Receive.
  std::map<Id, Entry> entries_ GUARDED_BY(mutex_);
  Id next_id_ GUARDED_BY(mutex_) = 1;
  std::vector<std::unique_ptr<Thread>> threads_ GUARDED_BY(mutex_);
  TaskGroup tasks_;  // Last: joined before anything else goes.
};

}  // namespace forebay
