// The two XML documents of S3 that we read. Foreign bytes: bounded, no DOCTYPE, no entities but the
// five of XML itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace forebay {

// 1,000 keys of 1,024 bytes, percent-encoded, with all that S3 says about each, are below 4 MiB.
inline constexpr std::size_t kXmlBytesMax = 32u << 20;

struct S3Error {
  std::string code;
  std::string message;
  std::string region;  // Where the bucket is, if the error says so.
};

// An <Error> document; nothing if `xml` is not one. Pure.
std::optional<S3Error> ParseS3Error(std::string_view xml);

struct S3Object {
  std::string key;
  std::string etag;
  std::optional<std::int64_t> modified_seconds;
  std::uint64_t size = 0;
};

// One answer of ListObjectsV2. Keys are decoded.
struct S3Listing {
  std::vector<S3Object> objects;
  std::vector<std::string> common_prefixes;
  bool truncated = false;
  std::string continuation_token;  // Of the next page; may be empty even if truncated.
};

// Errors: kUnavailable: whatever this is, it is not a listing. Pure.
Result<S3Listing> ParseListing(std::string_view xml);

}  // namespace forebay
