// When to try again: a bounded number of times, with full jitter, out of a budget that the whole
// store shares, so that retries cannot multiply the load on a store in trouble.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/rng.h"
#include "upstream/s3_error.h"

namespace forebay {

inline constexpr int kAttemptsMax = 6;

// Each request earns a fifth of a retry; ten are there from the start, and an idle store earns one
// a second up to those ten.
//
// Thread safety: safe.
class RetryBudget {
 public:
  explicit RetryBudget(Deadline now) : updated_(now) {}

  void OnRequest() EXCLUDES(mutex_);
  // Spends one retry, if there is one.
  bool TrySpend(Deadline now) EXCLUDES(mutex_);

 private:
  static constexpr std::int64_t kFifths = 5;  // Balances are in fifths of a retry.
  static constexpr std::int64_t kFloor = 10 * kFifths;
  static constexpr std::int64_t kCeiling = 100 * kFifths;

  Mutex mutex_;
  std::int64_t balance_ GUARDED_BY(mutex_) = kFloor;
  Deadline updated_ GUARDED_BY(mutex_);
};

// How long to wait after failed attempt number `attempt` (from 1): uniform in 0 .. min(2 s,
// 50 ms * 3^(attempt-1)), at least what the store asked for. Nothing: do not try again, because it
// would not help, attempts are used up, or the wait would outlast `left`. Pure.
std::optional<std::chrono::milliseconds> DelayBefore(const S3Failure& failure, int attempt,
                                                     std::chrono::milliseconds left, Rng& rng);

// Returns at `when`, or as soon as `stop` is requested: kCancelled.
Status WaitUntil(Deadline when, const std::stop_token& stop);

}  // namespace forebay
