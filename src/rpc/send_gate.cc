#include "rpc/send_gate.h"

#include <utility>

namespace forebay {

std::optional<SendGate::Ticket> SendGate::Arrive(SendClass send_class, DomainId domain,
                                                 std::shared_ptr<Waker> waker) {
  MutexLock lock(mutex_);
  const std::optional<Ticket> ticket = order_.Arrive(send_class, domain);
  if (!ticket) return std::nullopt;
  Entry& entry = entries_[*ticket];
  Grant();
  entry.waker = std::move(waker);  // Only now: its owner is awake, and looks.
  return ticket;
}

bool SendGate::Granted(Ticket ticket) const {
  MutexLock lock(mutex_);
  const auto found = entries_.find(ticket);
  return found != entries_.end() && found->second.granted;
}

void SendGate::Leave(Ticket ticket) {
  MutexLock lock(mutex_);
  order_.Cancel(ticket);
  entries_.erase(ticket);
  Grant();
}

void SendGate::Grant() {
  for (const Ticket ticket : order_.Grant()) {
    Entry& entry = entries_.at(ticket);
    entry.granted = true;
    if (entry.waker) entry.waker->Wake();
  }
}

}  // namespace forebay
