#include "app/mount_server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "app/mount_background.h"
#include "app/mount_daemon.h"
#include "app/mount_near.h"
#include "app/near_keeper.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/service_manager.h"
#include "app/verbs.h"
#include "app/version.h"
#include "app/worker_roles.h"
#include "base/log.h"
#include "base/wall_clock.h"
#include "mount/mount_point.h"
#include "mount/supervisor.h"

namespace forebay {
namespace {

// How far the kernel reads ahead. Source: measured, 128 KiB 1.4, 1 MiB 2.65, 4 MiB 2.9 GB/s.
constexpr std::uint32_t kReadAheadBytes = 4u << 20;

FilesystemOptions OptionsOf(const Context& context, const MountChoices& choices,
                            const std::string& directory) {
  return {.root = choices.root,
          .ownership = {.uid = choices.uid,
                        .gid = choices.gid,
                        .file_mode = choices.file_mode,
                        .directory_mode = choices.directory_mode,
                        .no_time_ns = WallClockNanoseconds()},
          .read_timeout = ReadTimeout(context),
          .valid_max = ValidMax(choices),
          .facts = {.version = std::string(kVersion),
                    .source = choices.source,
                    .root = choices.root,
                    .directory = directory,
                    .config = context.settings.Print(ShownFlags(context.verb))}};
}

int Failed(const Context& context, const Error& error) {
  Complain(context, error.message());
  return kExitFailed;
}

// Whether the kernel reads far ahead.
bool LengthenReadAhead(const Context& context, const std::string& device) {
  const Status ahead = SetReadAhead(device, kReadAheadBytes);
  if (!ahead.ok()) {
    Note(context, fmt::format("read-ahead stays short, and sequential reads slower: {}",
                              ahead.error().message()));
  }
  return ahead.ok();
}

// It serves: whoever waits for that is told.
void TellMounted(const Context& context, const MountChoices& choices, const MountedRoot& mounted) {
  static_cast<void>(
      WriteStdout(fmt::format("{}{} {}\n", kMounted, choices.source, mounted.directory)).ok());
  TellServiceManager(context, "READY=1");
  TurnMessages(context);
}

// Keeps a process that serves it. The exit code.
int Keep(const Context& context, Supervisor& supervisor, const MountChoices& choices,
         FuseConnection& connection, const MountedRoot& mounted) {
  // The files of whoever started this are not to be kept busy.
  if (chdir("/") != 0) Log(Level::kWarning, "chdir", {{"error", std::strerror(errno)}});
  const Supervisor::Ending ending = supervisor.Keep(
      {.what = "the mount's daemon",
       .body = [&](int beats) { return ServeMount(context, choices, mounted, beats); },
       .on_first_beat = [&] { TellMounted(context, choices, mounted); },
       .on_death = [&connection] { connection.Recover(); }});
  if (ending == Supervisor::Ending::kInOrder) return kExitDone;
  // Nobody serves it: what waits in it gets errors.
  const std::optional<MountedAt> still = FindMount(mounted.directory);
  if (still && still->device == mounted.device) {
    const Status unmounted = Unmount(mounted.directory, Unmounting::kAbort);
    if (!unmounted.ok()) return Failed(context, unmounted.error());
  }
  return ending == Supervisor::Ending::kAsked ? kExitDone : kExitFailed;
}

}  // namespace

int MountHere(const Context& context, const MountChoices& choices, const std::string& directory) {
  RaiseDescriptorLimit();  // The daemon's, too: each open file that is near takes one.
  Supervisor supervisor;
  const std::optional<int> tried =
      supervisor.RunOnce([&](int) { return TryMount(context, choices); });
  if (tried != kExitDone) return tried.value_or(kExitFailed);
  const Result<std::unique_ptr<NodeTable>> nodes = NodeTable::Create();
  if (!nodes.ok()) return Failed(context, nodes.error());
  Result<std::optional<NearSetup>> near = OwnNear(context, choices, directory);
  if (!near.ok() && context.settings.Has("near-memory")) return WrongInput(context, near.error());
  if (!near.ok()) {  // Nobody asked for it.
    Note(context, fmt::format("files are read without a near worker: {}", near.error().message()));
    near = std::optional<NearSetup>();
  }
  const std::string near_socket =
      near.value() ? near.value()->socket : SharedNearSocket(context, choices);
  // Before there is a mount, whose descriptors are nobody else's.
  std::optional<NearKeeper> keeper;
  if (near.value()) {
    Result<NearKeeper> started = NearKeeper::Start(context, choices, *near.value());
    // Files are read without it.
    if (!started.ok()) Note(context, started.error().message());
    if (started.ok()) keeper.emplace(std::move(started).value());
  }
  Result<UniqueFd> device = Mount({.directory = directory,
                                   .source = choices.source,
                                   .allow_other = choices.allow_other,
                                   .no_exec = choices.no_exec,
                                   .root_mode = choices.directory_mode});
  if (!device.ok()) return Failed(context, device.error());
  // No sooner: an automount's directory lets only processes of its manager's group in until
  // something is mounted there, and keeps all others waiting.
  if (choices.own_session) setsid();
  Result<FuseConnection> connection = FuseConnection::Settle(
      std::move(device).value(),
      {.may_resend = choices.may_resend,
       .may_pass_through = choices.may_pass_through && !near_socket.empty()});
  if (!connection.ok()) {
    static_cast<void>(Unmount(directory, Unmounting::kAbort).ok());  // What failed is said.
    return Failed(context, connection.error());
  }
  const std::optional<MountedAt> found = FindMount(directory);
  MountedRoot mounted{.connection = connection.value(),
                      .nodes = *nodes.value(),
                      .options = OptionsOf(context, choices, directory),
                      .directory = directory,
                      .device = found ? found->device : "",
                      .near_socket = near_socket};
  mounted.options.kernel_reads_ahead = LengthenReadAhead(context, mounted.device);
  return Keep(context, supervisor, choices, connection.value(), mounted);
}

}  // namespace forebay
