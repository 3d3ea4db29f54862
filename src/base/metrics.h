// Metrics in Prometheus text format. Declared at the top of the .cc that moves them:
//
//   Counter& sent_bytes = Metrics().AddCounter("forebay_worker_sent_bytes_total", "Bytes sent.");
//
// Names and labels: docs/metrics.md; tests/tidy holds the two together.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"

namespace forebay {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  void Add(std::uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

// Upper bounds 100 us, 316 us, 1 ms ... 31.6 s: half a decade a bucket.
class Histogram {
 public:
  static constexpr std::size_t kBuckets = 12;

  void Observe(std::chrono::nanoseconds duration);
  void AppendText(std::string& text, const std::string& name, const Labels& labels) const;

 private:
  std::array<std::atomic<std::uint64_t>, kBuckets + 1> counts_{};
  std::atomic<std::uint64_t> sum_nanoseconds_ = 0;
};

// Thread safety: safe. Metric objects live as long as the registry; keep the reference, as looking
// one up takes a lock.
class MetricRegistry {
 public:
  Counter& AddCounter(std::string_view name, std::string_view help, Labels labels = {})
      EXCLUDES(mutex_);
  Histogram& AddHistogram(std::string_view name, std::string_view help, Labels labels = {})
      EXCLUDES(mutex_);
  // `read` is called at every scrape, and replaces an earlier gauge of that name and labels. What
  // it refers to must outlive it.
  void SetGauge(std::string_view name, std::string_view help, Labels labels,
                std::function<double()> read) EXCLUDES(mutex_);

  // Before what its `read` refers to goes.
  void RemoveGauge(std::string_view name, const Labels& labels) EXCLUDES(mutex_);

  // The whole registry, text format 0.0.4.
  std::string Text() const EXCLUDES(mutex_);

 private:
  struct Series {
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Histogram> histogram;
    std::function<double()> gauge;
  };
  struct Family {
    std::string help;
    std::string type;
    std::map<Labels, Series> series;
  };

  Family& FamilyOf(std::string_view name, std::string_view help, std::string_view type)
      REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::map<std::string, Family, std::less<>> families_ GUARDED_BY(mutex_);
};

// The process's registry: with the logger, the only global.
MetricRegistry& Metrics();

}  // namespace forebay
