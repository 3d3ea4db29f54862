#include "core/store_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace forebay {
namespace {

struct Alias {
  std::string_view name;
  std::string_view ours;
};

constexpr std::array<std::string_view, 11> kNames = {
    "access-key-id",   "anonymous",         "ca-bundle",    "endpoint",
    "max-connections", "path-style",        "profile",      "region",
    "requester-pays",  "secret-access-key", "session-token"};

// What people wrote for Fluid's runtimes: Alluxio, Hadoop's S3A, Jindo, JuiceFS.
constexpr std::array<Alias, 27> kAliases = {{
    {"access-key", "access-key-id"},
    {"alluxio.underfs.s3.disable.dns.buckets", "path-style"},
    {"alluxio.underfs.s3.endpoint", "endpoint"},
    {"alluxio.underfs.s3.endpoint.region", "region"},
    {"alluxio.underfs.s3.region", "region"},
    {"aws.accessKeyId", "access-key-id"},
    {"aws.secretKey", "secret-access-key"},
    {"aws.sessionToken", "session-token"},
    {"endpoint-url", "endpoint"},
    {"fs.s3.accessKeyId", "access-key-id"},
    {"fs.s3.accessKeySecret", "secret-access-key"},
    {"fs.s3.endpoint", "endpoint"},
    {"fs.s3.region", "region"},
    {"fs.s3a.access.key", "access-key-id"},
    {"fs.s3a.connection.maximum", "max-connections"},
    {"fs.s3a.endpoint", "endpoint"},
    {"fs.s3a.endpoint.region", "region"},
    {"fs.s3a.path.style.access", "path-style"},
    {"fs.s3a.requester.pays.enabled", "requester-pays"},
    {"fs.s3a.secret.key", "secret-access-key"},
    {"fs.s3a.session.token", "session-token"},
    {"s3a.accessKeyId", "access-key-id"},
    {"s3a.secretKey", "secret-access-key"},
    {"secret-key", "secret-access-key"},
    {"token", "session-token"},
    {"force-path-style", "path-style"},
    {"no-sign-request", "anonymous"},
}};

Error Unknown(const std::string& name) {
  return {Code::kInvalidArgument,
          fmt::format("option \"{}\": unknown; known are {}", name, fmt::join(kNames, ", "))};
}

// Switches and counts; an empty value counts as absent.
Status CheckValue(const std::string& name, const std::string& value) {
  if (value.empty()) return {};
  if (name == "path-style" || name == "anonymous" || name == "requester-pays") {
    if (value == "true" || value == "false") return {};
    return Error(Code::kInvalidArgument,
                 fmt::format("option {} \"{}\": write true or false", name, value));
  }
  if (name != "max-connections") return {};
  constexpr std::uint32_t kConnectionsMax = 10'000;
  std::uint32_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error == std::errc{} && stop == end && number > 0 && number <= kConnectionsMax) return {};
  return Error(Code::kInvalidArgument,
               fmt::format("option max-connections \"{}\": write a number from 1 to {}", value,
                           kConnectionsMax));
}

}  // namespace

std::span<const std::string_view> StoreOptionNames() {
  return kNames;
}

std::string_view StoreOptionNamed(std::string_view name) {
  const auto* const ours = std::ranges::find(kNames, name);
  if (ours != kNames.end()) return *ours;
  const auto* const alias = std::ranges::find(kAliases, name, &Alias::name);
  return alias == kAliases.end() ? std::string_view() : alias->ours;
}

bool IsSecretStoreOption(std::string_view name) {
  return name == "secret-access-key" || name == "session-token";
}

Result<OptionMap> TranslatedStoreOptions(const OptionMap& options) {
  OptionMap ours;
  for (const auto& [name, value] : options) {
    const std::string translated(StoreOptionNamed(name));
    if (translated.empty()) return Unknown(name);
    if (Status checked = CheckValue(translated, value); !checked.ok()) return checked.error();
    // Fluid's endpoints are often bare hosts, meant for TLS.
    const bool is_bare = translated == "endpoint" && name != translated && !value.empty() &&
                         value.find("://") == std::string::npos;
    const std::string full = is_bare ? "https://" + value : value;
    const auto [found, added] = ours.emplace(translated, full);
    if (!added && found->second != full) {
      return Error(Code::kInvalidArgument,
                   fmt::format("option \"{}\": {} is given twice, with different values; give one",
                               name, translated));
    }
  }
  return ours;
}

}  // namespace forebay
