#include "core/choose.h"

#include <algorithm>

#include "base/check.h"

namespace forebay {

bool Breaker::MayTry(Clock::time_point now) const {
  return !open() || now >= try_at_;
}

void Breaker::Tried(Clock::time_point now) {
  if (!open()) return;
  probing_ = true;
  try_at_ = now + pause_;
}

void Breaker::Answered() {
  failures_ = 0;
  probing_ = false;
  pause_ = kPauseMin;
}

void Breaker::Heard(Clock::time_point at) {
  if (open() && at > failed_at_) Answered();
}

void Breaker::Failed(Clock::time_point now) {
  failed_at_ = now;
  if (open()) {
    if (!probing_) return;
    pause_ = std::min<Clock::duration>(2 * pause_, kPauseMax);
  } else if (++failures_ < kFailures) {
    return;
  }
  probing_ = false;
  try_at_ = now + pause_;
}

Chooser::Worker& Chooser::At(std::uint32_t worker) {
  if (worker >= workers_.size()) workers_.resize(worker + 1);
  return workers_[worker];
}

bool Chooser::Well(std::uint32_t worker, Clock::time_point now) const {
  return worker >= workers_.size() || workers_[worker].breaker.MayTry(now);
}

std::uint64_t Chooser::Load(std::uint32_t worker, Clock::time_point now) const {
  if (worker >= workers_.size()) return 0;
  const Worker& state = workers_[worker];
  const std::int64_t faded = std::max<std::int64_t>((now - state.told_at) / kDepthFades, 0);
  const std::int64_t depth = std::max<std::int64_t>(std::int64_t{state.depth} - faded, 0);
  return static_cast<std::uint64_t>(depth) + state.outstanding;
}

std::optional<std::size_t> Chooser::Choose(std::span<const std::uint32_t> holders,
                                           Clock::time_point now) {
  std::vector<std::size_t> well;
  for (std::size_t place = 0; place < holders.size(); ++place) {
    if (Well(holders[place], now)) well.push_back(place);
  }
  if (well.empty()) return std::nullopt;
  // Two at random are nearly as good as all, and readers in step do not all take the same one.
  const std::size_t compared = well.size() > kCompareAll ? 2 : well.size();
  for (std::size_t i = 0; i < compared; ++i) {
    std::swap(well[i], well[i + rng_.Below(well.size() - i)]);
  }
  return *std::min_element(
      well.begin(), well.begin() + static_cast<std::ptrdiff_t>(compared),
      [&](std::size_t a, std::size_t b) { return Load(holders[a], now) < Load(holders[b], now); });
}

void Chooser::Sent(std::uint32_t worker, Clock::time_point now) {
  Worker& state = At(worker);
  ++state.outstanding;
  state.breaker.Tried(now);
}

void Chooser::Answered(std::uint32_t worker, std::uint32_t queue_depth, Clock::time_point now) {
  Abandoned(worker);
  At(worker).depth = queue_depth;
  At(worker).told_at = now;
  At(worker).breaker.Answered();
}

void Chooser::Failed(std::uint32_t worker, Clock::time_point now) {
  Abandoned(worker);
  At(worker).breaker.Failed(now);
}

void Chooser::Abandoned(std::uint32_t worker) {
  Worker& state = At(worker);
  CHECK(state.outstanding > 0);
  --state.outstanding;
}

}  // namespace forebay
