#include "upstream/s3_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/wall_clock.h"
#include "upstream/http_date.h"
#include "upstream/s3_xml.h"

namespace forebay {
namespace {

constexpr int kBadRequest = 400, kUnauthorized = 401, kForbidden = 403, kNotFoundStatus = 404,
              kTimeout = 408, kPreconditionFailed = 412, kRangeNotSatisfiable = 416,
              kTooManyRequests = 429, kNotImplemented = 501, kServiceUnavailable = 503;
constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

// Reaction and words for the codes that S3 and its look-alikes send. {0} bucket, {1} endpoint,
// {2} region in use, {3} access key ID.
struct Known {
  std::string_view code;
  Code reaction;
  bool retryable;
  std::string_view words;
};
constexpr std::array<Known, 30> kKnown = {{
    {"NoSuchKey", Code::kNotFound, false, "no such object in bucket \"{0}\""},
    {"NoSuchBucket", Code::kNotFound, false,
     "there is no bucket \"{0}\" at {1}; check its name, the endpoint and the region"},
    {"NoSuchVersion", Code::kNotFound, false, "no such object in bucket \"{0}\""},
    {"NotFound", Code::kNotFound, false, "no such object in bucket \"{0}\""},
    {"AccessDenied", Code::kDenied, false,
     "access to bucket \"{0}\" is denied to {3}; it needs s3:GetObject and s3:ListBucket"},
    {"AllAccessDisabled", Code::kDenied, false, "the store has closed bucket \"{0}\""},
    {"InvalidAccessKeyId", Code::kDenied, false,
     "the store at {1} does not know {3}; check AWS_ACCESS_KEY_ID or the profile"},
    {"XAdminUserNotFound", Code::kDenied, false,  // versitygw, with status 404.
     "the store at {1} does not know {3}; check AWS_ACCESS_KEY_ID or the profile"},
    {"SignatureDoesNotMatch", Code::kDenied, false,
     "the secret access key does not belong to {3}; check AWS_SECRET_ACCESS_KEY or the profile"},
    {"ExpiredToken", Code::kDenied, false,
     "the session token of {3} has expired; get new credentials and start again"},
    {"TokenRefreshRequired", Code::kDenied, false,
     "the session token of {3} has expired; get new credentials and start again"},
    {"InvalidToken", Code::kDenied, false,
     "the session token does not belong to {3}; check AWS_SESSION_TOKEN or the profile"},
    {"RequestTimeTooSkewed", Code::kDenied, false,
     "this machine's clock and the store's differ by more than 15 minutes; set the clock (NTP)"},
    {"RequestExpired", Code::kDenied, false,
     "this machine's clock and the store's differ by more than 15 minutes; set the clock (NTP)"},
    {"InvalidObjectState", Code::kDenied, false, "the object is archived; restore it first"},
    {"AuthorizationHeaderMalformed", Code::kInvalidArgument, false,
     "bucket \"{0}\" is not in region {2}; set region (AWS_REGION)"},
    {"PermanentRedirect", Code::kInvalidArgument, false,
     "bucket \"{0}\" is not in region {2}, or not at {1}; set region (AWS_REGION) or endpoint"},
    {"IllegalLocationConstraintException", Code::kInvalidArgument, false,
     "bucket \"{0}\" is not in region {2}; set region (AWS_REGION)"},
    {"InvalidBucketName", Code::kInvalidArgument, false, "\"{0}\" is not a bucket name at {1}"},
    {"KeyTooLongError", Code::kNotFound, false, "no object has a key of over 1,024 bytes"},
    {"PreconditionFailed", Code::kChanged, false, "the store no longer has that version"},
    {"InvalidRange", Code::kChanged, false, "the object is shorter than that version was"},
    {"SlowDown", Code::kUnavailable, true, "the store asks for fewer requests"},
    {"ThrottlingException", Code::kUnavailable, true, "the store asks for fewer requests"},
    {"RequestLimitExceeded", Code::kUnavailable, true, "the store asks for fewer requests"},
    {"RequestTimeout", Code::kUnavailable, true, "the store waited too long for the request"},
    {"InternalError", Code::kUnavailable, true, "the store had an internal error"},
    {"ServiceUnavailable", Code::kUnavailable, true, "the store is not available"},
    {"OperationAborted", Code::kUnavailable, true, "the store aborted the operation"},
    {"NotImplemented", Code::kInvalidArgument, false, "the store at {1} lacks this operation"},
}};

std::string Words(std::string_view words, const S3Context& context) {
  const std::string who = context.access_key_id.empty()
                              ? "anonymous requests"
                              : fmt::format("access key ID \"{}\"", context.access_key_id);
  return fmt::format(fmt::runtime(words), context.bucket, context.endpoint, context.region, who);
}

// The part of a foreign text that is fit for a message.
std::string Quoted(std::string_view text) {
  constexpr std::size_t kLongest = 200;
  std::string plain(text.substr(0, kLongest));
  std::replace_if(plain.begin(), plain.end(), [](unsigned char c) { return c < ' '; }, ' ');
  return plain;
}

// By the body: some stores answer a HEAD, which has none, with the content type of a web page.
bool LooksLikeHtml(std::string_view body) {
  return body.starts_with("<!DOCTYPE") || body.starts_with("<!doctype") ||
         body.starts_with("<html");
}

S3Failure ByStatus(const HttpHead& head, const std::string& body, const S3Context& context) {
  const auto failure = [&head](Code code, bool retryable, std::string_view words) {
    return S3Failure{.error = Error(code, fmt::format("{} (HTTP {})", words, head.status)),
                     .retryable = retryable};
  };
  if (head.status == kNotFoundStatus && LooksLikeHtml(body)) {
    return failure(Code::kUnavailable, true, "answered by a web page, not by an S3 store");
  }
  switch (head.status) {
    case kBadRequest:
      return failure(Code::kInvalidArgument, false, "the store does not accept the request");
    case kUnauthorized:
    case kForbidden:
      return failure(
          Code::kDenied, false,
          Words("access to bucket \"{0}\" is denied to {3}; check the credentials, their "
                "expiry and this machine's clock",
                context));
    case kNotFoundStatus: return failure(Code::kNotFound, false, "not found");
    case kTimeout:
    case kTooManyRequests:
    case kServiceUnavailable:
      return failure(Code::kUnavailable, true, "the store asks for fewer requests");
    case kPreconditionFailed:
      return failure(Code::kChanged, false, "the store no longer has that version");
    case kRangeNotSatisfiable:
      return failure(Code::kChanged, false, "the object is shorter than that version was");
    case kNotImplemented:
      return failure(Code::kInvalidArgument, false, "the store lacks this operation");
    default: break;  // Not an enum.
  }
  if (head.status / 100 == 3) {
    const std::string* location = head.Find("location");
    return failure(Code::kInvalidArgument, false,
                   Words("the store redirects to \"" + Quoted(location ? *location : "") +
                             "\"; set region (now {2}) or endpoint (now {1})",
                         context));
  }
  if (head.status / 100 == 5) return failure(Code::kUnavailable, true, "the store failed");
  return failure(Code::kUnavailable, true, "the store gave an answer that makes no sense");
}

std::optional<std::chrono::milliseconds> RetryAfter(const HttpHead& head) {
  const std::string* value = head.Find("retry-after");
  if (value == nullptr) return std::nullopt;
  constexpr std::int64_t kLongestSeconds = 86'400;
  std::int64_t seconds = -1;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), seconds);
  if (error != std::errc{} || end != value->data() + value->size()) {
    const std::optional<std::int64_t> when = ParseHttpDate(*value);
    if (!when) return std::nullopt;
    seconds = *when - WallClockNanoseconds() / kNanosecondsPerSecond;
  }
  return std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, kLongestSeconds));
}

}  // namespace

S3Failure FailureOf(const HttpHead& head, const std::string& body, const S3Context& context) {
  S3Failure failure = ByStatus(head, body, context);
  const std::optional<S3Error> said = ParseS3Error(body);
  if (said) {
    const auto known = std::find_if(kKnown.begin(), kKnown.end(),
                                    [&said](const Known& k) { return k.code == said->code; });
    if (known != kKnown.end()) {
      failure.retryable = known->retryable;
      failure.error = Error(known->reaction, Words(known->words, context));
    } else if (head.status == kNotFoundStatus) {  // Something is missing; who knows what.
      failure.error = Error(Code::kUnavailable, "the store does not find what it needs");
    }
    std::string detail = fmt::format(" [{}: {}]", Quoted(said->code), Quoted(said->message));
    const std::string* header = head.Find("x-amz-bucket-region");
    const std::string region = header != nullptr ? *header : said->region;
    if (!region.empty()) detail += fmt::format(" [the bucket is in {}]", Quoted(region));
    if (said->code == "RequestTimeTooSkewed") {
      const std::string* date = head.Find("date");
      detail += fmt::format(" [here {}, there {}]", Rfc3339(WallClockNanoseconds()),
                            date == nullptr ? "unknown" : Quoted(*date));
    }
    failure.error = Error(failure.error.code(), failure.error.message() + detail);
  }
  failure.throttled = head.status == kServiceUnavailable || head.status == kTooManyRequests;
  if (failure.retryable) failure.retry_after = RetryAfter(head);
  return failure;
}

}  // namespace forebay
