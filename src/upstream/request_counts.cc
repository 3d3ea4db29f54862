#include "upstream/request_counts.h"

namespace forebay {

RequestCounts::RequestCounts(const Labels& store)
    : dataset_(store.at("dataset")),
      namespace_(store.at("namespace")),
      bytes_(Metrics().AddCounter("forebay_upstream_bytes_total",
                                  "Bytes read from the under-storage.",
                                  {{"dataset", dataset_}, {"namespace", namespace_}})),
      throttled_(Metrics().AddCounter("forebay_upstream_throttled_total",
                                      "Answers with which the under-storage asked for less.")),
      seconds_(Metrics().AddHistogram("forebay_upstream_request_duration_seconds",
                                      "Time of a request to the under-storage.")) {}

void RequestCounts::Ended(std::string_view method, const std::string& code, Deadline began) const {
  seconds_.Observe(Clock::now() - began);
  Metrics()
      .AddCounter("forebay_upstream_requests_total", "Requests to the under-storage.",
                  {{"dataset", dataset_},
                   {"namespace", namespace_},
                   {"method", std::string(method)},
                   {"code", code}})
      .Add();
}

void RequestCounts::Throttled() const {
  throttled_.Add();
}

void RequestCounts::Read(std::uint64_t bytes) const {
  bytes_.Add(bytes);
}

}  // namespace forebay
