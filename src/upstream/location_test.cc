#include <gtest/gtest.h>

#include "upstream/s3_address.h"
#include "upstream/upstream.h"

namespace forebay {
namespace {

TEST(Location, TakesKeysLiterally) {
  const std::pair<const char*, const char*> kCases[] = {{"s3://b", ""},
                                                        {"s3://b/", ""},
                                                        {"s3://b/a b", "a b"},
                                                        {"s3://b//a", "/a"},
                                                        {"s3://b/a//", "a//"},
                                                        {"s3://b/../x/.", "../x/."},
                                                        {"s3://b/%41?c#", "%41?c#"}};
  for (const auto& [url, path] : kCases) {
    const Result<Location> location = ParseLocation(url);
    ASSERT_TRUE(location.ok()) << url;
    EXPECT_EQ(location.value().bucket, "b") << url;
    EXPECT_EQ(location.value().path, path) << url;
  }
}

TEST(Location, TakesFilePathsWithoutTheLeadingSlash) {
  for (const char* url : {"file:///a/../b/", "local:///a/../b/"}) {
    const Result<Location> location = ParseLocation(url);
    ASSERT_TRUE(location.ok());
    EXPECT_EQ(location.value().scheme, "file");
    EXPECT_EQ(location.value().path, "a/../b/");
  }
  EXPECT_EQ(ParseLocation("file:///").value().path, "");
}

TEST(Location, SaysWhatWouldDo) {
  const std::pair<const char*, const char*> kCases[] = {
      {"s3:/b", "\"s3:/b\": not a URL; write s3://BUCKET/PREFIX"},
      {"/data", "not a URL"},
      {"", "not a URL"},
      {"s3://", "not a bucket name"},
      {"s3:///k", "not a bucket name"},
      {"s3://a b/k", "not a bucket name"},
      {"s3://../k", "not a bucket name"},
      {"file://host/a", "three slashes"},
      {"file://", "three slashes"},
      {"oss://b/k", "\"oss\" is not a store that this version reads"}};
  for (const auto& [url, words] : kCases) {
    const Result<Location> location = ParseLocation(url);
    ASSERT_FALSE(location.ok()) << url;
    EXPECT_EQ(location.error().code(), Code::kInvalidArgument);
    EXPECT_NE(location.error().message().find(words), std::string::npos)
        << location.error().message();
  }
}

TEST(Location, SurvivesUrlOf) {
  for (const char* url : {"s3://b/", "s3://b//a?", "file:///", "file:///a/b/"}) {
    EXPECT_EQ(UrlOf(ParseLocation(url).value()), url);
  }
}

TEST(Location, NamesItsStore) {
  UpstreamOptions options;
  EXPECT_EQ(StoreName(ParseLocation("file:///a").value(), options), "file:");
  EXPECT_EQ(StoreName(ParseLocation("s3://b/k").value(), options),
            "https://s3.us-east-1.amazonaws.com/b");
  options.endpoint = "http://h:9000";
  EXPECT_EQ(StoreName(ParseLocation("s3://b/k").value(), options), "http://h:9000/b");
}

struct AddressCase {
  const char* endpoint;
  const char* bucket;
  const char* origin;
  const char* prefix;
};

TEST(S3Address, ChoosesTheStyle) {
  const AddressCase kCases[] = {
      {"http://127.0.0.1:9000", "bkt", "http://127.0.0.1:9000", "/bkt"},
      {"http://[::1]:9000", "bkt", "http://[::1]:9000", "/bkt"},
      {"http://localhost:9000", "bkt", "http://localhost:9000", "/bkt"},
      {"http://minio:9000", "bkt", "http://minio:9000", "/bkt"},
      {"https://s3.example.com", "bkt", "https://bkt.s3.example.com", ""},
      {"https://s3.example.com", "a.b", "https://s3.example.com", "/a.b"},
      {"http://s3.example.com", "a.b", "http://a.b.s3.example.com", ""},
      {"https://s3.example.com", "Old_Name", "https://s3.example.com", "/Old_Name"},
      {"https://example.com/s3", "bkt", "https://bkt.example.com", "/s3"},
  };
  for (const AddressCase& c : kCases) {
    UpstreamOptions options;
    options.endpoint = c.endpoint;
    const Result<S3Address> address = AddressOf(c.bucket, options);
    ASSERT_TRUE(address.ok()) << c.endpoint;
    EXPECT_EQ(address.value().origin, c.origin);
    EXPECT_EQ(address.value().path_prefix, c.prefix);
    EXPECT_EQ("http" + std::string(c.origin).substr(4, 1 + std::string(c.origin).find("://") - 5) +
                  "://" + address.value().host,
              c.origin);
  }
  UpstreamOptions forced;
  forced.endpoint = "https://s3.example.com";
  forced.path_style = true;
  EXPECT_EQ(AddressOf("bkt", forced).value().path_prefix, "/bkt");
}

TEST(S3Address, NormalisesEndpoints) {
  EXPECT_EQ(NormalisedEndpoint("HTTP://Host.Example:80/").value(), "http://host.example");
  EXPECT_EQ(NormalisedEndpoint("https://h:443//").value(), "https://h");
  EXPECT_EQ(NormalisedEndpoint("https://h:9000/Path").value(), "https://h:9000/Path");
  for (const char* endpoint : {"", "h:9000", "ftp://h", "http://", "http://u@h", "http://h/?x",
                               "http://h h", "://h", "http://:80"}) {
    EXPECT_FALSE(NormalisedEndpoint(endpoint).ok()) << endpoint;
  }
}

}  // namespace
}  // namespace forebay
