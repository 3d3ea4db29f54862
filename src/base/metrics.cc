#include "base/metrics.h"

#include <fmt/format.h>

namespace forebay {
namespace {

std::string EscapeLabel(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string LabelText(const Labels& labels) {
  if (labels.empty()) return "";
  std::string text = "{";
  for (const auto& [key, value] : labels) {
    if (text.size() > 1) text += ',';
    text += fmt::format("{}=\"{}\"", key, EscapeLabel(value));
  }
  return text + '}';
}

constexpr std::array<double, Histogram::kBuckets> kBounds = {
    0.0001, 0.000316, 0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316, 1, 3.16, 10, 31.6};
constexpr double kNanosecondsPerSecond = 1e9;

}  // namespace

void Histogram::Observe(std::chrono::nanoseconds duration) {
  const double seconds = static_cast<double>(duration.count()) / kNanosecondsPerSecond;
  std::size_t bucket = 0;
  while (bucket < kBuckets && seconds > kBounds[bucket]) ++bucket;
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_nanoseconds_.fetch_add(static_cast<std::uint64_t>(duration.count()),
                             std::memory_order_relaxed);
}

void Histogram::AppendText(std::string& text, const std::string& name, const Labels& labels) const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i <= kBuckets; ++i) {
    total += counts_[i].load(std::memory_order_relaxed);
    Labels bounded = labels;
    bounded["le"] = i < kBuckets ? fmt::format("{}", kBounds[i]) : "+Inf";
    text += fmt::format("{}_bucket{} {}\n", name, LabelText(bounded), total);
  }
  const double sum = static_cast<double>(sum_nanoseconds_.load()) / kNanosecondsPerSecond;
  text += fmt::format("{}_sum{} {}\n", name, LabelText(labels), sum);
  text += fmt::format("{}_count{} {}\n", name, LabelText(labels), total);
}

MetricRegistry::Family& MetricRegistry::FamilyOf(std::string_view name, std::string_view help,
                                                 std::string_view type) {
  auto found = families_.find(name);
  if (found == families_.end()) {
    found = families_.emplace(name, Family{std::string(help), std::string(type), {}}).first;
  }
  return found->second;
}

Counter& MetricRegistry::AddCounter(std::string_view name, std::string_view help, Labels labels) {
  MutexLock lock(mutex_);
  Series& series = FamilyOf(name, help, "counter").series[std::move(labels)];
  if (!series.counter) series.counter = std::make_unique<Counter>();
  return *series.counter;
}

Histogram& MetricRegistry::AddHistogram(std::string_view name, std::string_view help,
                                        Labels labels) {
  MutexLock lock(mutex_);
  Series& series = FamilyOf(name, help, "histogram").series[std::move(labels)];
  if (!series.histogram) series.histogram = std::make_unique<Histogram>();
  return *series.histogram;
}

void MetricRegistry::SetGauge(std::string_view name, std::string_view help, Labels labels,
                              std::function<double()> read) {
  MutexLock lock(mutex_);
  FamilyOf(name, help, "gauge").series[std::move(labels)].gauge = std::move(read);
}

void MetricRegistry::RemoveGauge(std::string_view name, const Labels& labels) {
  MutexLock lock(mutex_);
  const auto found = families_.find(name);
  if (found != families_.end()) found->second.series.erase(labels);
}

std::string MetricRegistry::Text() const {
  MutexLock lock(mutex_);
  std::string text;
  for (const auto& [name, family] : families_) {
    text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.help, name, family.type);
    for (const auto& [labels, series] : family.series) {
      if (series.counter) {
        text += fmt::format("{}{} {}\n", name, LabelText(labels), series.counter->value());
      } else if (series.gauge) {
        text += fmt::format("{}{} {}\n", name, LabelText(labels), series.gauge());
      } else {
        series.histogram->AppendText(text, name, labels);
      }
    }
  }
  return text;
}

MetricRegistry& Metrics() {
  static MetricRegistry registry;
  return registry;
}

}  // namespace forebay
