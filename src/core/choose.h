// Choose: which of a block's holders a client asks.
//
// The less loaded of the holders, by the queue depth it last reported and what this client has
// asked of it since. Workers that fail are left alone for a while.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "base/rng.h"

namespace forebay {

// Whether a worker is worth asking. Opens after kFailures failures in a row; then one probe is let
// through after a second, and after each failed probe the pause doubles, up to ten.
//
// Thread safety: none.
class Breaker {
 public:
  static constexpr std::uint32_t kFailures = 3;
  static constexpr std::chrono::seconds kPauseMin{1};
  static constexpr std::chrono::seconds kPauseMax{10};

  // Whether a request may be sent at `now`. Changes nothing.
  bool MayTry(Clock::time_point now) const;
  // A request is sent. While open, it is the probe, and no other may follow until it ended or a
  // pause has passed again.
  void Tried(Clock::time_point now);
  // It was answered, with whatever code.
  void Answered();
  // The transport failed: refused, reset, no answer in time.
  void Failed(Clock::time_point now);
  // Some sign of life came at `at`. After the newest failure it closes the breaker: a machine that
  // stood still for a moment is not avoided for seconds.
  void Heard(Clock::time_point at);

  bool open() const { return failures_ >= kFailures; }

 private:
  std::uint32_t failures_ = 0;
  bool probing_ = false;  // A failure of any other request tells nothing new.
  Clock::duration pause_ = kPauseMin;
  Clock::time_point failed_at_ = Clock::time_point::min();
  Clock::time_point try_at_ = Clock::time_point::min();  // While open: when a probe may go.
};

// Thread safety: none; the client guards it.
class Chooser {
 public:
  // Among more holders than this, only two taken at random are compared.
  static constexpr std::size_t kCompareAll = 4;
  // A reported queue is taken to shrink by one block in this time, so that a worker that was busy
  // once is asked again.
  static constexpr std::chrono::milliseconds kDepthFades{10};

  // `seed` must differ from client to client, or all of them choose alike.
  explicit Chooser(std::uint64_t seed) : rng_(seed) {}

  // The place in `holders` of the one to ask; nothing if none is well: read from the upstream.
  // Workers are numbers that the client keeps for as long as it lives (not places in a ring, which
  // change with it), from 0, dense.
  std::optional<std::size_t> Choose(std::span<const std::uint32_t> holders, Clock::time_point now);

  // A request was sent to `worker`. Exactly one of the other three follows.
  void Sent(std::uint32_t worker, Clock::time_point now);
  void Answered(std::uint32_t worker, std::uint32_t queue_depth, Clock::time_point now);
  void Failed(std::uint32_t worker, Clock::time_point now);
  void Heard(std::uint32_t worker, Clock::time_point at) { At(worker).breaker.Heard(at); }
  // Given up by us; says nothing about the worker.
  void Abandoned(std::uint32_t worker);

  bool Well(std::uint32_t worker, Clock::time_point now) const;
  std::uint32_t outstanding(std::uint32_t worker) const {
    return worker < workers_.size() ? workers_[worker].outstanding : 0;
  }

 private:
  struct Worker {
    std::uint32_t depth = 0;  // As last reported, at `told_at`.
    Clock::time_point told_at;
    std::uint32_t outstanding = 0;  // Sent by us, not ended.
    Breaker breaker;
  };

  Worker& At(std::uint32_t worker);
  std::uint64_t Load(std::uint32_t worker, Clock::time_point now) const;

  Rng rng_;
  std::vector<Worker> workers_;
};

}  // namespace forebay
