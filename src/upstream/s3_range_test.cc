#include "upstream/s3_range.h"

#include <gtest/gtest.h>

#include "upstream/s3_version.h"

namespace forebay {
namespace {

const ReadRange kRange{
    .path = "k", .version = "\"e\"", .file_size = 1000, .offset = 100, .length = 50};

HttpHead Good() {
  return {
      .status = 206,
      .headers = {
          {"etag", "\"e\""}, {"content-range", "bytes 100-149/1000"}, {"content-length", "50"}}};
}

std::optional<S3Failure> Check(const HttpHead& head) {
  return CheckRangeAnswer(head, kRange, kRange.offset, kRange.length);
}

TEST(S3Range, TakesWhatWasAskedFor) {
  EXPECT_FALSE(Check(Good()).has_value());
  HttpHead chunked = Good();
  chunked.headers.erase("content-length");
  EXPECT_FALSE(Check(chunked).has_value());
}

TEST(S3Range, RetriesAnAnswerWithAnotherRange) {
  for (const char* text :
       {"bytes 99-148/1000", "bytes 100-148/1000", "bytes 100-150/1000", "bytes 0-49/1000",
        "bytes 100-149/*", "bytes 100-149", "items 100-149/1000", "", "bytes 100-149/1000 "}) {
    HttpHead head = Good();
    head.headers["content-range"] = text;
    const auto failure = Check(head);
    ASSERT_TRUE(failure.has_value()) << text;
    EXPECT_TRUE(failure->retryable) << text;
  }
  HttpHead without = Good();
  without.headers.erase("content-range");
  ASSERT_TRUE(Check(without).has_value());
}

TEST(S3Range, RetriesAWrongLength) {
  for (const char* text : {"49", "51", "0", "", "x", "50x"}) {
    HttpHead head = Good();
    head.headers["content-length"] = text;
    const auto failure = Check(head);
    ASSERT_TRUE(failure.has_value()) << text;
    EXPECT_TRUE(failure->retryable) << text;
  }
}

TEST(S3Range, CallsAnotherVersionChanged) {
  for (const char* etag : {"\"f\"", "e2", "W/\"e\"", ""}) {
    HttpHead head = Good();
    head.headers["etag"] = etag;
    const auto failure = Check(head);
    ASSERT_TRUE(failure.has_value()) << etag;
    EXPECT_EQ(failure->error.code(), Code::kChanged) << etag;
    EXPECT_FALSE(failure->retryable);
  }
  HttpHead grown = Good();
  grown.headers["content-range"] = "bytes 100-149/1001";
  ASSERT_TRUE(Check(grown).has_value());
  EXPECT_EQ(Check(grown)->error.code(), Code::kChanged);
}

TEST(S3Range, TakesAWholeObjectOnlyForAWholeRange) {
  HttpHead head = Good();
  head.status = 200;
  head.headers.erase("content-range");
  head.headers["content-length"] = "1000";
  ASSERT_TRUE(Check(head).has_value());
  EXPECT_TRUE(Check(head)->retryable);
  ReadRange whole = kRange;
  whole.offset = 0;
  whole.length = whole.file_size;
  EXPECT_FALSE(CheckRangeAnswer(head, whole, 0, 1000).has_value());
  EXPECT_TRUE(CheckRangeAnswer(head, whole, 500, 500).has_value());  // A resumed one.
  head.headers.erase("content-length");
  EXPECT_TRUE(CheckRangeAnswer(head, whole, 0, 1000).has_value());
}

TEST(S3Range, TellsVersionsByTimeAndSizeWithoutEtag) {
  HttpHead head = Good();
  head.headers.erase("etag");
  head.headers["last-modified"] = "Mon, 12 Oct 2009 17:50:30 GMT";
  ReadRange range = kRange;
  range.version = "m:1255369830:1000";
  EXPECT_FALSE(CheckRangeAnswer(head, range, 100, 50).has_value());
  head.headers["last-modified"] = "Mon, 12 Oct 2009 17:50:31 GMT";
  ASSERT_TRUE(CheckRangeAnswer(head, range, 100, 50).has_value());
  EXPECT_EQ(CheckRangeAnswer(head, range, 100, 50)->error.code(), Code::kChanged);
}

TEST(S3Version, IsTheEtagElseTimeAndSize) {
  EXPECT_EQ(VersionOf("\"abc-2\"", 1, 2), "\"abc-2\"");
  EXPECT_EQ(VersionOf("abc", 1, 2), "\"abc\"");
  EXPECT_EQ(VersionOf("W/\"abc\"", 1, 2), "m:1:2");
  EXPECT_EQ(VersionOf("", 1, 2), "m:1:2");
  EXPECT_EQ(VersionOf("", std::nullopt, 2), "");
  EXPECT_TRUE(IsEtag("\"abc\""));
  EXPECT_FALSE(IsEtag("m:1:2"));
}

TEST(S3Version, DoesNotTrustAYoungTime) {
  HttpHead head{.status = 206, .headers = {{"last-modified", "Mon, 12 Oct 2009 17:50:30 GMT"}}};
  EXPECT_FALSE(TellsVersionsApart(head));
  head.headers["date"] = "Mon, 12 Oct 2009 17:50:31 GMT";
  EXPECT_FALSE(TellsVersionsApart(head));
  head.headers["date"] = "Mon, 12 Oct 2009 17:50:32 GMT";
  EXPECT_TRUE(TellsVersionsApart(head));
  head.headers["date"] = "Mon, 12 Oct 2009 17:50:30 GMT";
  head.headers["etag"] = "\"e\"";
  EXPECT_TRUE(TellsVersionsApart(head));
}

}  // namespace
}  // namespace forebay
