#include "upstream/s3_xml.h"

#include <gtest/gtest.h>

#include "upstream/http_date.h"
#include "upstream/percent.h"

namespace forebay {
namespace {

constexpr std::string_view kListing = R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
  <NextContinuationToken>tok=</NextContinuationToken>
  <Contents><Key>p/a+b%2Bc%0A</Key><LastModified>2009-10-12T17:50:30.123Z</LastModified>
    <ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size></Contents>
  <CommonPrefixes><Prefix>p/%C3%BC/</Prefix></CommonPrefixes>
</ListBucketResult>)";

std::string Replaced(std::string text, std::string_view what, std::string_view with) {
  return text.replace(text.find(what), what.size(), with);
}

TEST(S3Xml, ReadsAListing) {
  const Result<S3Listing> listing = ParseListing(kListing);
  ASSERT_TRUE(listing.ok()) << listing.error().message();
  ASSERT_EQ(listing.value().objects.size(), 1u);
  const S3Object& object = listing.value().objects[0];
  EXPECT_EQ(object.key, "p/a b+c\n");
  EXPECT_EQ(object.etag, "\"fba9dede5f27731c9771645a39863328\"");
  EXPECT_EQ(object.size, 434234u);
  EXPECT_EQ(object.modified_seconds, 1'255'369'830);
  EXPECT_EQ(listing.value().common_prefixes, std::vector<std::string>{"p/\xc3\xbc/"});
  EXPECT_TRUE(listing.value().truncated);
  EXPECT_EQ(listing.value().continuation_token, "tok=");
}

TEST(S3Xml, TakesKeysLiterallyFromAStoreThatDoesNotEncodeThem) {
  const Result<S3Listing> listing =
      ParseListing(Replaced(std::string(kListing), "<EncodingType>url</EncodingType>", ""));
  ASSERT_TRUE(listing.ok());
  EXPECT_EQ(listing.value().objects[0].key, "p/a+b%2Bc%0A");
}

TEST(S3Xml, RefusesWhatIsNoListing) {
  const std::string bomb =
      "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>"
      "<ListBucketResult><Contents><Key>&b;</Key><Size>1</Size></Contents></ListBucketResult>";
  for (const std::string& xml :
       {std::string(), std::string("<html><body>Sign in</body></html>"), bomb,
        std::string(kListing.substr(0, kListing.size() / 2)), std::string("<a/>"),
        Replaced(std::string(kListing), "<Size>434234</Size>", ""),
        Replaced(std::string(kListing), "<Size>434234</Size>", "<Size>-1</Size>"),
        Replaced(std::string(kListing), "%0A", "%0"), std::string(kXmlBytesMax + 1, ' ')}) {
    const Result<S3Listing> listing = ParseListing(xml);
    ASSERT_FALSE(listing.ok()) << xml.substr(0, 100);
    EXPECT_EQ(listing.error().code(), Code::kUnavailable);
  }
}

TEST(S3Xml, ReadsAnError) {
  const auto error = ParseS3Error(
      "<Error><Code>NoSuchKey</Code><Message>gone</Message><Region>eu-west-1</Region></Error>");
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, "NoSuchKey");
  EXPECT_EQ(error->message, "gone");
  EXPECT_EQ(error->region, "eu-west-1");
  EXPECT_FALSE(ParseS3Error("").has_value());
  EXPECT_FALSE(ParseS3Error(kListing).has_value());
}

TEST(Percent, EncodesAndDecodes) {
  EXPECT_EQ(PercentEncode("a/b c+\xff~._-", Slash::kKeep), "a/b%20c%2B%FF~._-");
  EXPECT_EQ(PercentEncode("a/b", Slash::kEncode), "a%2Fb");
  EXPECT_EQ(DecodeListedKey("a%2fb+c%2B"), "a/b c+");
  EXPECT_EQ(DecodeListedKey("%"), std::nullopt);
  EXPECT_EQ(DecodeListedKey("%4"), std::nullopt);
  EXPECT_EQ(DecodeListedKey("%zz"), std::nullopt);
}

TEST(HttpDate, ReadsBothForms) {
  EXPECT_EQ(ParseHttpDate("Mon, 12 Oct 2009 17:50:30 GMT"), 1'255'369'830);
  EXPECT_EQ(ParseIsoTime("2009-10-12T17:50:30.999Z"), 1'255'369'830);
  EXPECT_EQ(ParseIsoTime("2009-10-12T17:50:30Z"), 1'255'369'830);
  for (const char* text : {"", "Mon, 12 Oct 2009 17:50:30 CET", "Mon, 32 Oct 2009 17:50:30 GMT",
                           "Mon, 12 Okt 2009 17:50:30 GMT", "Mon, 12 Oct 2009 24:50:30 GMT"}) {
    EXPECT_EQ(ParseHttpDate(text), std::nullopt) << text;
  }
  for (const char* text : {"", "2009-10-12", "2009-00-12T17:50:30Z", "2009-10-12T17:50:30+01:00"}) {
    EXPECT_EQ(ParseIsoTime(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace forebay
