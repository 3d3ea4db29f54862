// AWS Signature Version 4, in the Authorization header.
// Source: "Authenticating Requests: Using the Authorization Header", Amazon S3 API reference.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace forebay {

// SHA-256 of no bytes: the payload hash of every GET and HEAD.
inline constexpr std::string_view kEmptyPayloadHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct SigningKey {
  std::string access_key_id;
  Secret secret_access_key;
  std::string region;
  std::string service = "s3";
};

struct SignedRequest {
  std::string method;  // "GET"
  std::string path;    // Percent-encoded, exactly as it is sent.
  std::string query;   // Canonical, exactly as it is sent; may be empty.
  // What is signed, names in lower case; must hold "host" and "x-amz-date".
  std::map<std::string, std::string> headers;
  std::string payload_hash;
};

// "20130524T000000Z" for a time in nanoseconds since 1970, UTC.
std::string AmzDate(std::int64_t nanoseconds);

// The query string in canonical form: encoded, in the order of the names.
std::string CanonicalQuery(const std::map<std::string, std::string>& query);

// The value of the Authorization header. Pure.
std::string Authorization(const SignedRequest& request, const SigningKey& key);

}  // namespace forebay
