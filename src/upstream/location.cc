#include <fmt/format.h>

#include <algorithm>

#include "upstream/s3_address.h"
#include "upstream/upstream.h"

namespace forebay {
namespace {

constexpr std::string_view kSchemes = "s3://BUCKET/PREFIX or file:///DIR";

Error Refused(const std::string& url, std::string_view why) {
  return {Code::kInvalidArgument, fmt::format("\"{}\": {}", url, why)};
}

Result<Location> ParseS3(const std::string& url, std::string_view rest) {
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const std::string bucket(rest.substr(0, slash));
  const bool is_bucket = !bucket.empty() && std::all_of(bucket.begin(), bucket.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
  if (!is_bucket || bucket.starts_with('.')) {
    return Refused(url,
                   fmt::format("\"{}\" is not a bucket name; write s3://BUCKET/PREFIX", bucket));
  }
  return Location{.scheme = "s3",
                  .bucket = bucket,
                  .path = std::string(slash < rest.size() ? rest.substr(slash + 1) : "")};
}

Result<Location> ParseFile(const std::string& url, std::string_view rest) {
  if (!rest.starts_with('/')) {
    return Refused(url, "a file URL names no host; write file:///DIR with three slashes");
  }
  if (rest.find('\0') != std::string_view::npos) {
    return Refused(url, "a path cannot hold a NUL byte");
  }
  return Location{.scheme = "file", .bucket = "", .path = std::string(rest.substr(1))};
}

}  // namespace

Result<Location> ParseLocation(const std::string& url) {
  const std::size_t colon = url.find("://");
  if (colon == std::string::npos) return Refused(url, fmt::format("not a URL; write {}", kSchemes));
  const std::string_view scheme = std::string_view(url).substr(0, colon);
  const std::string_view rest = std::string_view(url).substr(colon + 3);
  if (scheme == "s3") return ParseS3(url, rest);
  if (scheme == "file" || scheme == "local") return ParseFile(url, rest);
  return Refused(url, fmt::format("\"{}\" is not a store that this version reads; write {}", scheme,
                                  kSchemes));
}

std::string UrlOf(const Location& location) {
  if (location.scheme == "file") return "file:///" + location.path;
  return location.scheme + "://" + location.bucket + "/" + location.path;
}

std::string StoreName(const Location& location, const UpstreamOptions& options) {
  if (location.scheme == "file") return "file:";
  return fmt::format("{}/{}", EndpointOf(options), location.bucket);
}

}  // namespace forebay
