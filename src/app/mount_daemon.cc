#include "app/mount_daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <utility>

#include "app/interrupts.h"
#include "app/mounted_totals.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/service_manager.h"
#include "base/log.h"
#include "client/dataset_url.h"
#include "mount/mount_point.h"
#include "mount/pulse.h"
#include "mount/refresh_watch.h"
#include "mount/session.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

// Of malloc(3). Its usual 8 a core each keep buffers that were of other threads: 100 readers then
// need 65 to 86 MiB, with two 60 to 69.
constexpr int kArenasMax = 2;
// How long files that are open are served on after a signal.
constexpr std::chrono::seconds kDrainTimeout = 10s;

Status CheckRoot(Client& client, const Context& context, const MountChoices& choices,
                 const Interrupts& interrupts) {
  const Result<Looked> root =
      client.LookUp(choices.root, ReadDeadline(context), interrupts.token());
  if (!root.ok()) return Error(root.error()).Within(choices.source);
  if (root.value().attributes.type == FileType::kDirectory) return {};
  return Error(Code::kInvalidArgument,
               fmt::format("\"{}\": a file; name a directory", choices.source));
}

// `options` with what this process alone can have.
FilesystemOptions WithTotals(const Context& context, const MountChoices& choices,
                             FilesystemOptions options) {
  if (auto totals = MountedTotals::Create(context, choices.root)) {
    options.totals = [totals](std::stop_token stop) { return totals->Find(std::move(stop)); };
  }
  return options;
}

// Only a dataset can be refreshed: null of anything else.
std::unique_ptr<RefreshWatch> WatchRefreshes(const MountChoices& choices, Client& client,
                                             Filesystem& filesystem,
                                             const FuseConnection& connection) {
  if (!IsDatasetUrl(choices.root)) return nullptr;
  const std::shared_ptr<KernelChannel> channel = connection.channels().front();
  return std::make_unique<RefreshWatch>(RefreshWatch::Care{
      .ask = [&client, url = choices.root](
                 Deadline deadline,
                 std::stop_token stop) { return client.Generation(url, deadline, stop); },
      .is_idle = [&filesystem] { return !filesystem.keeps_names(); },
      .forget = [&filesystem, channel,
                 all_at_once =
                     choices.may_resend] { filesystem.ForgetNames(*channel, all_at_once); }});
}

// Takes the mount off, and serves on what is open, for a while.
void End(const std::string& directory, const std::string& device, Session& session) {
  const std::optional<MountedAt> mounted = FindMount(directory);
  if (mounted && mounted->device == device) {
    Status unmounted = Unmount(directory, Unmounting::kNow);
    if (!unmounted.ok() && unmounted.error().code() == Code::kOverloaded) {
      Log(Level::kWarning, "files are open; they are served on for a while",
          {{"directory", directory}, {"seconds", kDrainTimeout.count()}});
      unmounted = Unmount(directory, Unmounting::kDetach);
    }
    if (!unmounted.ok()) {
      Log(Level::kError, "cannot unmount", {{"error", unmounted.error().message()}});
    }
  }
  if (session.Wait(Clock::now() + kDrainTimeout, {})) return;
  // Threads that wait for the kernel cannot be woken; with the process the kernel ends the mount.
  Log(Level::kWarning, "stopped with files open: they get errors", {{"directory", directory}});
  _exit(kExitDone);
}

}  // namespace

void TurnMessages(const Context& context) {
  if (!context.settings.Has("log")) return;
  constexpr mode_t kPrivate = 0600;
  const UniqueFd log(open(context.settings.Text("log").c_str(),
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kPrivate));
  if (log) dup2(log.get(), STDERR_FILENO);
}

int TryMount(const Context& context, const MountChoices& choices) {
  const Interrupts interrupts(std::chrono::milliseconds(0));
  const Result<std::unique_ptr<Client>> client = ConnectPool(context, std::array{choices.root});
  if (!client.ok()) return WrongInput(context, client.error());
  return Ended(context, interrupts, CheckRoot(*client.value(), context, choices, interrupts));
}

int ServeMount(const Context& context, const MountChoices& choices, const MountedRoot& mounted,
               int beats) {
  mallopt(M_ARENA_MAX, kArenasMax);
  const Interrupts interrupts(std::chrono::milliseconds(0));
  const Result<std::unique_ptr<Client>> client =
      ConnectPool(context, std::array{choices.root}, mounted.near_socket);
  if (!client.ok()) return WrongInput(context, client.error());
  const FuseConnection& connection = mounted.connection;
  Filesystem filesystem(*client.value(), mounted.nodes,
                        WithTotals(context, choices, mounted.options),
                        connection.can_pass_through() ? connection.channels().front() : nullptr);
  const std::unique_ptr<Session> session = Session::Start(connection.channels(), filesystem);
  const auto watch = WatchRefreshes(choices, *client.value(), filesystem, connection);
  const Pulse pulse(beats, [&session] { return session->IsTurning(); });
  TurnMessages(context);
  if (!session->Wait(Clock::time_point::max(), interrupts.token())) {
    TellServiceManager(context, "STOPPING=1");
    End(mounted.directory, mounted.device, *session);
  }
  return kExitDone;
}

}  // namespace forebay
