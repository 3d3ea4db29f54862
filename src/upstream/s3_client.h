// S3Client: signed requests to one bucket, with retries, counted.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "base/metrics.h"
#include "base/mutex.h"
#include "base/rng.h"
#include "io/http_client.h"
#include "upstream/request_counts.h"
#include "upstream/s3_address.h"
#include "upstream/s3_error.h"
#include "upstream/s3_retry.h"
#include "upstream/upstream.h"

namespace forebay {

class Counter;
class Histogram;

struct S3Request {
  HttpMethod method = HttpMethod::kGet;
  std::string_view label;                    // "GET", "HEAD" or "LIST", in metrics.
  std::string key;                           // Literal. Empty: the bucket.
  std::map<std::string, std::string> query;  // Not encoded.
  std::vector<std::string> headers;          // Unsigned ones: "Range: bytes=0-1".
};

// Takes an answer with status 2xx; all others become failures before it sees them.
class S3Receiver {
 public:
  virtual ~S3Receiver() = default;
  virtual std::optional<S3Failure> OnHead(const HttpHead& head) = 0;
  virtual std::optional<S3Failure> OnBody(std::span<const std::byte> bytes) = 0;
};

// Thread safety: safe.
class S3Client {
 public:
  S3Client(const std::string& bucket, const UpstreamOptions& options, S3Address address,
           const Labels& store);

  // Sends `request` once. Nothing: the answer came whole, and `receiver` has it.
  std::optional<S3Failure> Attempt(const S3Request& request, S3Receiver& receiver,
                                   Deadline deadline, const std::stop_token& stop);

  // Calls `attempt` until it gives nothing, or another try would not help or not fit.
  Status WithRetries(const std::function<std::optional<S3Failure>()>& attempt, Deadline deadline,
                     const std::stop_token& stop) EXCLUDES(mutex_);

  void CountBytes(std::uint64_t bytes);
  // What an <Error> in an answer with status 200 means.
  S3Failure ErrorInAnswer(const HttpHead& head, const std::string& body) const {
    return FailureOf(head, body, context_);
  }

 private:
  HttpRequest Signed(const S3Request& request) const;
  std::optional<S3Failure> CheckCredentials() const;
  std::optional<std::chrono::milliseconds> NextDelay(const S3Failure& failure, int attempt,
                                                     Deadline deadline) EXCLUDES(mutex_);

  const UpstreamOptions options_;
  const S3Address address_;
  const S3Context context_;
  const RequestCounts counts_;
  HttpClient http_;
  RetryBudget budget_;
  Mutex mutex_;
  Rng rng_ GUARDED_BY(mutex_);
};

}  // namespace forebay
