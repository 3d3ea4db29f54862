// Session: the threads that serve a mount, and what is in flight.
//
// Invariants: an interrupt or a forget never waits behind a request that waits for the store: while
// all threads are busy one of them only receives, and queues what may block. Names and attributes
// never wait behind bytes: those may have kReadingMax of the threads.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <stop_token>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"
#include "core/ids.h"
#include "io/unique_fd.h"
#include "mount/filesystem.h"
#include "mount/kernel_channel.h"
#include "mount/request.h"

namespace forebay {

// What may be interrupted.
//
// Thread safety: safe.
class InFlight {
 public:
  // Whether the thread `tid` is to end, and must not wait any longer.
  using IsToEnd = std::function<bool(std::uint32_t tid)>;

  explicit InFlight(IsToEnd is_to_end) : is_to_end_(std::move(is_to_end)) {}

  // Once more of the same request changes nothing.
  std::stop_token Add(std::uint64_t unique, std::uint32_t tid) EXCLUDES(mutex_);
  void Remove(std::uint64_t unique) EXCLUDES(mutex_);
  // The kernel says this once of a request: it is ended if its thread is to end, else watched. If
  // another thread is about to add it, then when that has happened.
  void Interrupt(std::uint64_t unique) EXCLUDES(mutex_);
  // Ends those that are watched and whose threads are to end by now.
  void Reconsider() EXCLUDES(mutex_);
  // Waits until something is to be watched; false: `stop` came first.
  bool AwaitWatched(const std::stop_token& stop) EXCLUDES(mutex_);

 private:
  struct Waiting {
    std::stop_source stop;
    std::uint32_t tid = 0;
    bool watched = false;
  };

  // Most of these came too late, and will never be added.
  static constexpr std::size_t kEarlyMax = 1024;

  void SetWatched(Waiting& waiting) REQUIRES(mutex_);

  const IsToEnd is_to_end_;
  Mutex mutex_;
  CondVar changed_;
  std::size_t watched_ GUARDED_BY(mutex_) = 0;
  std::deque<std::uint64_t> early_ GUARDED_BY(mutex_);  // Interrupted, but not in flight.
  std::unordered_map<std::uint64_t, Waiting, KeyHash> requests_ GUARDED_BY(mutex_);
};

// Threads: at most kThreadsMax, each started when it is first needed, and one that watches.
class Session {
 public:
  static constexpr std::size_t kThreadsMax = 64;
  // Of these, in requests for bytes (READ, and OPEN, which reads the first ones).
  static constexpr std::size_t kReadingMax = kThreadsMax * 3 / 4;
  // Requests that wait for a thread, of either kind. Each is of a thread of some program, or read
  // ahead for it.
  static constexpr std::size_t kWaitingMax = 4096;

  using Channels = std::vector<std::shared_ptr<KernelChannel>>;

  // `channels`, at least one, are of one mount. `filesystem` outlives this.
  static std::unique_ptr<Session> Start(Channels channels, Filesystem& filesystem);

  // The mount must have ended (Wait): nothing else stops the threads.
  ~Session();

  // Whether requests are received: a thread listens, or has taken one since the last call.
  bool IsTurning() EXCLUDES(mutex_);

  // Waits for the end of the mount; false if `until` or `stop` came first.
  bool Wait(Deadline until, const std::stop_token& stop) EXCLUDES(mutex_);

 private:
  // A request with the bytes that it refers to.
  struct Received {
    std::shared_ptr<KernelChannel> channel;
    std::vector<std::byte> bytes;
    std::uint64_t unique = 0;
    std::stop_token stop;
  };

  Session(Channels channels, Filesystem& filesystem);

  void StartThread() EXCLUDES(mutex_);
  void Serve(const std::shared_ptr<KernelChannel>& channel) EXCLUDES(mutex_);
  // Looks again and again at what was interrupted and not ended.
  void Watch(const std::stop_token& stop) EXCLUDES(mutex_);
  // Serves a request that came while this thread was idle. Whether that was one for bytes.
  bool Take(const std::shared_ptr<KernelChannel>& channel, std::span<const std::byte> bytes)
      EXCLUDES(mutex_);
  // Hands it on, because this is the last thread that listens, or enough of them wait for bytes.
  // False: this thread is to do it.
  bool HandOn(const std::shared_ptr<KernelChannel>& channel, std::span<const std::byte> bytes,
              const Request& request) EXCLUDES(mutex_);
  // Answers those of the waiting that were interrupted.
  void DropInterrupted() EXCLUDES(mutex_);
  // A thread ends its request, which was `for_bytes` or not. What waits for one, or, with nullopt,
  // nothing: it counts as idle.
  std::optional<Received> NextWaiting(bool for_bytes) EXCLUDES(mutex_);
  void Do(KernelChannel& channel, const Request& request);

  const Channels channels_;
  Filesystem& filesystem_;
  InFlight in_flight_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Received> waiting_ GUARDED_BY(mutex_);
  std::deque<Received> waiting_for_bytes_ GUARDED_BY(mutex_);
  std::size_t reading_ GUARDED_BY(mutex_) = 0;
  std::size_t threads_ GUARDED_BY(mutex_) = 0;
  std::size_t idle_ GUARDED_BY(mutex_) = 0;     // Threads that receive, or are about to.
  std::uint64_t taken_ GUARDED_BY(mutex_) = 0;  // Requests that a thread stopped listening for.
  std::uint64_t taken_before_ GUARDED_BY(mutex_) = 0;
  bool ended_ GUARDED_BY(mutex_) = false;
  TaskGroup group_;  // Last: uses all of the above.
};

}  // namespace forebay
