#include "core/send_order.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "base/rng.h"

namespace forebay {
namespace {

using Ticket = SendOrder::Ticket;
constexpr DomainId kOne{1};
constexpr DomainId kTwo{2};

Ticket Client(SendOrder& order, DomainId domain = kOne) {
  return order.Arrive(SendClass::kClient, domain).value();
}
Ticket Peer(SendOrder& order) {
  return order.Arrive(SendClass::kPeer, kOne).value();
}

TEST(SendOrder, FirstComeFirstServedAndFewAtATime) {
  SendOrder order({.places = 2});
  const Ticket a = Client(order);
  const Ticket b = Client(order);
  const Ticket c = Client(order);
  EXPECT_EQ(order.Grant(), (std::vector<Ticket>{a, b}));
  EXPECT_EQ(order.waiting(), 1u);
  EXPECT_TRUE(order.Grant().empty());
  order.Leave(b);
  EXPECT_EQ(order.Grant(), (std::vector<Ticket>{c}));
  EXPECT_EQ(order.waiting(), 0u);
  EXPECT_EQ(order.granted(), 2u);
}

TEST(SendOrder, PeersGoFirst) {
  SendOrder order({.places = 1});
  const Ticket client = Client(order);
  const Ticket peer = Peer(order);
  EXPECT_EQ(order.Grant(), (std::vector<Ticket>{peer}));
  order.Leave(peer);
  EXPECT_EQ(order.Grant(), (std::vector<Ticket>{client}));
}

TEST(SendOrder, PeersDoNotStarveClients) {
  SendOrder order({.places = 1});
  const Ticket client = Client(order);
  std::uint32_t peers = 0;
  for (;; ++peers) {
    ASSERT_LE(peers, SendOrder::kPeerRunMax);
    (void)Peer(order);
    const Ticket granted = order.Grant().at(0);
    order.Leave(granted);
    if (granted == client) break;
  }
  EXPECT_EQ(peers, SendOrder::kPeerRunMax);
}

TEST(SendOrder, TenantsTakeTurns) {
  SendOrder order({.places = 1});
  std::vector<Ticket> one;
  for (int i = 0; i < 4; ++i) one.push_back(Client(order, kOne));
  const Ticket two_a = Client(order, kTwo);
  const Ticket two_b = Client(order, kTwo);
  for (const Ticket expected : {one[0], two_a, one[1], two_b, one[2], one[3]}) {
    EXPECT_EQ(order.Grant(), (std::vector<Ticket>{expected}));
    order.Leave(expected);
  }
}

TEST(SendOrder, OneThatYieldsLetsSomeGoBefore) {
  SendOrder order({.places = 1});
  const Ticket slow = Client(order);
  EXPECT_EQ(order.Grant(), (std::vector<Ticket>{slow}));
  for (int i = 0; i < 100; ++i) (void)Client(order);
  order.Yield(slow);
  EXPECT_EQ(order.waiting(), 101u);
  std::uint32_t before = 0;
  for (;; ++before) {
    const Ticket granted = order.Grant().at(0);
    order.Leave(granted);
    if (granted == slow) break;
  }
  EXPECT_EQ(before, SendOrder::kYieldsTo);
}

TEST(SendOrder, OneThatYieldsGoesOnIfNobodyWaits) {
  SendOrder order({.places = 1});
  const Ticket slow = Client(order);
  EXPECT_EQ(order.Grant(), (std::vector<Ticket>{slow}));
  order.Yield(slow);
  EXPECT_EQ(order.Grant(), (std::vector<Ticket>{slow}));
}

TEST(SendOrder, CancelledTicketsAreGoneWhereverTheyAre) {
  SendOrder order({.places = 1});
  const Ticket granted = Client(order);
  (void)order.Grant();
  const Ticket waiting = Client(order, kTwo);
  order.Cancel(waiting);
  order.Cancel(waiting);
  EXPECT_EQ(order.waiting(), 0u);
  const Ticket next = Client(order, kTwo);
  order.Yield(granted);
  order.Cancel(granted);
  EXPECT_EQ(order.Grant(), (std::vector<Ticket>{next}));
  order.Cancel(next);
  EXPECT_EQ(order.granted(), 0u);
  EXPECT_TRUE(order.Grant().empty());
}

TEST(SendOrder, RefusesWhenTooManyWait) {
  SendOrder order({.places = 1, .waiting_max = 2});
  (void)Client(order);
  (void)order.Grant();
  (void)Client(order);
  (void)Client(order);
  EXPECT_EQ(order.Arrive(SendClass::kPeer, kTwo), std::nullopt);
}

struct Model {
  std::vector<Ticket> waiting;
  std::vector<Ticket> granted;
};

Ticket TakeAny(std::vector<Ticket>& from, Rng& rng) {
  const auto place = from.begin() + static_cast<std::ptrdiff_t>(rng.Below(from.size()));
  const Ticket ticket = *place;
  from.erase(place);
  return ticket;
}

void Step(SendOrder& order, Model& model, Rng& rng) {
  const std::uint64_t action = rng.Below(8);
  if (action < 4) {
    const auto send_class = rng.Chance(1, 3) ? SendClass::kPeer : SendClass::kClient;
    if (const auto ticket = order.Arrive(send_class, DomainId{rng.Below(3)})) {
      model.waiting.push_back(*ticket);
    }
  } else if (action < 6 && !model.granted.empty()) {
    order.Leave(TakeAny(model.granted, rng));
  } else if (action == 6 && !model.granted.empty()) {
    model.waiting.push_back(TakeAny(model.granted, rng));
    order.Yield(model.waiting.back());
  } else if (std::vector<Ticket>& some = rng.Chance(1, 2) ? model.granted : model.waiting;
             !some.empty()) {
    order.Cancel(TakeAny(some, rng));
  }
}

// Property: nobody is granted twice or lost, never more than `places` are granted, and no place
// stays free while somebody waits.
TEST(SendOrder, KeepsEveryTicketUnderRandomUse) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SendOrder order({.places = 3, .waiting_max = 50});
    Model model;
    Rng rng(seed);
    for (int step = 0; step < 2000; ++step) {
      Step(order, model, rng);
      for (const Ticket ticket : order.Grant()) {
        ASSERT_EQ(std::erase(model.waiting, ticket), 1u);
        model.granted.push_back(ticket);
      }
      ASSERT_EQ(order.granted(), model.granted.size());
      ASSERT_EQ(order.waiting(), model.waiting.size());
      ASSERT_LE(model.granted.size(), 3u);
      ASSERT_TRUE(model.waiting.empty() || model.granted.size() == 3);
    }
  }
}

}  // namespace
}  // namespace forebay
