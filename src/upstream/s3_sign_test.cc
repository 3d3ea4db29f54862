#include "upstream/s3_sign.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

std::string SignatureOf(const std::string& authorization) {
  return authorization.substr(authorization.find("Signature=") + 10);
}

// The examples of the Amazon S3 API reference, "Authenticating Requests: Using the Authorization
// Header": access key AKIAIOSFODNN7EXAMPLE, 24 May 2013.
SigningKey DocumentedKey() {
  return {.access_key_id = "AKIAIOSFODNN7EXAMPLE",
          .secret_access_key = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
          .region = "us-east-1"};
}

SignedRequest DocumentedRequest() {
  return {.method = "GET",
          .path = "/",
          .query = "",
          .headers = {{"host", "examplebucket.s3.amazonaws.com"},
                      {"x-amz-content-sha256", std::string(kEmptyPayloadHash)},
                      {"x-amz-date", "20130524T000000Z"}},
          .payload_hash = std::string(kEmptyPayloadHash)};
}

TEST(S3Sign, SignsTheDocumentedRangedGet) {
  SignedRequest request = DocumentedRequest();
  request.path = "/test.txt";
  request.headers["range"] = "bytes=0-9";
  EXPECT_EQ(Authorization(request, DocumentedKey()),
            "AWS4-HMAC-SHA256 "
            "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(S3Sign, SignsTheDocumentedGetBucketLifecycle) {
  SignedRequest request = DocumentedRequest();
  request.query = CanonicalQuery({{"lifecycle", ""}});
  EXPECT_EQ(SignatureOf(Authorization(request, DocumentedKey())),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(S3Sign, SignsTheDocumentedListing) {
  SignedRequest request = DocumentedRequest();
  request.query = CanonicalQuery({{"prefix", "J"}, {"max-keys", "2"}});
  EXPECT_EQ(request.query, "max-keys=2&prefix=J");
  EXPECT_EQ(SignatureOf(Authorization(request, DocumentedKey())),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

// "get-vanilla" of AWS's Signature Version 4 test suite.
TEST(S3Sign, SignsTheTestSuitesVanillaGet) {
  const SignedRequest request{
      .method = "GET",
      .path = "/",
      .query = "",
      .headers = {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
      .payload_hash = std::string(kEmptyPayloadHash)};
  const SigningKey key{.access_key_id = "AKIDEXAMPLE",
                       .secret_access_key = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                       .region = "us-east-1",
                       .service = "service"};
  EXPECT_EQ(SignatureOf(Authorization(request, key)),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST(S3Sign, WritesTheDateWithoutPunctuation) {
  EXPECT_EQ(AmzDate(1'369'353'600'999'999'999), "20130524T000000Z");
}

TEST(S3Sign, EncodesEveryByteOfAQueryButTheUnreserved) {
  EXPECT_EQ(CanonicalQuery({{"prefix", "a b/\xc3\xbc+~\n"}, {"A", ""}}),
            "A=&prefix=a%20b%2F%C3%BC%2B~%0A");
}

}  // namespace
}  // namespace forebay
