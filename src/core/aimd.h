// Aimd: how many requests one process has at the upstream when the workers are no help.
//
// "The cache died" must never become "the store died": every process starts small, grows by one a
// round of successes, and halves when the store throttles or slows down.
// Source: Chiu & Jain, Analysis of the increase and decrease algorithms, 1989.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/deadline.h"

namespace forebay {

struct AimdOptions {
  std::uint32_t start = 4;
  std::uint32_t cap = 64;  // This process's share of the store's cap, >= 1.
  // Slow is: longer than this, and more than four times the best seen.
  std::chrono::milliseconds slow{2'000};
};

// Thread safety: none; the client guards it.
class Aimd {
 public:
  explicit Aimd(const AimdOptions& options);

  // Requests that may be outstanding, 1 to cap.
  std::uint32_t limit() const { return limit_; }
  std::uint32_t outstanding() const { return outstanding_; }
  bool MayStart() const { return outstanding_ < limit_; }

  // Started must be followed by exactly one of the other three. `started` is when that request
  // began: one that began before the last halving tells nothing new, and halves nothing.
  void Started();
  void Succeeded(Clock::time_point started, Clock::time_point now);
  void Throttled(Clock::time_point started, Clock::time_point now);
  // Ended in a way that says nothing about the store's load: not found, cancelled.
  void Ended();

 private:
  void Halve(Clock::time_point started, Clock::time_point now);

  const AimdOptions options_;
  std::uint32_t limit_;
  std::uint32_t outstanding_ = 0;
  std::uint32_t successes_ = 0;  // Since the limit last changed.
  Clock::duration best_ = Clock::duration::max();
  Clock::time_point halved_at_ = Clock::time_point::min();
};

}  // namespace forebay
