#include <fmt/format.h>
#include <algorithm>

#include <array>
#include <charconv>
#include <fstream>
#include <sstream>

#include "upstream/ini.h"
#include "upstream/s3_address.h"
#include "upstream/upstream.h"

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

using Environment = std::map<std::string, std::string>;
using Profile = std::map<std::string, std::string>;

// The value of `key`, or "" (an empty variable counts as absent, as in the AWS tools).
std::string Get(const std::map<std::string, std::string>& map, const std::string& key) {
  const auto found = map.find(key);
  return found == map.end() ? "" : found->second;
}

std::string FirstOf(std::initializer_list<std::string> values) {
  for (const std::string& value : values) {
    if (!value.empty()) return value;
  }
  return "";
}

Error Unknown(const std::string& name) {
  std::string known;
  for (const std::string_view ours : kNames)
    known += fmt::format("{}{}", known.empty() ? "" : ", ", ours);
  return {Code::kInvalidArgument, fmt::format("option \"{}\": unknown; known are {}", name, known)};
}

// `options` under our names.
Result<OptionMap> Translated(const OptionMap& options) {
  OptionMap ours;
  for (const auto& [name, value] : options) {
    std::string translated =
        std::find(kNames.begin(), kNames.end(), name) != kNames.end() ? name : "";
    for (const Alias& alias : kAliases) {
      if (alias.name == name) translated = alias.ours;
    }
    if (translated.empty()) return Unknown(name);
    const auto [found, added] = ours.emplace(translated, value);
    if (!added && found->second != value) {
      return Error(Code::kInvalidArgument,
                   fmt::format("option \"{}\": {} is given twice, with different values; give one",
                               name, translated));
    }
    // Fluid's endpoints are often bare hosts, meant for TLS.
    const bool is_bare = translated == "endpoint" && name != translated && !value.empty() &&
                         value.find("://") == std::string::npos;
    if (is_bare) found->second = "https://" + value;
  }
  return ours;
}

Result<bool> ParseBool(const OptionMap& options, const std::string& name) {
  const std::string value = Get(options, name);
  if (value == "true") return true;
  if (value == "false" || value.empty()) return false;
  return Error(Code::kInvalidArgument,
               fmt::format("option {} \"{}\": write true or false", name, value));
}

// The settings of profile `name` in both files; credentials win over config. A file that cannot be
// opened counts as absent: most machines have neither.
Result<Profile> ReadProfile(const Environment& environment, const std::string& name,
                            bool must_exist) {
  const auto read = [&environment](const std::string& variable, const std::string& in_home) {
    const std::string given = Get(environment, variable);
    const std::string home = Get(environment, "HOME");
    if (given.empty() && home.empty()) return Ini();
    const std::ifstream file(given.empty() ? home + in_home : given);
    std::ostringstream text;
    if (file.good()) text << file.rdbuf();
    return ParseIni(text.str());
  };
  const Ini credentials = read("AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials");
  const Ini config = read("AWS_CONFIG_FILE", "/.aws/config");
  Profile profile;
  bool exists = false;
  for (const auto& [ini, section] : {std::pair{&credentials, name}, std::pair{&config, name},
                                     std::pair{&config, "profile " + name}}) {
    const auto found = ini->find(section);
    if (found == ini->end()) continue;
    exists = true;
    profile.insert(found->second.begin(), found->second.end());
  }
  if (!exists && must_exist) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("profile \"{}\": in neither ~/.aws/credentials nor ~/.aws/config; name "
                    "one that is, or unset AWS_PROFILE",
                    name));
  }
  return profile;
}

struct Credentials {
  std::string id;
  std::string secret;
  std::string token;
};

// The first complete pair; one that `id` (if given) belongs to.
Credentials Choose(std::initializer_list<Credentials> candidates, const std::string& id) {
  for (const Credentials& candidate : candidates) {
    if (candidate.secret.empty() || (candidate.id.empty() && id.empty())) continue;
    if (id.empty() || candidate.id.empty() || candidate.id == id) {
      return {id.empty() ? candidate.id : id, candidate.secret, candidate.token};
    }
  }
  return {id, "", ""};
}

void ResolveCredentials(const OptionMap& options, const Environment& environment,
                        const Profile& profile, UpstreamOptions& resolved) {
  const std::string id = Get(options, "access-key-id");
  const Credentials given{id, Get(options, "secret-access-key"), Get(options, "session-token")};
  const Credentials exported{Get(environment, "AWS_ACCESS_KEY_ID"),
                             Get(environment, "AWS_SECRET_ACCESS_KEY"),
                             Get(environment, "AWS_SESSION_TOKEN")};
  const Credentials filed{Get(profile, "aws_access_key_id"), Get(profile, "aws_secret_access_key"),
                          Get(profile, "aws_session_token")};
  // A profile asked for by option is meant more than what the shell happens to export.
  const Credentials chosen = Get(options, "profile").empty() ? Choose({given, exported, filed}, id)
                                                             : Choose({given, filed, exported}, id);
  resolved.access_key_id = chosen.id;
  resolved.secret_access_key = Secret(chosen.secret);
  resolved.session_token = Secret(chosen.token);
}

Result<std::uint32_t> ParseConnections(const std::string& value) {
  constexpr std::uint32_t kConnectionsMax = 10'000;
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc{} || end != value.data() + value.size() || number == 0 ||
      number > kConnectionsMax) {
    return Error(Code::kInvalidArgument,
                 fmt::format("option max-connections \"{}\": write a number from 1 to {}", value,
                             kConnectionsMax));
  }
  return number;
}

}  // namespace

Result<UpstreamOptions> ResolveOptions(const OptionMap& options, const Environment& environment) {
  const Result<OptionMap> translated = Translated(options);
  if (!translated.ok()) return translated.error();
  const OptionMap& given = translated.value();
  const std::string named = FirstOf({Get(given, "profile"), Get(environment, "AWS_PROFILE")});
  const Result<Profile> profile =
      ReadProfile(environment, named.empty() ? "default" : named, !named.empty());
  if (!profile.ok()) return profile.error();

  UpstreamOptions resolved;
  const std::string endpoint =
      FirstOf({Get(given, "endpoint"), Get(environment, "AWS_ENDPOINT_URL_S3"),
               Get(environment, "AWS_ENDPOINT_URL"), Get(profile.value(), "endpoint_url")});
  if (!endpoint.empty()) {
    Result<std::string> normalised = NormalisedEndpoint(endpoint);
    if (!normalised.ok()) return std::move(normalised).error();
    resolved.endpoint = std::move(normalised).value();
  }
  resolved.region = FirstOf({Get(given, "region"), Get(environment, "AWS_REGION"),
                             Get(environment, "AWS_DEFAULT_REGION"), Get(profile.value(), "region"),
                             resolved.region});
  resolved.ca_bundle = FirstOf({Get(given, "ca-bundle"), Get(environment, "AWS_CA_BUNDLE"),
                                Get(profile.value(), "ca_bundle")});
  const Result<bool> path_style = ParseBool(given, "path-style");
  const Result<bool> anonymous = ParseBool(given, "anonymous");
  const Result<bool> requester_pays = ParseBool(given, "requester-pays");
  for (const Result<bool>* flag : {&path_style, &anonymous, &requester_pays}) {
    if (!flag->ok()) return flag->error();
  }
  if (!Get(given, "path-style").empty()) resolved.path_style = path_style.value();
  resolved.anonymous = anonymous.value();
  resolved.requester_pays = requester_pays.value();
  if (const std::string connections = Get(given, "max-connections"); !connections.empty()) {
    const Result<std::uint32_t> number = ParseConnections(connections);
    if (!number.ok()) return number.error();
    resolved.max_connections = number.value();
  }
  if (!resolved.anonymous) ResolveCredentials(given, environment, profile.value(), resolved);
  return resolved;
}

}  // namespace forebay
