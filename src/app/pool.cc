#include "app/pool.h"

#include <fmt/format.h>

#include "app/flags.h"

namespace forebay {
namespace {

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

Status AddOption(const std::string& pair, OptionMap& options) {
  const std::size_t equals = pair.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Invalid(fmt::format("--option \"{}\": not KEY=VALUE; write region=eu-west-1", pair));
  }
  const std::string key = pair.substr(0, equals);
  if (key == "secret-access-key" || key == "session-token") {
    return Invalid(
        fmt::format("--option {}: every user of the machine can read flags; set {}", key,
                    key == "session-token" ? "AWS_SESSION_TOKEN" : "AWS_SECRET_ACCESS_KEY"));
  }
  options[key] = pair.substr(equals + 1);
  return {};
}

Status AddStoreFlags(const Context& context, OptionMap& options) {
  for (const std::string& pair : ListOf(context, "option")) {
    Status added = AddOption(pair, options);
    if (!added.ok()) return added;
  }
  const Settings& settings = context.settings;
  if (settings.Has("endpoint-url")) options["endpoint"] = settings.Text("endpoint-url");
  if (settings.Has("region")) options["region"] = settings.Text("region");
  if (settings.Switch("force-path-style")) options["path-style"] = "true";
  if (settings.Switch("no-sign-request")) options["anonymous"] = "true";
  if (settings.Switch("requester-pays")) options["requester-pays"] = "true";
  return {};
}

std::map<std::string, std::string> StoreEnvironment(const Context& context) {
  std::map<std::string, std::string> environment = context.environment;
  if (context.settings.Has("profile")) {
    environment["AWS_PROFILE"] = context.settings.Text("profile");
  }
  return environment;
}

Result<std::unique_ptr<Client>> Connect(const Context& context, MembersFile members) {
  if (ReadTimeout(context).count() == 0) {
    return Invalid("--read-timeout \"0\": a read needs some time; write 30s");
  }
  ClientOptions options;
  options.members = std::move(members);
  options.environment = StoreEnvironment(context);
  Result<std::unique_ptr<Client>> client = Client::Create(std::move(options));
  // Whatever is wrong with the options was written by the user.
  if (!client.ok()) return Invalid(client.error().message());
  return client;
}

}  // namespace

Result<MembersFile> MembersOf(const Context& context) {
  MembersFile members;
  if (context.settings.Has("members")) {
    const std::string& path = context.settings.Text("members");
    Result<MembersFile> read = ReadMembersFile(path);
    if (!read.ok()) return Invalid(fmt::format("--members {}", read.error().message()));
    members = std::move(read).value();
  }
  const Status added = AddStoreFlags(context, members.options);
  if (!added.ok()) return added.error();
  return members;
}

Result<std::unique_ptr<Client>> ConnectPool(const Context& context,
                                            std::span<const std::string> urls) {
  for (const std::string& url : urls) {
    const Result<Location> location = ParseLocation(url);
    if (!location.ok()) return location.error();
  }
  Result<MembersFile> members = MembersOf(context);
  if (!members.ok()) return std::move(members).error();
  return Connect(context, std::move(members).value());
}

Result<std::unique_ptr<Client>> ConnectStore(const Context& context) {
  Result<MembersFile> members = MembersOf(context);
  if (!members.ok()) return std::move(members).error();
  members.value().members.clear();
  return Connect(context, std::move(members).value());
}

std::chrono::milliseconds ReadTimeout(const Context& context) {
  return context.settings.Duration("read-timeout");
}

Deadline ReadDeadline(const Context& context) {
  return Clock::now() + ReadTimeout(context);
}

}  // namespace forebay
