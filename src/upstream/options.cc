#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <sstream>

#include "base/check.h"
#include "core/store_options.h"
#include "upstream/ini.h"
#include "upstream/s3_address.h"
#include "upstream/upstream.h"

namespace forebay {
namespace {

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

// Of options that TranslatedStoreOptions took.
bool IsTrue(const OptionMap& options, const std::string& name) {
  return Get(options, name) == "true";
}

}  // namespace

Result<UpstreamOptions> ResolveOptions(const OptionMap& options, const Environment& environment) {
  const Result<OptionMap> translated = TranslatedStoreOptions(options);
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
  if (!Get(given, "path-style").empty()) resolved.path_style = IsTrue(given, "path-style");
  resolved.anonymous = IsTrue(given, "anonymous");
  resolved.requester_pays = IsTrue(given, "requester-pays");
  if (const std::string connections = Get(given, "max-connections"); !connections.empty()) {
    const char* const end = connections.data() + connections.size();
    CHECK(std::from_chars(connections.data(), end, resolved.max_connections).ptr == end);
  }
  if (!resolved.anonymous) ResolveCredentials(given, environment, profile.value(), resolved);
  return resolved;
}

}  // namespace forebay
