#include "upstream/s3_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "upstream/percent.h"

namespace forebay {
namespace {

Error NotAnEndpoint(const std::string& endpoint) {
  return {
      Code::kInvalidArgument,
      fmt::format("endpoint \"{}\": not a URL; write http://HOST:PORT or https://HOST", endpoint)};
}

// Parts of a normalised endpoint.
struct Parts {
  std::string_view scheme;
  std::string_view authority;  // "host:port"
  std::string_view path;       // "" or "/x"
};

Parts Split(std::string_view endpoint) {
  const std::size_t colon = endpoint.find("://");
  const std::string_view rest = endpoint.substr(colon + 3);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  return {endpoint.substr(0, colon), rest.substr(0, slash), rest.substr(slash)};
}

std::string_view HostOf(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.find(':'));
}

bool IsAddress(std::string_view host) {
  std::array<unsigned char, sizeof(in6_addr)> parsed{};
  const std::string text(host);
  return inet_pton(AF_INET, text.c_str(), parsed.data()) == 1 ||
         inet_pton(AF_INET6, text.c_str(), parsed.data()) == 1;
}

// A bucket in front of an address, of a bare host name or of localhost resolves to nothing; one
// with capitals or underscores is no host name; one with dots matches no wildcard certificate.
bool NeedsPathStyle(const std::string& bucket, const Parts& endpoint) {
  const std::string_view host = HostOf(endpoint.authority);
  if (IsAddress(host) || host.find('.') == std::string_view::npos) return true;
  const bool is_host_name = std::all_of(bucket.begin(), bucket.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
  return !is_host_name || (endpoint.scheme == "https" && bucket.find('.') != std::string::npos);
}

}  // namespace

Result<std::string> NormalisedEndpoint(const std::string& endpoint) {
  std::string lower = endpoint;
  const std::size_t colon = endpoint.find("://");
  if (colon == std::string::npos) return NotAnEndpoint(endpoint);
  const std::size_t path = std::min(endpoint.find('/', colon + 3), endpoint.size());
  std::transform(lower.begin(), lower.begin() + static_cast<std::ptrdiff_t>(path), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  while (lower.ends_with('/')) lower.pop_back();
  if (lower.size() <= colon + 3) return NotAnEndpoint(endpoint);
  const Parts parts = Split(lower);
  const bool has_odd_bytes = std::any_of(lower.begin(), lower.end(), [](char c) {
    return c <= ' ' || c == '?' || c == '#' || c == '@' || static_cast<unsigned char>(c) > '~';
  });
  if ((parts.scheme != "http" && parts.scheme != "https") || HostOf(parts.authority).empty() ||
      has_odd_bytes) {
    return NotAnEndpoint(endpoint);
  }
  const std::string_view default_port = parts.scheme == "http" ? ":80" : ":443";
  std::string_view authority = parts.authority;
  if (authority.ends_with(default_port)) authority.remove_suffix(default_port.size());
  return fmt::format("{}://{}{}", parts.scheme, authority, parts.path);
}

std::string EndpointOf(const UpstreamOptions& options) {
  if (!options.endpoint.empty()) return options.endpoint;
  return fmt::format("https://s3.{}.amazonaws.com{}", options.region,
                     options.region.starts_with("cn-") ? ".cn" : "");
}

Result<S3Address> AddressOf(const std::string& bucket, const UpstreamOptions& options) {
  const Result<std::string> endpoint = NormalisedEndpoint(EndpointOf(options));
  if (!endpoint.ok()) return endpoint.error();
  const Parts parts = Split(endpoint.value());
  if (options.path_style.value_or(NeedsPathStyle(bucket, parts))) {
    return S3Address{
        .origin = fmt::format("{}://{}", parts.scheme, parts.authority),
        .host = std::string(parts.authority),
        .path_prefix = fmt::format("{}/{}", parts.path, PercentEncode(bucket, Slash::kEncode))};
  }
  const std::string host = fmt::format("{}.{}", bucket, parts.authority);
  return S3Address{.origin = fmt::format("{}://{}", parts.scheme, host),
                   .host = host,
                   .path_prefix = std::string(parts.path)};
}

}  // namespace forebay
