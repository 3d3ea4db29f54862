#include "upstream/s3_retry.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;

const S3Failure kPassing = Retryable("x");
constexpr milliseconds kLeft{30'000};

TEST(S3Retry, WaitsLongerAndLongerUpToTwoSeconds) {
  constexpr std::array<int, 5> kBoundsMs = {50, 150, 450, 1350, 2000};
  Rng rng(1);
  for (int attempt = 1; attempt <= 5; ++attempt) {
    milliseconds longest{0};
    for (int i = 0; i < 1000; ++i) {
      longest = std::max(longest, DelayBefore(kPassing, attempt, kLeft, rng).value());
    }
    const int bound = kBoundsMs[static_cast<std::size_t>(attempt - 1)];
    EXPECT_LE(longest.count(), bound);
    EXPECT_GT(longest.count(), bound * 9 / 10);
  }
}

TEST(S3Retry, EndsAfterSixAttempts) {
  Rng rng(1);
  EXPECT_TRUE(DelayBefore(kPassing, 5, kLeft, rng).has_value());
  EXPECT_FALSE(DelayBefore(kPassing, 6, kLeft, rng).has_value());
}

TEST(S3Retry, NeverRetriesWhatWouldNotHelp) {
  Rng rng(1);
  const S3Failure final{.error = Error(Code::kDenied, "x")};
  EXPECT_FALSE(DelayBefore(final, 1, kLeft, rng).has_value());
}

TEST(S3Retry, HonoursRetryAfterWithinTheDeadline) {
  Rng rng(1);
  S3Failure asked = kPassing;
  asked.retry_after = seconds(5);
  EXPECT_EQ(DelayBefore(asked, 1, kLeft, rng), seconds(5));
  EXPECT_FALSE(DelayBefore(asked, 1, seconds(5), rng).has_value());
  EXPECT_FALSE(DelayBefore(kPassing, 1, milliseconds(0), rng).has_value());
}

TEST(RetryBudget, IsTenPlusAFifthOfTheRequests) {
  const Deadline now;
  RetryBudget budget(now);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(budget.TrySpend(now)) << i;
  EXPECT_FALSE(budget.TrySpend(now));
  for (int i = 0; i < 10; ++i) budget.OnRequest();
  EXPECT_TRUE(budget.TrySpend(now));
  EXPECT_TRUE(budget.TrySpend(now));
  EXPECT_FALSE(budget.TrySpend(now));
}

TEST(RetryBudget, OfAnIdleStoreRecoversUpToTen) {
  const Deadline now;
  RetryBudget budget(now);
  while (budget.TrySpend(now)) {
  }
  EXPECT_TRUE(budget.TrySpend(now + seconds(1)));
  EXPECT_FALSE(budget.TrySpend(now + seconds(1)));
  int spent = 0;
  while (budget.TrySpend(now + seconds(1000))) ++spent;
  EXPECT_EQ(spent, 10);
}

TEST(RetryBudget, DoesNotSaveUpForEver) {
  const Deadline now;
  RetryBudget budget(now);
  for (int i = 0; i < 10'000; ++i) budget.OnRequest();
  int spent = 0;
  while (budget.TrySpend(now)) ++spent;
  EXPECT_EQ(spent, 100);
}

TEST(S3Retry, AStopEndsAWait) {
  std::stop_source stop;
  stop.request_stop();
  const Status waited = WaitUntil(Clock::now() + std::chrono::hours(1), stop.get_token());
  ASSERT_FALSE(waited.ok());
  EXPECT_EQ(waited.error().code(), Code::kCancelled);
  EXPECT_TRUE(WaitUntil(Clock::now(), {}).ok());
}

const S3Context kContext{
    .bucket = "b", .endpoint = "http://e", .region = "us-east-1", .access_key_id = "AK"};

struct Case {
  int status;
  const char* code;
  Code reaction;
  bool retryable;
  const char* words;
};

TEST(S3Error, SaysWhatToDo) {
  const Case kCases[] = {
      {404, "NoSuchKey", Code::kNotFound, false, "no such object"},
      {404, "NoSuchBucket", Code::kNotFound, false, "there is no bucket \"b\" at http://e"},
      {404, "XAdminUserNotFound", Code::kDenied, false, "does not know access key ID \"AK\""},
      {404, "NoSuchUser", Code::kUnavailable, false, "does not find"},
      {403, "AccessDenied", Code::kDenied, false, "s3:GetObject"},
      {403, "InvalidAccessKeyId", Code::kDenied, false, "does not know access key ID \"AK\""},
      {403, "SignatureDoesNotMatch", Code::kDenied, false, "AWS_SECRET_ACCESS_KEY"},
      {400, "ExpiredToken", Code::kDenied, false, "has expired"},
      {403, "RequestTimeTooSkewed", Code::kDenied, false, "set the clock"},
      {400, "AuthorizationHeaderMalformed", Code::kInvalidArgument, false, "not in region us-east"},
      {301, "PermanentRedirect", Code::kInvalidArgument, false, "AWS_REGION"},
      {412, "PreconditionFailed", Code::kChanged, false, "no longer has that version"},
      {416, "InvalidRange", Code::kChanged, false, "shorter"},
      {400, "RequestTimeout", Code::kUnavailable, true, "waited too long"},
      {503, "SlowDown", Code::kUnavailable, true, "fewer requests"},
      {200, "InternalError", Code::kUnavailable, true, "internal error"},
  };
  for (const Case& c : kCases) {
    const std::string body =
        "<Error><Code>" + std::string(c.code) + "</Code><Message>m</Message></Error>";
    const S3Failure failure = FailureOf({.status = c.status, .headers = {}}, body, kContext);
    EXPECT_EQ(failure.error.code(), c.reaction) << c.code;
    EXPECT_EQ(failure.retryable, c.retryable) << c.code;
    EXPECT_NE(failure.error.message().find(c.words), std::string::npos) << failure.error.message();
  }
}

TEST(S3Error, GoesByTheStatusWithoutABody) {
  const std::pair<int, Code> kCases[] = {
      {400, Code::kInvalidArgument}, {403, Code::kDenied},      {404, Code::kNotFound},
      {412, Code::kChanged},         {416, Code::kChanged},     {429, Code::kUnavailable},
      {500, Code::kUnavailable},     {503, Code::kUnavailable}, {301, Code::kInvalidArgument}};
  for (const auto& [status, code] : kCases) {
    const S3Failure failure = FailureOf({.status = status, .headers = {}}, "", kContext);
    EXPECT_EQ(failure.error.code(), code) << status;
    EXPECT_EQ(failure.retryable, code == Code::kUnavailable) << status;
    EXPECT_EQ(failure.throttled, status == 429 || status == 503) << status;
  }
}

TEST(S3Error, DoesNotTakeAWebPageForAMissingObject) {
  const S3Failure failure =
      FailureOf({.status = 404, .headers = {}}, "<html>no such page</html>", kContext);
  EXPECT_EQ(failure.error.code(), Code::kUnavailable);
}

TEST(S3Error, ReadsRetryAfter) {
  HttpHead head{.status = 503, .headers = {{"retry-after", "7"}}};
  EXPECT_EQ(FailureOf(head, "", kContext).retry_after, seconds(7));
  head.headers["retry-after"] = "Mon, 12 Oct 2009 17:50:30 GMT";
  EXPECT_EQ(FailureOf(head, "", kContext).retry_after, seconds(0));
  head.headers["retry-after"] = "soon";
  EXPECT_EQ(FailureOf(head, "", kContext).retry_after, std::nullopt);
}

}  // namespace
}  // namespace forebay
