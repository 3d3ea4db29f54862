#include "app/near_setup.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "app/interrupts.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/state_dir.h"
#include "app/tier_place.h"
#include "base/units.h"
#include "mount/pulse.h"
#include "near/near_worker.h"
#include "wire/near_messages.h"

namespace forebay {
namespace {

// The other half of this process's descriptors is for connections.
std::size_t FilesMax() {
  rlimit limit = {};
  constexpr std::size_t kUsual = 512;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur / 2 : kUsual;
}

// Makes it if it is not there.
bool IsOurs(const std::string& directory) {
  mkdir(directory.c_str(), S_IRWXU);
  struct stat status = {};
  return lstat(directory.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

// A predecessor may be on its way out.
Result<std::unique_ptr<NearWorker>> StartNear(Client& client, const NearSetup& setup,
                                              const std::stop_token& stop) {
  constexpr std::chrono::seconds kPatience{15};
  constexpr int kPollMilliseconds = 20;
  const NearWorkerOptions options{.socket = setup.socket,
                                  .tier = {.directory = setup.tier_directory,
                                           .own_mount = setup.own_mount,
                                           .quota_bytes = setup.memory_bytes,
                                           .files_max = FilesMax(),
                                           .chunk_bytes = kNearChunkBytes}};
  const Deadline until = Clock::now() + kPatience;
  while (true) {
    Result<std::unique_ptr<NearWorker>> near = NearWorker::Start(client, options);
    const bool is_in_use = !near.ok() && near.error().code() == Code::kUnavailable;
    if (!is_in_use || stop.stop_requested() || Clock::now() >= until) return near;
    poll(nullptr, 0, kPollMilliseconds);
  }
}

}  // namespace

Result<NearSetup> NearSetupOf(const Context& context, const std::string& name,
                              const std::string& flag, std::uint64_t memory_bytes) {
  if (memory_bytes < kNearChunkBytes) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} \"{}\": a near worker keeps {} at a time; write at least that",
                             flag, FormatSize(memory_bytes), FormatSize(kNearChunkBytes)));
  }
  const std::uint64_t machine = MachineMemoryBytes();
  if (memory_bytes > machine) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} \"{}\": this machine has {}; write less than that", flag,
                             FormatSize(memory_bytes), FormatSize(machine)));
  }
  const Result<std::string> state = StateDirectory(context);
  if (!state.ok()) return state.error();
  const Result<Address> socket = PrepareSocketAddress(state.value(), name);
  if (!socket.ok()) return socket.error();
  NearSetup setup{.name = name,
                  .socket = socket.value().unix_path,
                  .tier_directory = "",
                  .own_mount = false,
                  .memory_bytes = memory_bytes};
  if (context.settings.Has("tier-dir")) {
    setup.tier_directory =
        std::filesystem::absolute(context.settings.Text("tier-dir")).lexically_normal().string();
    if (setup.tier_directory.ends_with('/')) setup.tier_directory.pop_back();
  } else {
    setup.own_mount = MayMount();
    setup.tier_directory = DefaultTierDirectory(state.value(), name, setup.own_mount);
    // In /dev/shm anybody may have made it before us, to put files of theirs there.
    const std::string parent = std::filesystem::path(setup.tier_directory).parent_path().string();
    if (!setup.own_mount && !IsOurs(parent)) {
      return Error(
          Code::kDenied,
          fmt::format("\"{}\": not this user's alone, so a tier cannot be there; remove it",
                      parent));
    }
  }
  return setup;
}

int ServeNear(const Context& context, std::span<const std::string> urls, const NearSetup& setup,
              const std::function<void()>& on_ready, std::optional<int> beats) {
  Interrupts interrupts(std::chrono::milliseconds(0));
  // Whoever opens a file of ours while it is asked who has it open.
  signal(SIGIO, SIG_IGN);
  const std::string any_dataset = "forebay://any/";
  const bool of_group = urls.empty() && !context.settings.Has("members");
  const Result<std::unique_ptr<Client>> client =
      ConnectPool(context, of_group ? std::span(&any_dataset, 1) : urls);
  if (!client.ok()) return WrongInput(context, client.error());
  // Starting waits for a predecessor, and ending for a file that is being verified: no hang.
  std::optional<Pulse> pulse;
  const auto beat = [&](std::function<bool()> is_alive) {
    if (beats) pulse.emplace(*beats, std::move(is_alive));
  };
  beat([] { return true; });
  Result<std::unique_ptr<NearWorker>> near = StartNear(*client.value(), setup, interrupts.token());
  if (!near.ok()) {
    Complain(context, near.error().message());
    return near.error().code() == Code::kInvalidArgument ? kExitUsage : kExitFailed;
  }
  beat([&near = *near.value()] { return near.IsTurning(); });
  on_ready();
  interrupts.Wait();
  beat([] { return true; });
  near.value().reset();
  if (!context.settings.Has("tier-dir")) RemoveDefaultTier(setup.tier_directory);
  return kExitDone;
}

}  // namespace forebay
