#include "upstream/s3_sign.h"

#include <fmt/format.h>

#include <array>

#include "base/check.h"
#include "base/digest.h"
#include "base/wall_clock.h"
#include "upstream/percent.h"

namespace forebay {
namespace {

std::string_view Bytes(const std::array<std::uint8_t, 32>& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

}  // namespace

std::string AmzDate(std::int64_t nanoseconds) {
  std::string date = Rfc3339(nanoseconds);
  std::erase(date, '-');
  std::erase(date, ':');
  return date;
}

std::string CanonicalQuery(const std::map<std::string, std::string>& query) {
  std::string text;
  for (const auto& [name, value] : query) {
    if (!text.empty()) text += '&';
    text += PercentEncode(name, Slash::kEncode) + '=' + PercentEncode(value, Slash::kEncode);
  }
  return text;
}

std::string Authorization(const SignedRequest& request, const SigningKey& key) {
  const auto date = request.headers.find("x-amz-date");
  CHECK(date != request.headers.end() && request.headers.contains("host"));
  const std::string day = date->second.substr(0, 8);

  std::string headers;
  std::string names;
  for (const auto& [name, value] : request.headers) {
    headers += fmt::format("{}:{}\n", name, value);
    names += (names.empty() ? "" : ";") + name;
  }
  const std::string canonical = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, request.path,
                                            request.query, headers, names, request.payload_hash);
  const std::string scope = fmt::format("{}/{}/{}/aws4_request", day, key.region, key.service);
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", date->second, scope,
                                          Hex(Bytes(Sha256(canonical))));

  const auto day_key = HmacSha256("AWS4" + key.secret_access_key.Reveal(), day);
  const auto region_key = HmacSha256(Bytes(day_key), key.region);
  const auto service_key = HmacSha256(Bytes(region_key), key.service);
  const auto signing_key = HmacSha256(Bytes(service_key), "aws4_request");
  const std::string signature = Hex(Bytes(HmacSha256(Bytes(signing_key), to_sign)));
  return fmt::format("AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={}",
                     key.access_key_id, scope, names, signature);
}

}  // namespace forebay
