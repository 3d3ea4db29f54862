#include "core/send_order.h"

#include <algorithm>

#include "base/check.h"

namespace forebay {

SendOrder::SendOrder(const SendOrderOptions& options) : options_(options) {
  CHECK(options.places > 0);
}

std::optional<SendOrder::Ticket> SendOrder::Arrive(SendClass send_class, DomainId domain) {
  if (waiting() >= options_.waiting_max) return std::nullopt;
  const Ticket ticket{next_++};
  tickets_.emplace(ticket, Entry{send_class, domain, State::kWaiting, 0});
  ClassQueue& queue = send_class == SendClass::kPeer ? peers_ : clients_;
  std::deque<Ticket>& tenant = queue.tenants[domain];
  if (tenant.empty()) queue.turns.push_back(domain);
  tenant.push_back(ticket);
  return ticket;
}

std::vector<SendOrder::Ticket> SendOrder::Grant() {
  std::vector<Ticket> granted;
  while (granted_ < options_.places) {
    const std::optional<Ticket> ticket = TakeNext();
    if (!ticket) break;
    tickets_.at(*ticket).state = State::kGranted;
    ++granted_;
    ++grants_;
    granted.push_back(*ticket);
  }
  return granted;
}

std::optional<SendOrder::Ticket> SendOrder::TakeNext() {
  if (const auto ticket = TakeYielded(true)) return ticket;
  const bool peer = !peers_.turns.empty() && (peer_run_ < kPeerRunMax || clients_.turns.empty());
  if (peer) {
    ++peer_run_;
    return TakeFrom(peers_);
  }
  peer_run_ = 0;
  if (!clients_.turns.empty()) return TakeFrom(clients_);
  return TakeYielded(false);
}

std::optional<SendOrder::Ticket> SendOrder::TakeYielded(bool due_only) {
  if (yielded_.empty()) return std::nullopt;
  const Ticket ticket = yielded_.front();
  if (due_only && tickets_.at(ticket).due > grants_) return std::nullopt;
  yielded_.pop_front();
  return ticket;
}

SendOrder::Ticket SendOrder::TakeFrom(ClassQueue& queue) {
  const DomainId domain = queue.turns.front();
  queue.turns.pop_front();
  const auto tenant = queue.tenants.find(domain);
  const Ticket ticket = tenant->second.front();
  tenant->second.pop_front();
  if (tenant->second.empty()) {
    queue.tenants.erase(tenant);
  } else {
    queue.turns.push_back(domain);
  }
  return ticket;
}

void SendOrder::Leave(Ticket ticket) {
  const auto found = tickets_.find(ticket);
  CHECK(found != tickets_.end() && found->second.state == State::kGranted);
  tickets_.erase(found);
  --granted_;
}

void SendOrder::Yield(Ticket ticket) {
  Entry& entry = tickets_.at(ticket);
  CHECK(entry.state == State::kGranted);
  entry.state = State::kYielded;
  entry.due = grants_ + kYieldsTo;
  yielded_.push_back(ticket);
  --granted_;
}

void SendOrder::Cancel(Ticket ticket) {
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return;
  switch (found->second.state) {
    case State::kGranted: --granted_; break;
    case State::kYielded: std::erase(yielded_, ticket); break;
    case State::kWaiting: RemoveWaiting(ticket, found->second); break;
  }
  tickets_.erase(found);
}

void SendOrder::RemoveWaiting(Ticket ticket, const Entry& entry) {
  ClassQueue& queue = entry.send_class == SendClass::kPeer ? peers_ : clients_;
  const auto tenant = queue.tenants.find(entry.domain);
  std::erase(tenant->second, ticket);
  if (!tenant->second.empty()) return;
  queue.tenants.erase(tenant);
  std::erase(queue.turns, entry.domain);
}

}  // namespace forebay
