#include "app/pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "app/flags.h"
#include "app/state_dir.h"
#include "base/units.h"
#include "client/dataset_url.h"
#include "client/group_directory.h"

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

// Whatever is wrong with the options was written by the user.
Result<std::unique_ptr<Client>> Create(const Context& context, ClientOptions options) {
  if (ReadTimeout(context).count() == 0) {
    return Invalid("--read-timeout \"0\": a read needs some time; write 30s");
  }
  options.environment = StoreEnvironment(context);
  Result<std::unique_ptr<Client>> client = Client::Create(std::move(options));
  if (!client.ok()) return Invalid(client.error().message());
  return client;
}

// Tells what a dataset is, and of no workers.
class StoresOnly : public GroupDirectory {
 public:
  explicit StoresOnly(std::unique_ptr<GroupDirectory> all) : all_(std::move(all)) {}

  Result<GroupAnswer> Ask(const DatasetRef& dataset, Deadline deadline,
                          std::stop_token stop) override {
    Result<GroupAnswer> answer = all_->Ask(dataset, deadline, stop);
    if (answer.ok()) answer.value().map = {};
    return answer;
  }

 private:
  const std::unique_ptr<GroupDirectory> all_;
};

enum class Through : std::uint8_t { kWorkers, kStore };

// A copy of the group in the state directory stands in for a control that is away.
Result<GroupAddress> GroupOf(const Context& context) {
  if (context.settings.Has("control")) {
    return GroupAddress{
        .control = context.settings.Text("control"), .group_file = "", .snapshots = ""};
  }
  const Result<std::string> state = StateDirectory(context);
  if (!state.ok()) return state.error();
  return GroupAddress{.control = SocketAddress(state.value(), "control").text,
                      .group_file = state.value() + "/group.json",
                      .snapshots = state.value() + "/snapshots"};
}

Result<std::unique_ptr<Client>> ConnectGroup(const Context& context, Through through,
                                             const std::string& near_socket) {
  if (context.settings.Has("members")) {
    return Invalid(
        "--members: a dataset is read through its group; leave it out, or name the "
        "store's URL");
  }
  const Result<GroupAddress> address = GroupOf(context);
  if (!address.ok()) return address.error();
  Result<std::unique_ptr<GroupDirectory>> directory = MakeControlDirectory(address.value());
  if (!directory.ok()) return std::move(directory).error().Within("--control");
  const auto ttl = MetadataTtl(context);
  if (!ttl.ok()) return ttl.error();
  ClientOptions options;
  options.near_socket = near_socket;
  options.staleness_max = ttl.value().value_or(std::chrono::milliseconds::max());
  options.group = std::move(directory).value();
  if (through == Through::kStore) {
    options.group = std::make_unique<StoresOnly>(std::move(options.group));
  }
  return Create(context, std::move(options));
}

Result<std::unique_ptr<Client>> Connect(const Context& context, std::span<const std::string> urls,
                                        Through through, const std::string& near_socket = "") {
  if (Status checked = CheckUrls(urls); !checked.ok()) return checked.error();
  if (!urls.empty() && IsDatasetUrl(urls.front())) {
    return ConnectGroup(context, through, near_socket);
  }
  ClientOptions options;
  options.near_socket = near_socket;
  Result<MembersFile> members = MembersOf(context);
  if (!members.ok()) return std::move(members).error();
  options.members = std::move(members).value();
  if (through == Through::kStore) options.members.members.clear();
  return Create(context, std::move(options));
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
  const auto ttl = MetadataTtl(context);
  if (!ttl.ok()) return ttl.error();
  if (const auto bound = ttl.value()) {
    const bool has_own = context.settings.Has("members");
    members.staleness = has_own ? std::min(members.staleness, *bound) : *bound;
  }
  return members;
}

Result<std::optional<std::chrono::milliseconds>> MetadataTtl(const Context& context) {
  using std::chrono::milliseconds;
  if (!context.settings.Has("metadata-ttl")) return std::optional<milliseconds>();
  const std::string& text = context.settings.Text("metadata-ttl");
  if (text == "minimal") return std::optional(milliseconds(0));
  if (text == "indefinite") return std::optional(milliseconds::max());
  constexpr std::uint64_t kSecondsMax = 10ULL * 365 * 24 * 3600;
  std::uint64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size() && seconds <= kSecondsMax) {
    return std::optional<milliseconds>(std::chrono::seconds(seconds));
  }
  const Result<milliseconds> duration = ParseDuration(text);
  if (duration.ok() && duration.value() <= std::chrono::seconds(kSecondsMax)) {
    return std::optional(duration.value());
  }
  return Invalid(fmt::format("--metadata-ttl \"{}\": write seconds, minimal or indefinite", text));
}

Status CheckUrls(std::span<const std::string> urls) {
  for (const std::string& url : urls) {
    const Result<SplitUrl> split = Split(url);
    if (!split.ok()) return split.error();
    if (IsDatasetUrl(url) != IsDatasetUrl(urls.front())) {
      return Invalid(
          fmt::format("\"{}\" and \"{}\": one is of a dataset and one of a store; "
                      "use a call for each",
                      urls.front(), url));
    }
  }
  return {};
}

Result<std::unique_ptr<Client>> ConnectPool(const Context& context,
                                            std::span<const std::string> urls,
                                            const std::string& near_socket) {
  return Connect(context, urls, Through::kWorkers, near_socket);
}

Result<std::unique_ptr<Client>> ConnectStore(const Context& context,
                                             std::span<const std::string> urls) {
  return Connect(context, urls, Through::kStore);
}

Result<std::unique_ptr<Client>> ConnectWorkers(const Context& context,
                                               std::span<const std::string> urls,
                                               const std::string& why) {
  if (Status checked = CheckUrls(urls); !checked.ok()) return checked.error();
  if (!urls.empty() && !IsDatasetUrl(urls.front()) && !context.settings.Has("members")) {
    return Invalid(
        fmt::format("--members is missing: {}; name a members file, or a dataset: "
                    "forebay://NAME/PATH",
                    why));
  }
  return ConnectPool(context, urls);
}

std::chrono::milliseconds ReadTimeout(const Context& context) {
  return context.settings.Duration("read-timeout");
}

Deadline ReadDeadline(const Context& context) {
  return Clock::now() + ReadTimeout(context);
}

}  // namespace forebay
