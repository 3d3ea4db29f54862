#include "app/group_setup.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/state_dir.h"
#include "app/tier_place.h"
#include "app/version.h"
#include "base/digest.h"
#include "base/units.h"
#include "store/memory_tier.h"

namespace forebay {
namespace {

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// MemAvailable of /proc/meminfo, in bytes; nothing if it does not say.
std::optional<std::uint64_t> AvailableMemory() {
  std::ifstream file("/proc/meminfo");
  constexpr std::string_view kKey = "MemAvailable:";
  constexpr std::uint64_t kUnit = 1024;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kKey)) return std::stoull(line.substr(kKey.size())) * kUnit;
  }
  return std::nullopt;
}

// Workers that may mount have a tmpfs each. Others share /dev/shm, below a name that no other state
// directory has.
std::string TierOf(const std::string& state, const std::string& name) {
  if (MayMount()) return fmt::format("{}/{}/tier", state, name);
  constexpr std::size_t kDigits = 12;
  return fmt::format("/dev/shm/forebay-{}/{}-{}", geteuid(),
                     DigestOf(state).Hex().substr(0, kDigits), name);
}

std::string WorkersDirectory(const std::string& state) {
  return state + "/workers";
}

std::vector<std::string> WorkerArguments(const ControlOptions& options, const Settings& settings,
                                         const std::string& name) {
  std::vector<std::string> arguments = {"worker",
                                        "--name",
                                        name,
                                        "--state-dir",
                                        options.state_dir,
                                        "--control",
                                        options.unix_address.text,
                                        "--memory",
                                        std::to_string(settings.Size("memory-per-worker")),
                                        "--block-size-max",
                                        std::to_string(options.block_bytes_max)};
  if (options.listen) {
    arguments.insert(arguments.end(), {"--address", options.listen->host + ":0"});
    if (settings.Switch("insecure")) arguments.emplace_back("--insecure");
  } else {
    arguments.insert(arguments.end(),
                     {"--address", SocketAddress(WorkersDirectory(options.state_dir), name).text});
  }
  if (!MayMount()) {
    const std::string tier = TierOf(options.state_dir, name);
    std::error_code ignored;
    std::filesystem::create_directories(tier, ignored);  // The worker says what is wrong with it.
    arguments.insert(arguments.end(), {"--tier-dir", tier});
  }
  return arguments;
}

// Its tier, and the sockets of one that was killed.
Status RemoveLeftovers(const std::string& state, const std::string& name) {
  for (const std::string& directory : {state, WorkersDirectory(state)}) {
    unlink(SocketAddress(directory, name).unix_path.c_str());
  }
  const std::string tier = TierOf(state, name);
  Status removed = RemoveTier(tier);
  if (!removed.ok()) return removed;
  rmdir(tier.c_str());
  rmdir(std::filesystem::path(tier).parent_path().c_str());
  return {};
}

}  // namespace

Result<ControlOptions> ControlOptionsOf(const Context& context) {
  const Settings& settings = context.settings;
  const Result<std::string> state = StateDirectory(context);
  if (!state.ok()) return state.error();
  ControlOptions options;
  options.state_dir = state.value();
  options.unix_address = SocketAddress(options.state_dir, "control");
  options.executable = "/proc/self/exe";
  options.version = std::string(kVersion);
  for (const auto& [key, value] : context.environment) {
    // What is meant for this process is not meant for its workers: they are told by flags.
    if (!key.starts_with("FOREBAY_") && key != "NOTIFY_SOCKET") options.environment[key] = value;
  }
  constexpr std::uint64_t kWorkersMax = 1024;
  const std::uint64_t workers = settings.Count("workers");
  if (workers > kWorkersMax) {
    return Invalid(fmt::format("--workers \"{}\": at most {} on one host", workers, kWorkersMax));
  }
  options.workers = static_cast<std::uint32_t>(workers);
  const std::uint64_t block = settings.Size("block-size-max");
  constexpr std::uint64_t kBlockMin = 64u << 10;
  constexpr std::uint64_t kBlockMax = 64u << 20;
  if (block < kBlockMin || block > kBlockMax || (block & (block - 1)) != 0) {
    return Invalid(fmt::format("--block-size-max \"{}\": write a power of two from 64KiB to 64MiB",
                               FormatSize(block)));
  }
  options.block_bytes_max = static_cast<std::uint32_t>(block);
  if (settings.Has("listen")) {
    Result<Address> address = ParseAddress(settings.Text("listen"));
    if (!address.ok()) return std::move(address).error().Within("--listen");
    if (address.value().is_unix()) {
      return Invalid(
          fmt::format("--listen \"{}\": a unix socket is there anyway, in --state-dir; "
                      "write HOST:PORT",
                      address.value().text));
    }
    if (!address.value().is_local() && !settings.Switch("insecure")) {
      return Invalid(
          fmt::format("--listen \"{}\": beyond loopback nobody is authenticated and "
                      "nothing encrypted yet; add --insecure if the network is private",
                      address.value().text));
    }
    options.listen = std::move(address).value();
  }
  options.worker_arguments = [options, settings](const std::string& name) {
    return WorkerArguments(options, settings, name);
  };
  options.remove_leftovers = [dir = options.state_dir](const std::string& name) {
    return RemoveLeftovers(dir, name);
  };
  return options;
}

Status CheckMemory(std::uint64_t workers, std::uint64_t memory_bytes) {
  const std::uint64_t wanted = workers * memory_bytes;
  const std::string what = fmt::format("--memory-per-worker \"{}\": {} workers would take {}",
                                       FormatSize(memory_bytes), workers, FormatSize(wanted));
  if (const auto available = AvailableMemory(); available && wanted > *available) {
    return Invalid(fmt::format("{}, and this host has {} available; write less, or fewer --workers",
                               what, FormatSize(*available)));
  }
  struct statvfs shm = {};
  if (!MayMount() && statvfs("/dev/shm", &shm) == 0) {
    const std::uint64_t free = std::uint64_t{shm.f_bavail} * shm.f_frsize;
    if (wanted > free) {
      return Invalid(
          fmt::format("{}, and /dev/shm has {} free; write less, make it larger, or run "
                      "as root, who mounts an own tmpfs",
                      what, FormatSize(free)));
    }
  }
  return {};
}

}  // namespace forebay
