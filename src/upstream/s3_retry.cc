#include "upstream/s3_retry.h"

#include <algorithm>

namespace forebay {

void RetryBudget::OnRequest() {
  MutexLock lock(mutex_);
  balance_ = std::min(balance_ + 1, kCeiling);
}

bool RetryBudget::TrySpend(Deadline now) {
  MutexLock lock(mutex_);
  const auto idle = std::chrono::floor<std::chrono::seconds>(now - updated_);
  if (idle.count() > 0) {
    updated_ += idle;
    const std::int64_t earned = std::min(balance_ + idle.count() * kFifths, kFloor);
    balance_ = std::max(balance_, earned);
  }
  if (balance_ < kFifths) return false;
  balance_ -= kFifths;
  return true;
}

std::optional<std::chrono::milliseconds> DelayBefore(const S3Failure& failure, int attempt,
                                                     std::chrono::milliseconds left, Rng& rng) {
  if (!failure.retryable || attempt >= kAttemptsMax) return std::nullopt;
  constexpr std::uint64_t kFirstMs = 50, kGrowth = 3, kLongestMs = 2'000;
  std::uint64_t bound = kFirstMs;
  for (int i = 1; i < attempt; ++i) bound = std::min(bound * kGrowth, kLongestMs);
  const std::chrono::milliseconds jitter(rng.Below(bound + 1));
  const auto delay = std::max(jitter, failure.retry_after.value_or(jitter));
  if (delay >= left) return std::nullopt;
  return delay;
}

Status WaitUntil(Deadline when, const std::stop_token& stop) {
  Mutex mutex;
  CondVar changed;
  // Before the lock: the callback may run at once, on this thread.
  const std::stop_callback wake(stop, [&mutex, &changed] {
    MutexLock lock(mutex);
    changed.NotifyAll();
  });
  MutexLock lock(mutex);
  while (!stop.stop_requested() && !Passed(when)) changed.WaitUntil(mutex, when);
  if (stop.stop_requested()) return Error(Code::kCancelled, "stopped");
  return {};
}

}  // namespace forebay
