#include "app/verbs.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"

namespace forebay {
namespace {

using enum SettingKind;

constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

constexpr auto kFlags = std::to_array<Flag>({
    {"config", 0, kText, "", "FILE", "YAML file of defaults for these flags"},
    {"state-dir", 0, kText, "", "DIR", "where sockets and own mounts live"},
    {"quiet", 'q', kSwitch, "false", "", "no progress and no notes, only errors and warnings"},
    {"progress", 0, kText, "auto", "auto|json|none",
     "json: one object a line on stderr; auto: a bar on a terminal, else a line now and then"},
    {"print-config", 0, kSwitch, "false", "", "show the effective values and their origins"},
    {"members", 0, kText, "", "FILE", "the pool; without it straight from the store"},
    {"read-timeout", 0, kDuration, "30s", "DURATION", "deadline of a read"},
    {"endpoint-url", 0, kText, "", "URL", "of the store, if not the public one"},
    {"region", 0, kText, "", "NAME", "of the store"},
    {"profile", 0, kText, "", "NAME", "of ~/.aws/credentials and ~/.aws/config"},
    {"force-path-style", 0, kSwitch, "false", "", "the bucket in the path, not in the host name"},
    {"no-sign-request", 0, kSwitch, "false", "", "anonymous requests"},
    {"requester-pays", 0, kSwitch, "false", "", "the reader pays for the requests"},
    {"option", 0, kText, "", "K=V", "option of the store, may be repeated", true},
    {"output", 'o', kText, "table", "json|yaml|wide|table|name", "format of the result"},
    {"file", 'f', kText, "", "FILE", "documents in YAML or JSON; - is standard input"},
    {"recursive", 'r', kSwitch, "false", "", "whole trees"},
    {"name", 0, kText, "", "NAME", "of this worker, as in the members file"},
    {"address", 0, kText, "", "HOST:PORT|unix:PATH", "of this worker, as in the members file"},
    {"memory", 0, kSize, "", "SIZE", "quota of the memory tier, at least one block"},
    {"tier-dir", 0, kText, "", "DIR",
     "existing directory for the tier; default: an own tmpfs at STATE/NAME/tier, else "
     "/dev/shm/forebay-UID/NAME"},
    {"http", 0, kText, "", "HOST:PORT|unix:PATH",
     "/metrics and /healthz; default: unix:STATE/NAME.sock"},
    {"insecure", 0, kSwitch, "false", "",
     "listen beyond this host without authentication or encryption"},
    {"tasks", 0, kCount, "1", "N", "readers in all"},
    {"processes", 0, kCount, "1", "M", "processes that the tasks are spread over"},
});

std::vector<std::string_view> With(std::initializer_list<std::string_view> own) {
  std::vector<std::string_view> flags = {"members",         "read-timeout",   "endpoint-url",
                                         "region",          "profile",        "force-path-style",
                                         "no-sign-request", "requester-pays", "option"};
  flags.insert(flags.begin(), own.begin(), own.end());
  for (const std::string_view key : {"quiet", "progress", "config", "print-config"}) {
    flags.push_back(key);
  }
  return flags;
}

constexpr std::string_view kUrls =
    "URLs: s3://BUCKET/KEY (the key is taken literally), file:///DIR/FILE, local:///DIR/FILE.\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.";

const std::array kVerbs = {
    Verb{"worker",
         "",
         "Serve a part of a pool's memory",
         "Prints `ready NAME ADDRESS` once it serves. SIGTERM and SIGINT stop it in order and drop "
         "the tier.\nCredentials of the store come from the environment, as for the AWS command "
         "line.",
         {"name", "address", "memory", "members", "tier-dir", "http", "insecure", "state-dir",
          "quiet", "config", "print-config"},
         0,
         0,
         &RunWorkerVerb},
    Verb{"cat", "URL...", "Write files to standard output, one after the other", kUrls, With({}), 1,
         kAnyNumber, &RunCatVerb},
    Verb{"stat", "URL...", "Show type, size, time and version of files and directories", kUrls,
         With({"output"}), 1, kAnyNumber, &RunStatVerb},
    Verb{"ls", "URL...", "List directories", kUrls, With({"output", "recursive"}), 1, kAnyNumber,
         &RunLsVerb},
    Verb{"cp", "URL... DIR", "Copy files, or with -r trees, into a local directory, as cp(1) does",
         kUrls, With({"recursive"}), 2, kAnyNumber, &RunCpVerb},
    Verb{"verify", "URL...",
         "Read files and trees through the pool and from the store, and compare every byte",
         "Names what differs on standard output; exit code 1 then.", With({}), 1, kAnyNumber,
         &RunVerifyVerb},
    Verb{"explain",
         "-f FILE",
         "Show what Dataset and Runtime documents mean here, field by field",
         "Changes nothing and needs nothing running. Exit codes: 0 valid, 2 invalid.",
         {"file", "output", "quiet", "config", "print-config"},
         0,
         0,
         &RunExplainVerb},
    Verb{"bench read", "URL...", "Read files with many tasks at once, and measure",
         "Every task reads every file once, in the order listed, from one start signal.",
         With({"tasks", "processes", "output"}), 1, kAnyNumber, &RunBenchReadVerb},
    Verb{"bench fill", "URL...", "Have the pool hold files; no bytes come back here", kUrls,
         With({"output"}), 1, kAnyNumber, &RunBenchFillVerb},
    Verb{"bench process", "", "One process of `bench read`; speaks with it over standard streams",
         "", With({}), 0, 0, &RunBenchProcessVerb, true},
};

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
std::span<const Verb> AllVerbs() {
  return kVerbs;
}

const Flag& FlagOf(std::string_view key) {
  const auto* const found = std::ranges::find(kFlags, key, &Flag::key);
  CHECK(found != kFlags.end());
  return *found;
}

Settings DeclareSettings(const std::map<std::string, std::string>& environment) {
  Settings settings;
  for (const Flag& flag : kFlags) {
    settings.Declare(
        {std::string(flag.key), flag.kind,
         flag.key == "state-dir" ? DefaultStateDir(environment) : std::string(flag.default_value),
         std::string(flag.help)});
  }
  return settings;
}

}  // namespace forebay
