// Session: the threads that serve a mount, and what is in flight.
//
// Invariant: an interrupt or a forget never waits behind a request that waits for the store. While
// all threads are busy one of them only receives: it queues what may block.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
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
  std::stop_token Add(std::uint64_t unique) EXCLUDES(mutex_);
  void Remove(std::uint64_t unique) EXCLUDES(mutex_);
  // False: it is not in flight (any more, or yet).
  bool Interrupt(std::uint64_t unique) EXCLUDES(mutex_);
  void InterruptAll() EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  std::unordered_map<std::uint64_t, std::stop_source, KeyHash> requests_ GUARDED_BY(mutex_);
};

// Threads: at most kThreadsMax, each started when it is first needed.
class Session {
 public:
  static constexpr std::size_t kThreadsMax = 64;
  // Requests that wait for a thread. Each is of a thread of some program, or read ahead for it.
  static constexpr std::size_t kWaitingMax = 4096;

  // `device` is a descriptor of /dev/fuse that was mounted. The kernel's first request is answered
  // here. `filesystem` outlives this.
  // Errors: kUnavailable: unmounted at once, or the kernel is too old.
  static Result<std::unique_ptr<Session>> Start(UniqueFd device, Filesystem& filesystem);

  // The mount must have ended (Wait): nothing else stops the threads.
  ~Session();

  // Waits for the end of the mount; false if `until` or `stop` came first.
  bool Wait(Deadline until, const std::stop_token& stop) EXCLUDES(mutex_);

  // Interrupts everything in flight.
  void InterruptAll() { in_flight_.InterruptAll(); }

 private:
  // A request with the bytes that it refers to.
  struct Received {
    std::shared_ptr<KernelChannel> channel;
    std::vector<std::byte> bytes;
  };

  Session(UniqueFd device, Filesystem& filesystem);

  Status Negotiate();
  void StartThread() EXCLUDES(mutex_);
  void Serve() EXCLUDES(mutex_);
  // Serves a request that came while this thread was idle.
  void Take(const std::shared_ptr<KernelChannel>& channel, std::span<const std::byte> bytes)
      EXCLUDES(mutex_);
  // Hands it on, because this is the last thread that listens. False: it is not.
  bool HandOn(const std::shared_ptr<KernelChannel>& channel, std::span<const std::byte> bytes)
      EXCLUDES(mutex_);
  // What waits, or, with nullopt, nothing: and this thread counts as idle.
  std::optional<Received> NextWaiting() EXCLUDES(mutex_);
  void Do(KernelChannel& channel, const Request& request);

  const std::shared_ptr<KernelChannel> channel_;
  Filesystem& filesystem_;
  InFlight in_flight_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Received> waiting_ GUARDED_BY(mutex_);
  std::size_t threads_ GUARDED_BY(mutex_) = 0;
  std::size_t idle_ GUARDED_BY(mutex_) = 0;  // Threads that receive, or are about to.
  bool ended_ GUARDED_BY(mutex_) = false;
  TaskGroup group_;  // Last: uses all of the above.
};

}  // namespace forebay
