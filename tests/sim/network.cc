#include "sim/network.h"

namespace forebay::sim {

void Network::Send(const Message& message) {
  if (cut_.contains({message.from, message.to})) return;
  if (faulty_ && rng_.Chance(config_.lose, 1000)) return;
  if (faulty_ && rng_.Chance(config_.duplicate, 1000)) DeliverLater(message);
  DeliverLater(message);
}

void Network::DeliverLater(const Message& message) {
  std::chrono::microseconds delay(50 + rng_.Below(500));
  if (faulty_ && rng_.Chance(config_.late, 1000)) {
    // Most are still waited for.
    delay += std::chrono::microseconds(rng_.Below(rng_.Chance(3, 4) ? 40'000 : 1'000'000));
  }
  scheduler_.After(delay, message.to, [this, message] { deliver_(message); });
}

}  // namespace forebay::sim
