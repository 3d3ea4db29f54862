// SendOrder: whose block goes onto the link next.
//
// A worker that sends to all its connections at once makes every reader wait for all others; few
// whole blocks at a time, first come first served, finish each as early as it can be (measured: 16
// % against 88-99 % of line rate when 100 clients read the same files in step).
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "core/ids.h"

namespace forebay {

enum class SendClass : std::uint8_t {
  kPeer,  // Another worker: its copy will serve many. Goes first.
  kClient,
};

struct SendOrderOptions {
  std::uint32_t places = 3;            // Blocks on the link at once.
  std::uint32_t waiting_max = 65'536;  // Tickets that wait, yielded ones included.
};

// A ticket is one block to send: it arrives, is granted a place, and leaves. Peers go before
// clients, but after kPeerRunMax peers in a row one client goes. Within a class tenants take turns;
// within a tenant the first come is the first served.
//
// Thread safety: none; the worker guards it. Cost: logarithmic in the tenants that wait.
class SendOrder {
 public:
  enum class Ticket : std::uint64_t {};
  static constexpr std::uint32_t kPeerRunMax = 16;
  // Tickets that go before one that yielded.
  static constexpr std::uint32_t kYieldsTo = 8;

  explicit SendOrder(const SendOrderOptions& options);

  // Nothing if waiting_max tickets wait: the worker answers Overloaded.
  std::optional<Ticket> Arrive(SendClass send_class, DomainId domain);

  // Gives free places away, and returns the tickets that got one, in order. Call it after Arrive,
  // Leave, Yield and Cancel.
  std::vector<Ticket> Grant();

  // The block of a granted ticket was sent.
  void Leave(Ticket ticket);

  // A granted ticket made no progress: it gives its place back and waits again. The next kYieldsTo
  // tickets go before it (fewer if fewer wait), so that a reader that stalls holds nobody up, and
  // one that stalled once does not go to the end.
  void Yield(Ticket ticket);

  // Its connection is gone, wherever the ticket is. Unknown tickets are ignored.
  void Cancel(Ticket ticket);

  // Tickets without a place: the queue depth that replies carry.
  std::size_t waiting() const { return tickets_.size() - granted_; }
  std::size_t granted() const { return granted_; }

 private:
  enum class State : std::uint8_t { kWaiting, kYielded, kGranted };
  struct Entry {
    SendClass send_class = SendClass::kClient;
    DomainId domain;
    State state = State::kWaiting;
    std::uint64_t due = 0;  // Yielded: the count of grants at which it goes next.
  };
  struct ClassQueue {
    std::map<DomainId, std::deque<Ticket>> tenants;  // None is empty.
    std::deque<DomainId> turns;                      // Whose turn it is; each tenant once.
  };

  std::optional<Ticket> TakeNext();
  std::optional<Ticket> TakeYielded(bool due_only);
  Ticket TakeFrom(ClassQueue& queue);
  void RemoveWaiting(Ticket ticket, const Entry& entry);

  const SendOrderOptions options_;
  std::map<Ticket, Entry> tickets_;
  ClassQueue peers_;
  ClassQueue clients_;
  std::deque<Ticket> yielded_;  // In the order of their yielding.
  std::size_t granted_ = 0;
  std::uint64_t grants_ = 0;  // Ever.
  std::uint32_t peer_run_ = 0;
  std::uint64_t next_ = 1;
};

}  // namespace forebay
