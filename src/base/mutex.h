// Mutex, MutexLock and CondVar: the standard ones with clang's thread-safety annotations, so that
// touching a guarded field without its lock does not compile under clang.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/deadline.h"

#if defined(__clang__)
#define FOREBAY_ANNOTATE(x) __attribute__((x))
#else
#define FOREBAY_ANNOTATE(x)
#endif

#define CAPABILITY(x) FOREBAY_ANNOTATE(capability(x))
#define SCOPED_CAPABILITY FOREBAY_ANNOTATE(scoped_lockable)
#define GUARDED_BY(x) FOREBAY_ANNOTATE(guarded_by(x))
#define REQUIRES(...) FOREBAY_ANNOTATE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) FOREBAY_ANNOTATE(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) FOREBAY_ANNOTATE(acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) FOREBAY_ANNOTATE(try_acquire_capability(__VA_ARGS__))
#define RELEASE(...) FOREBAY_ANNOTATE(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS FOREBAY_ANNOTATE(no_thread_safety_analysis)

namespace forebay {

class CAPABILITY("mutex") Mutex {
 public:
  void Lock() ACQUIRE() { mutex_.lock(); }
  [[nodiscard]] bool TryLock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  void Unlock() RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Wait in a loop that re-checks its condition: wake-ups may be spurious.
class CondVar {
 public:
  void Wait(Mutex& mutex) REQUIRES(mutex) NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    changed_.wait(lock);
    lock.release();
  }
  void WaitUntil(Mutex& mutex, Deadline deadline) REQUIRES(mutex) NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    changed_.wait_until(lock, deadline);
    lock.release();
  }
  void NotifyOne() { changed_.notify_one(); }
  void NotifyAll() { changed_.notify_all(); }

 private:
  std::condition_variable changed_;
};

}  // namespace forebay
