#include "app/dataset_flags.h"

#include <fmt/format.h>

#include <fstream>
#include <set>

#include "app/flags.h"
#include "base/units.h"
#include "upstream/upstream.h"

namespace forebay {
namespace {

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

Result<MountView> MountOf(const std::string& text) {
  MountView mount{.path = "/", .url = text};
  const std::size_t equals = text.find('=');
  const std::size_t scheme = text.find("://");
  // A URL may hold '=' too, but does not begin with a slash.
  if (text.starts_with('/') && equals != std::string::npos &&
      (scheme == std::string::npos || equals < scheme)) {
    mount.path = text.substr(0, equals);
    mount.url = text.substr(equals + 1);
  }
  const Result<Location> location = ParseLocation(mount.url);
  // Its message begins with the value.
  if (!location.ok()) return Invalid("--mount " + location.error().message());
  return mount;
}

Result<std::string> ReadSecretFile(const std::string& path) {
  constexpr std::size_t kBytesMax = 64u << 10;  // A token of a cloud has some KiB.
  std::ifstream file(path, std::ios::binary);
  std::string text(kBytesMax + 1, '\0');
  if (!file ||
      (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && !file.eof())) {
    return Invalid(fmt::format("\"{}\": cannot be read; name a file that you may read", path));
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kBytesMax) {
    return Invalid(fmt::format("\"{}\": longer than 64 KiB; is it the right file?", path));
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

Result<std::string> SecretOf(const Context& context, const std::string& reference) {
  constexpr std::string_view kFile = "file:";
  constexpr std::string_view kVariable = "env:";
  if (reference.starts_with(kFile)) return ReadSecretFile(reference.substr(kFile.size()));
  if (!reference.starts_with(kVariable)) {
    return Invalid(
        "says not where the secret is, and every user of the machine can read flags; write "
        "KEY=env:NAME or KEY=file:PATH");
  }
  const std::string variable = reference.substr(kVariable.size());
  const auto found = context.environment.find(variable);
  if (found == context.environment.end()) {
    return Invalid(fmt::format("the variable {} is not set; export it first", variable));
  }
  return found->second;
}

Status CheckStaleness(const std::string& text) {
  if (text == "pinned" || ParseDuration(text).ok()) return {};
  return Invalid(fmt::format("--staleness \"{}\": not a duration; write 60s, 0 or pinned", text));
}

}  // namespace

Result<std::vector<MountView>> MountsOf(const Context& context) {
  std::vector<MountView> mounts;
  std::set<std::string> paths;
  for (const std::string& text : ListOf(context, "mount")) {
    Result<MountView> mount = MountOf(text);
    if (!mount.ok()) return std::move(mount).error();
    if (!paths.insert(mount.value().path).second) {
      return Invalid(fmt::format("--mount \"{}\": there is another at {}; write --mount PATH={}",
                                 text, mount.value().path, mount.value().url));
    }
    mounts.push_back(std::move(mount).value());
  }
  return mounts;
}

Result<std::map<std::string, std::string>> StoreOptionsOf(const Context& context) {
  std::map<std::string, std::string> options;
  for (const std::string& pair : ListOf(context, "option")) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Invalid(fmt::format("--option \"{}\": not KEY=VALUE; write region=eu-west-1", pair));
    }
    const std::string key = pair.substr(0, equals);
    if (key == "secret-access-key" || key == "session-token") {
      return Invalid(
          fmt::format("--option {0}: every user of the machine can read flags; write "
                      "--secret {0}=env:NAME or --secret {0}=file:PATH",
                      key));
    }
    options[key] = pair.substr(equals + 1);
  }
  return options;
}

Result<std::map<std::string, Secret>> SecretsOf(const Context& context) {
  std::map<std::string, Secret> secrets;
  for (const std::string& pair : ListOf(context, "secret")) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      // Not shown: it may be the secret itself.
      return Invalid(
          "--secret: not KEY=REFERENCE; write secret-access-key=env:NAME or "
          "secret-access-key=file:PATH");
    }
    const std::string key = pair.substr(0, equals);
    Result<std::string> value = SecretOf(context, pair.substr(equals + 1));
    if (!value.ok()) return std::move(value).error().Within("--secret " + key);
    if (value.value().empty()) {
      return Invalid(fmt::format("--secret {}: is empty; put the secret there first", key));
    }
    secrets[key] = Secret(std::move(value).value());
  }
  return secrets;
}

Result<std::string> DatasetBody(const Context& context, const DatasetName& name) {
  const Result<std::vector<MountView>> mounts = MountsOf(context);
  if (!mounts.ok()) return mounts.error();
  if (mounts.value().empty()) {
    return Invalid("--mount is missing; write --mount s3://BUCKET/PREFIX or --mount file:///DIR");
  }
  const auto options = StoreOptionsOf(context);
  if (!options.ok()) return options.error();
  const auto secrets = SecretsOf(context);
  if (!secrets.ok()) return secrets.error();
  const std::string& staleness = context.settings.Text("staleness");
  const Status checked = CheckStaleness(staleness);
  if (!checked.ok()) return checked.error();
  RequestBody body;
  body.Set("name", name.name);
  body.Set("namespace", name.name_space);
  for (const MountView& mount : mounts.value()) {
    body.AddMount(mount, options.value(), secrets.value());
  }
  body.Set("staleness", staleness);
  body.Set("blockSize", std::to_string(context.settings.Size("block-size")));
  return body.Text();
}

}  // namespace forebay
