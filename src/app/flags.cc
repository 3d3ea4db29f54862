#include "app/flags.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace forebay {
namespace {

using enum SettingKind;

constexpr auto kFlags = std::to_array<Flag>({
    {"config", 0, kText, "", "FILE", "YAML file of defaults for these flags"},
    {"state-dir", 0, kText, "", "DIR", "where the sockets and records of a group live"},
    {"quiet", 'q', kSwitch, "false", "", "no progress and no notes, only errors and warnings"},
    {"progress", 0, kText, "auto", "auto|json|none",
     "json: one object a line on stderr; auto: a bar on a terminal, else a line now and then"},
    {"print-config", 0, kSwitch, "false", "", "show the effective values and their origins"},
    {"members", 0, kText, "", "FILE", "a fixed pool, instead of a group with control"},
    {"read-timeout", 0, kDuration, "30s", "DURATION", "deadline of a read"},
    {"endpoint-url", 0, kText, "", "URL", "of the store, if not the public one"},
    {"region", 0, kText, "", "NAME", "of the store"},
    {"profile", 0, kText, "", "NAME", "of ~/.aws/credentials and ~/.aws/config"},
    {"force-path-style", 0, kSwitch, "false", "", "the bucket in the path, not in the host name"},
    {"no-sign-request", 0, kSwitch, "false", "", "anonymous requests"},
    {"requester-pays", 0, kSwitch, "false", "", "the reader pays for the requests"},
    {"option", 0, kText, "", "K=V", "option of the store, may be repeated", true},
    {"output", 'o', kText, "table", "json|yaml|wide|table|name",
     "format of the result; not every verb has all of them"},
    {"recursive", 'r', kSwitch, "false", "", "whole trees"},
    {"name", 0, kText, "", "NAME", "of this worker; with --members as written there"},
    {"address", 0, kText, "", "HOST:PORT|unix:PATH",
     "where this worker listens; with --members as written there"},
    {"memory", 0, kSize, "", "SIZE", "quota of the memory tier, at least one block"},
    {"tier-dir", 0, kText, "", "DIR",
     "existing directory for the tier; default: an own tmpfs at STATE/NAME/tier, else "
     "/dev/shm/forebay-UID/NAME"},
    {"http", 0, kText, "", "HOST:PORT|unix:PATH",
     "/metrics and /healthz; default: unix:STATE/NAME.sock, and none of a near worker"},
    {"role", 0, kText, "ring", "ring|near",
     "near: beside the mounts of this host, for what they read; they find it by --state-dir"},
    {"near-memory", 0, kSize, "", "SIZE",
     "quota of a near worker of this mount alone, which keeps what is read here; 0: none; default: "
     "1GiB (an eighth of a smaller machine) for a store's URL without --members, else 0"},
    {"insecure", 0, kSwitch, "false", "",
     "listen beyond this host without authentication or encryption"},
    {"tasks", 0, kCount, "1", "N", "readers in all"},
    {"processes", 0, kCount, "1", "M", "processes that the tasks are spread over"},
    {"control", 0, kText, "", "URL", "the group's control, instead of --state-dir's"},
    {"namespace", 'n', kText, "default", "NAMESPACE", "of the dataset"},
    {"all-namespaces", 'A', kSwitch, "false", "", "those of all namespaces"},
    {"mount", 0, kText, "", "[PATH=]URL",
     "what the dataset shows, at PATH or as its root; may be repeated", true},
    {"secret", 0, kSecretReference, "", "K=file:PATH|env:NAME",
     "a secret option of the store, read from there now; may be repeated", true},
    {"staleness", 0, kText, "60s", "DURATION|0|pinned",
     "how old an answer about the store may be; 0: ask always, pinned: never"},
    {"memory-per-worker", 0, kSize, "1GiB", "SIZE", "quota of each worker's memory tier"},
    {"block-size-max", 0, kSize, "4MiB", "SIZE", "largest block that a dataset may have"},
    {"listen", 0, kText, "", "HOST:PORT", "serve the group's API over TCP, too"},
    {"force", 0, kSwitch, "false", "", "even while mounts are in use"},
    {"block-size", 0, kSize, "4MiB", "SIZE", "what is cached at once"},
    {"detach", 0, kSwitch, "false", "", "go on in the background"},
    {"timeout", 0, kDuration, "", "DURATION", "wait no longer; exit code 124 then"},
    {"throttle", 0, kText, "", "RATE", "read no faster from the store, such as 100MiB/s"},
    {"replicas", 0, kCount, "1", "N", "workers that shall hold each block"},
    {"cached", 0, kRatio, "", "RATIO", "how much shall be cached, such as 95% or 0.95"},
    {"path", 0, kText, "", "PATH", "of the dataset, instead of all of it"},
    {"workers", 0, kCount, "", "N", "workers that shall be ready"},
    {"file", 'f', kText, "", "FILE|-", "YAML or JSON documents; -: standard input"},
    {"dry-run", 0, kSwitch, "false", "", "say what would change, and change nothing"},
    {"foreground", 0, kSwitch, "false", "", "stay in the foreground until it is unmounted"},
    {"options", 'o', kText, "", "OPTION,...",
     "as mount(8) takes them: ro, allow_other, noexec, uid=N, gid=N, ...; any flag as FLAG=VALUE; "
     "noresend, nopassthrough: as if Linux were older than 6.9; may be repeated",
     true},
    {"read-only", 0, kSwitch, "false", "", "as it is anyway"},
    {"allow-other", 0, kSwitch, "false", "", "all users may read it, as for root's mounts"},
    {"uid", 0, kText, "", "N", "owner of all files; default: who mounts"},
    {"gid", 0, kText, "", "N", "group of all files; default: that of who mounts"},
    {"file-mode", 0, kText, "0644", "OCTAL", "permissions of files"},
    {"dir-mode", 0, kText, "0755", "OCTAL", "permissions of directories"},
    {"metadata-ttl", 0, kText, "", "SECONDS|minimal|indefinite",
     "how old names, sizes and times may be; minimal: ask always, indefinite: never again; of a "
     "dataset or a pool no longer than its staleness. Default: that, or 60"},
    {"log", 0, kText, "", "FILE", "messages once mounted; default: STATE/mounts/PATH.log"},
    {"lazy", 0, kSwitch, "false", "",
     "take it out of sight now; it ends when the last of its files is closed"},
    {"watch", 'w', kSwitch, "false", "", "go on showing changes until interrupted"},
});

std::string Get(const std::map<std::string, std::string>& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

// Empty if there is no home: the verbs that need the directory then ask for one.
std::string DefaultStateDir(const std::map<std::string, std::string>& environment) {
  if (geteuid() == 0) return "/var/lib/forebay";
  const std::string state = Get(environment, "XDG_STATE_HOME");
  if (!state.empty()) return state + "/forebay";
  const std::string home = Get(environment, "HOME");
  return home.empty() ? "" : home + "/.local/state/forebay";
}

}  // namespace

std::span<const Flag> AllFlags() {
  return kFlags;
}

const Flag& FlagOf(std::string_view key) {
  const auto* const found = std::ranges::find(kFlags, key, &Flag::key);
  CHECK(found != kFlags.end());
  return *found;
}

Settings DeclareSettings(const std::map<std::string, std::string>& environment,
                         std::span<const FlagDefault> own) {
  Settings settings;
  for (const Flag& flag : kFlags) {
    std::string value(flag.default_value);
    if (flag.key == "state-dir") value = DefaultStateDir(environment);
    const auto of_verb = std::ranges::find(own, flag.key, &FlagDefault::key);
    if (of_verb != own.end()) value = of_verb->value;
    settings.Declare({std::string(flag.key), flag.kind, std::move(value), std::string(flag.help)});
  }
  return settings;
}

std::vector<std::string> ListOf(const Context& context, std::string_view key) {
  const auto given = context.lists.find(key);
  if (given != context.lists.end()) return given->second;
  std::vector<std::string> list;
  if (!context.settings.Has(key)) return list;
  const std::string& text = context.settings.Text(key);
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) list.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return list;
}

}  // namespace forebay
