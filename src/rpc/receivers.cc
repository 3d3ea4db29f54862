#include "rpc/receivers.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/check.h"
#include "io/unique_fd.h"
#include "io/waker.h"

namespace forebay {
namespace {

constexpr std::size_t kEventsMax = 64;
constexpr std::uint64_t kWakerId = 0;
// How long a thread must have been busy.
constexpr std::chrono::milliseconds kBusyFor{100};

// `operation`: of epoll_ctl(2).
bool Watch(int epoll, int operation, int fd, std::uint64_t id,
           Receivers::First what = Receivers::First::kReadable) {
  epoll_event event{};
  event.events = what == Receivers::First::kWritable ? EPOLLOUT : EPOLLIN;
  event.data.u64 = id;
  return epoll_ctl(epoll, operation, fd, &event) == 0;
}

// Of the calling thread.
Clock::duration ProcessorTime() {
  timespec time{};
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

struct Receivers::Thread {
  Thread(UniqueFd epoll_fd, std::shared_ptr<Waker> own_waker)
      : epoll(std::move(epoll_fd)), waker(std::move(own_waker)) {}

  const UniqueFd epoll;
  const std::shared_ptr<Waker> waker;
  Deadline due = Deadline::max();  // Of its entries, or earlier. Guarded by mutex_.
  // Of the thread itself: when it last looked how busy it is.
  Deadline looked_at = Clock::now();
  Clock::duration spent{};
};

Receivers::Receivers(ReceiversOptions options) : options_(options) {}

Receivers::~Receivers() {
  tasks_.RequestStop();
  MutexLock lock(mutex_);
  CHECK(entries_.empty());
  for (const std::unique_ptr<Thread>& thread : threads_) thread->waker->Wake();
}

std::size_t Receivers::threads() const {
  MutexLock lock(mutex_);
  return threads_.size();
}

Status Receivers::Add(int fd, Receiving& receiving, Deadline due, First first) {
  MutexLock lock(mutex_);
  Thread* thread = threads_.empty() ? StartThread() : LeastOccupied();
  const Id id = next_id_++;
  // Nobody calls it before it is among the entries.
  if (thread == nullptr || !Watch(thread->epoll.get(), EPOLL_CTL_ADD, fd, id, first)) {
    return Error(Code::kUnavailable, std::string("epoll: ") + std::strerror(errno));
  }
  entries_[id] =
      Entry{.receiving = &receiving, .fd = fd, .due = due, .thread = thread, .awaits = first};
  if (due < thread->due) {
    thread->due = due;
    thread->waker->Wake();
  }
  return {};
}

void Receivers::Remove(const Receiving& receiving) {
  MutexLock lock(mutex_);
  while (true) {
    const auto found = std::ranges::find_if(
        entries_, [&](const auto& entry) { return entry.second.receiving == &receiving; });
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    entry.removed = true;
    if (entry.called) {
      returned_.Wait(mutex_);
      continue;
    }
    CHECK(epoll_ctl(entry.thread->epoll.get(), EPOLL_CTL_DEL, entry.fd, nullptr) == 0);
    entries_.erase(found);
  }
}

Receivers::Thread* Receivers::StartThread() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  std::shared_ptr<Waker> waker = Waker::TryMake();
  if (!epoll || !waker || !Watch(epoll.get(), EPOLL_CTL_ADD, waker->fd(), kWakerId)) return nullptr;
  Thread& thread =
      *threads_.emplace_back(std::make_unique<Thread>(std::move(epoll), std::move(waker)));
  tasks_.Run("receive", [this, &thread](std::stop_token stop) { Run(thread, stop); });
  return &thread;
}

Receivers::Thread* Receivers::LeastOccupied() {
  std::map<const Thread*, std::size_t> entries;
  for (const auto& [id, entry] : entries_) ++entries[entry.thread];
  return std::ranges::min_element(
             threads_, {},
             [&entries](const std::unique_ptr<Thread>& thread) { return entries[thread.get()]; })
      ->get();
}

void Receivers::Run(Thread& thread, const std::stop_token& stop) {
  std::array<epoll_event, kEventsMax> events{};
  while (!stop.stop_requested()) {
    const int count = epoll_wait(thread.epoll.get(), events.data(), kEventsMax,
                                 MillisecondsUntil(CallDue(thread)));
    for (const epoll_event& event :
         std::span(events).first(static_cast<std::size_t>(std::max(count, 0)))) {
      if (event.data.u64 == kWakerId) {
        thread.waker->Clear();
      } else {
        Call(thread, event.data.u64, /*ready=*/true);
      }
    }
    ShareIfBusy(thread);
  }
}

void Receivers::Call(Thread& thread, Id id, bool ready) {
  Receiving* receiving = nullptr;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;  // Removed since the kernel told; or handed on.
    Entry& entry = found->second;
    if (entry.removed || entry.thread != &thread) return;
    entry.called = true;
    receiving = entry.receiving;
  }
  const std::optional<Deadline> due = receiving->Receive(ready);
  MutexLock lock(mutex_);
  if (due) {
    Entry& entry = entries_.at(id);
    entry.due = *due;
    entry.called = false;
    if (ready && std::exchange(entry.awaits, First::kReadable) == First::kWritable) {
      CHECK(Watch(thread.epoll.get(), EPOLL_CTL_MOD, entry.fd, id));
    }
    thread.due = std::min(thread.due, *due);
  } else {
    entries_.erase(id);  // The kernel forgot it when it was closed.
  }
  returned_.NotifyAll();
}

// Calls all whose time has come; when the next one's will.
Deadline Receivers::CallDue(Thread& thread) {
  std::vector<Id> ids;
  {
    MutexLock lock(mutex_);
    if (!Passed(thread.due)) return thread.due;
    const Deadline now = Clock::now();
    thread.due = Deadline::max();
    for (const auto& [id, entry] : entries_) {
      if (entry.thread != &thread) continue;
      if (entry.due <= now) {
        ids.push_back(id);
      } else {
        thread.due = std::min(thread.due, entry.due);
      }
    }
  }
  for (const Id id : ids) Call(thread, id, /*ready=*/false);
  MutexLock lock(mutex_);
  return thread.due;
}

void Receivers::ShareIfBusy(Thread& thread) {
  const Clock::duration since = Clock::now() - thread.looked_at;
  if (since < kBusyFor) return;
  const Clock::duration spent = ProcessorTime();
  const auto busy = std::chrono::duration<double>(spent - thread.spent);
  thread.looked_at += since;
  thread.spent = spent;
  if (busy >= options_.busy_share * std::chrono::duration<double>(since)) HandOn(thread);
}

// Every other connection goes to a new thread. Nobody else calls those of this one.
void Receivers::HandOn(Thread& thread) {
  MutexLock lock(mutex_);
  std::vector<Id> own;
  for (const auto& [id, entry] : entries_) {
    if (entry.thread == &thread) own.push_back(id);
  }
  if (own.size() < 2 || threads_.size() >= options_.threads_max) return;
  Thread* other = StartThread();
  if (other == nullptr) return;
  for (std::size_t i = 1; i < own.size(); i += 2) {
    Entry& entry = entries_.at(own[i]);
    if (!Watch(other->epoll.get(), EPOLL_CTL_ADD, entry.fd, own[i], entry.awaits)) continue;
    CHECK(epoll_ctl(thread.epoll.get(), EPOLL_CTL_DEL, entry.fd, nullptr) == 0);
    entry.thread = other;
    other->due = std::min(other->due, entry.due);
  }
  other->waker->Wake();
}

}  // namespace forebay
