#include "app/mount_choices.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "app/doctor.h"
#include "app/flags.h"
#include "app/option_list.h"
#include "app/pool.h"
#include "app/tier_place.h"
#include "client/dataset_url.h"
#include "wire/near_messages.h"

namespace forebay {
namespace {

// What is so in any case, and what is meant for mount(8), not for a file system.
constexpr auto kTaken =
    std::to_array<std::string_view>({"ro",         "defaults",    "default_permissions",
                                     "nosuid",     "suid",        "nodev",
                                     "dev",        "auto",        "noauto",
                                     "user",       "nouser",      "users",
                                     "nousers",    "owner",       "noowner",
                                     "group",      "nogroup",     "_netdev",
                                     "nofail",     "async",       "sync",
                                     "dirsync",    "atime",       "noatime",
                                     "diratime",   "nodiratime",  "relatime",
                                     "norelatime", "strictatime", "nostrictatime",
                                     "lazytime",   "nolazytime",  "silent",
                                     "loud",       "mand",        "nomand",
                                     "iversion",   "noiversion",  "nonempty",
                                     "sloppy"});
constexpr auto kTakenWithValue =
    std::to_array<std::string_view>({"user", "comment", "helper", "uhelper"});

// Who mounts a line of fstab with these gets no programs to run from it, unless "exec" follows.
constexpr auto kNoExec = std::to_array<std::string_view>({"user", "users"});

template <std::size_t N>
bool IsOneOf(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

std::optional<std::uint32_t> Number(std::string_view text, int base) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), number, base);
  if (error != std::errc() || end != text.end()) return std::nullopt;
  return number;
}

Status SetId(const std::string& flag, std::string_view text, std::uint32_t& id) {
  constexpr int kDecimal = 10;
  constexpr std::uint32_t kNobody = 0xFFFFFFFF;  // (uid_t)-1 is "leave as it is".
  const std::optional<std::uint32_t> number = Number(text, kDecimal);
  if (!number || *number == kNobody) {
    return Invalid(fmt::format("{} \"{}\": write a number, as `id` shows it", flag, text));
  }
  id = *number;
  return {};
}

Status SetMode(const std::string& flag, std::string_view text, std::uint32_t& mode) {
  constexpr int kOctal = 8;
  constexpr std::uint32_t kAll = 0777;
  const std::optional<std::uint32_t> number = Number(text, kOctal);
  if (!number || *number > kAll) {
    return Invalid(fmt::format("{} \"{}\": write an octal number up to 0777", flag, text));
  }
  mode = *number;
  return {};
}

Status TakeOption(std::string_view option, MountChoices& choices) {
  const std::string_view key = option.substr(0, option.find('='));
  const std::string_view value = option.substr(std::min(option.size(), key.size() + 1));
  if (option == "allow_other") {
    choices.allow_other = true;
    return {};
  }
  if (option == "noresend") {
    choices.may_resend = false;
    return {};
  }
  if (option == "nopassthrough") {
    choices.may_pass_through = false;
    return {};
  }
  if (key == "uid") return SetId("-o uid", value, choices.uid);
  if (key == "gid") return SetId("-o gid", value, choices.gid);
  if (option == "exec" || option == "noexec") {
    choices.no_exec = option == "noexec";
    return {};
  }
  if (option == "fake") {
    choices.only_check = true;
    return {};
  }
  if (option == "own-session") {
    choices.own_session = true;
    return {};
  }
  if (option == "rw") return Invalid("-o rw: mounts are read-only; write ro, or leave it out");
  if (option == "remount") {
    return Invalid("-o remount: a mount cannot be changed; `forebay umount` it and mount it anew");
  }
  if (IsOneOf(kNoExec, option)) choices.no_exec = true;
  const bool has_value = key.size() < option.size();
  const bool is_taken = key.starts_with("x-") || key.starts_with("X-") ||
                        (has_value ? IsOneOf(kTakenWithValue, key) : IsOneOf(kTaken, option));
  if (is_taken) return {};
  return Invalid(
      fmt::format("-o \"{}\": no such option; write ro, allow_other, uid=N, gid=N, "
                  "noexec, noresend, nopassthrough, a flag as FLAG=VALUE, or options of mount(8)",
                  option));
}

Status TakeOptions(const Context& context, MountChoices& choices) {
  std::vector<std::string> options;
  for (const std::string& list : ListOf(context, "options")) {
    for (std::string& option : SplitOptions(list)) options.push_back(std::move(option));
  }
  const bool is_sloppy = std::ranges::find(options, "sloppy") != options.end();
  for (const std::string& option : options) {
    Status taken = TakeOption(option, choices);
    if (!taken.ok() && !is_sloppy) return taken;
  }
  return {};
}

// NAME, NAME.NAMESPACE or a URL.
Result<std::string> RootOf(const Context& context) {
  const std::string& given = context.arguments.at(0);
  if (given.find("://") == std::string::npos) {
    Result<DatasetRef> name = ParseDatasetRef(given);
    if (!name.ok()) return std::move(name).error();
    if (given.find('.') == std::string::npos) {
      name.value().name_space = context.settings.Text("namespace");
    }
    return fmt::format("forebay://{}/", name.value().Text());
  }
  const Result<SplitUrl> split = Split(given);
  if (!split.ok()) return split.error();
  std::string root = split.value().Text();
  if (!root.ends_with('/')) root += '/';
  return root;
}

// A store's URL has nobody else who keeps what is read of it.
std::uint64_t NearMemoryBytes(const Settings& settings, const std::string& root) {
  constexpr std::uint64_t kUsual = std::uint64_t{1} << 30;
  constexpr std::uint64_t kPartOfMachine = 8;
  if (settings.Has("near-memory")) return settings.Size("near-memory");
  if (IsDatasetUrl(root) || settings.Has("members")) return 0;
  const std::uint64_t may_have =
      std::min(MachineMemoryBytes(), ControlGroupBound().value_or(MachineMemoryBytes()));
  std::uint64_t bytes = std::min(kUsual, may_have / kPartOfMachine);
  struct statvfs shared = {};
  // Where others are, too, half of what is left.
  if (!MayMount() && statvfs("/dev/shm", &shared) == 0) {
    bytes = std::min<std::uint64_t>(bytes, shared.f_bavail * shared.f_frsize / 2);
  }
  return bytes < kNearChunkBytes ? 0 : bytes;
}

}  // namespace

Result<MountChoices> MountChoicesOf(const Context& context, const MountUser& user) {
  const Settings& settings = context.settings;
  Result<std::string> root = RootOf(context);
  if (!root.ok()) return std::move(root).error();
  MountChoices choices{.root = std::move(root).value(),
                       .source = context.arguments.at(0),
                       .allow_other = user.uid == 0 || settings.Switch("allow-other"),
                       .uid = user.uid,
                       .gid = user.gid};
  if (Status taken = TakeOptions(context, choices); !taken.ok()) return taken.error();
  choices.near_memory_bytes = NearMemoryBytes(settings, choices.root);
  const auto ttl = MetadataTtl(context);
  if (!ttl.ok()) return ttl.error();
  choices.metadata_ttl = ttl.value();
  if (settings.Has("uid")) {
    if (Status set = SetId("--uid", settings.Text("uid"), choices.uid); !set.ok()) {
      return set.error();
    }
  }
  if (settings.Has("gid")) {
    if (Status set = SetId("--gid", settings.Text("gid"), choices.gid); !set.ok()) {
      return set.error();
    }
  }
  if (Status set = SetMode("--file-mode", settings.Text("file-mode"), choices.file_mode);
      !set.ok()) {
    return set.error();
  }
  if (Status set = SetMode("--dir-mode", settings.Text("dir-mode"), choices.directory_mode);
      !set.ok()) {
    return set.error();
  }
  return choices;
}

std::chrono::nanoseconds ValidMax(const MountChoices& choices) {
  constexpr std::chrono::seconds kUsual{60};
  constexpr std::chrono::hours kForEver{24 * 3650};
  if (IsDatasetUrl(choices.root) || !choices.metadata_ttl) return kUsual;
  if (*choices.metadata_ttl > kForEver) return kForEver;
  return std::max<std::chrono::nanoseconds>(*choices.metadata_ttl, kUsual);
}

}  // namespace forebay
