// RequestCounts: what is counted of the requests to one under-storage, whatever kind it is of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/metrics.h"

namespace forebay {

// Thread safety: safe.
class RequestCounts {
 public:
  // `store` has the labels "dataset" and "namespace".
  explicit RequestCounts(const Labels& store);

  // `code`: "OK", an HTTP status, or the name of a Code.
  void Ended(std::string_view method, const std::string& code, Deadline began) const;
  void Throttled() const;
  void Read(std::uint64_t bytes) const;

 private:
  const std::string dataset_;
  const std::string namespace_;
  Counter& bytes_;
  Counter& throttled_;
  Histogram& seconds_;
};

}  // namespace forebay
