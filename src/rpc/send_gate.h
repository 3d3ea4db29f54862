// SendGate: core's send order for the threads of a server.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "core/send_order.h"
#include "io/waker.h"

namespace forebay {

// Thread safety: safe.
class SendGate {
 public:
  using Ticket = SendOrder::Ticket;

  explicit SendGate(std::uint32_t places) : order_({.places = places}) {}

  // Queues for a place; `waker` is woken once it is granted, unless it is Granted by now. Nothing:
  // the queue is full.
  std::optional<Ticket> Arrive(SendClass send_class, DomainId domain, std::shared_ptr<Waker> waker)
      EXCLUDES(mutex_);

  bool Granted(Ticket ticket) const EXCLUDES(mutex_);

  // Gives the place back, or the hope for one.
  void Leave(Ticket ticket) EXCLUDES(mutex_);

 private:
  struct Entry {
    std::shared_ptr<Waker> waker;  // Null: just arriving.
    bool granted = false;
  };

  void Grant() REQUIRES(mutex_);

  mutable Mutex mutex_;
  SendOrder order_ GUARDED_BY(mutex_);
  std::map<Ticket, Entry> entries_ GUARDED_BY(mutex_);
};

}  // namespace forebay
