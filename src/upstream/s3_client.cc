#include "upstream/s3_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/metrics.h"
#include "base/wall_clock.h"
#include "upstream/percent.h"
#include "upstream/s3_sign.h"

namespace forebay {
namespace {

constexpr std::size_t kErrorBodyBytesMax = 64u << 10;  // S3's are below 4 KiB.

// Stands between HTTP and an S3Receiver: passes 2xx on, keeps the body of anything else.
class AnswerReceiver final : public HttpReceiver {
 public:
  explicit AnswerReceiver(S3Receiver& inner) : inner_(inner) {}

  Status OnHead(const HttpHead& head) override {
    head_ = head;
    return IsSuccess() ? Taken(inner_.OnHead(head)) : Status();
  }
  Status OnBody(std::span<const std::byte> bytes) override {
    if (IsSuccess()) return Taken(inner_.OnBody(bytes));
    const std::size_t room = kErrorBodyBytesMax - error_body_.size();
    const std::size_t taken = std::min(room, bytes.size());
    error_body_.append(reinterpret_cast<const char*>(bytes.data()), taken);
    // An error that does not end is as good as its first 64 KiB.
    if (taken < bytes.size()) return Error(Code::kUnavailable, "an endless error answer");
    return {};
  }

  bool IsSuccess() const { return head_.status / 100 == 2; }
  const HttpHead& head() const { return head_; }
  const std::string& error_body() const { return error_body_; }
  std::optional<S3Failure>& failure() { return failure_; }

 private:
  Status Taken(std::optional<S3Failure> failure) {
    if (!failure) return {};
    failure_ = std::move(failure);
    return failure_->error;
  }

  S3Receiver& inner_;
  HttpHead head_;
  std::string error_body_;
  std::optional<S3Failure> failure_;
};

}  // namespace

S3Client::S3Client(const std::string& bucket, const UpstreamOptions& options, S3Address address,
                   const Labels& store)
    : options_(options),
      address_(std::move(address)),
      context_{.bucket = bucket,
               .endpoint = EndpointOf(options),
               .region = options.region,
               .access_key_id = options.anonymous ? "" : options.access_key_id},
      counts_(store),
      http_({.connections_max = options.max_connections, .ca_bundle = options.ca_bundle}),
      budget_(Clock::now()),
      rng_(static_cast<std::uint64_t>(WallClockNanoseconds())) {}

std::optional<S3Failure> S3Client::CheckCredentials() const {
  if (options_.anonymous) return std::nullopt;
  if (!options_.access_key_id.empty() && !options_.secret_access_key.empty()) return std::nullopt;
  return S3Failure{
      .error =
          Error(Code::kDenied,
                fmt::format(
                    "no {} for bucket \"{}\"; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                    "write them into a profile of ~/.aws/credentials (AWS_PROFILE chooses one), or "
                    "set anonymous=true for a public bucket",
                    options_.access_key_id.empty() ? "credentials" : "secret access key",
                    context_.bucket))};
}

HttpRequest S3Client::Signed(const S3Request& request) const {
  const bool is_bucket = request.key.empty();
  std::string path = address_.path_prefix;
  if (!is_bucket || path.empty()) path += '/' + PercentEncode(request.key, Slash::kKeep);
  const std::string query = CanonicalQuery(request.query);
  HttpRequest http{.method = request.method,
                   .url = address_.origin + path + (query.empty() ? "" : "?" + query),
                   .headers = request.headers};
  http.headers.push_back("Host: " + address_.host);
  std::map<std::string, std::string> signed_headers;
  if (options_.requester_pays) signed_headers["x-amz-request-payer"] = "requester";
  if (!options_.anonymous) {
    signed_headers["x-amz-date"] = AmzDate(WallClockNanoseconds());
    signed_headers["x-amz-content-sha256"] = std::string(kEmptyPayloadHash);
    if (!options_.session_token.empty()) {
      signed_headers["x-amz-security-token"] = options_.session_token.Reveal();
    }
  }
  for (const auto& [name, value] : signed_headers) http.headers.push_back(name + ": " + value);
  if (options_.anonymous) return http;
  signed_headers["host"] = address_.host;
  http.headers.push_back(
      "Authorization: " +
      Authorization({.method = request.method == HttpMethod::kHead ? "HEAD" : "GET",
                     .path = path,
                     .query = query,
                     .headers = signed_headers,
                     .payload_hash = std::string(kEmptyPayloadHash)},
                    {.access_key_id = options_.access_key_id,
                     .secret_access_key = options_.secret_access_key,
                     .region = options_.region}));
  return http;
}

void S3Client::CountBytes(std::uint64_t bytes) {
  counts_.Read(bytes);
}

std::optional<S3Failure> S3Client::Attempt(const S3Request& request, S3Receiver& receiver,
                                           Deadline deadline, const std::stop_token& stop) {
  if (std::optional<S3Failure> missing = CheckCredentials()) return missing;
  AnswerReceiver answer(receiver);
  const Deadline started = Clock::now();
  const Status sent = http_.Perform(Signed(request), answer, deadline, stop);
  const bool has_head = answer.head().status != 0;
  counts_.Ended(
      request.label,
      has_head ? std::to_string(answer.head().status) : std::string(CodeName(sent.error().code())),
      started);
  if (has_head && !answer.IsSuccess()) {
    S3Failure failure = FailureOf(answer.head(), answer.error_body(), context_);
    if (failure.throttled) counts_.Throttled();
    return failure;
  }
  if (sent.ok()) return std::nullopt;
  if (answer.failure()) return std::move(answer.failure());
  return S3Failure{.error = Error(sent.error()).Within(context_.endpoint),
                   .retryable = sent.error().code() == Code::kUnavailable};
}

std::optional<std::chrono::milliseconds> S3Client::NextDelay(const S3Failure& failure, int attempt,
                                                             Deadline deadline) {
  MutexLock lock(mutex_);
  return DelayBefore(failure, attempt, std::chrono::milliseconds(MillisecondsUntil(deadline)),
                     rng_);
}

Status S3Client::WithRetries(const std::function<std::optional<S3Failure>()>& attempt,
                             Deadline deadline, const std::stop_token& stop) {
  budget_.OnRequest();
  for (int number = 1;; ++number) {
    std::optional<S3Failure> failure = attempt();
    if (!failure) return {};
    const auto delay = NextDelay(*failure, number, deadline);
    if (!delay) {
      if (number == 1) return std::move(failure->error);
      return std::move(failure->error).Within(fmt::format("{} attempts", number));
    }
    if (!budget_.TrySpend(Clock::now())) {
      return std::move(failure->error).Within("the store fails too often to try again");
    }
    if (Status waited = WaitUntil(Clock::now() + *delay, stop); !waited.ok()) return waited;
  }
}

}  // namespace forebay
