// forebay mount NAME|URL DIR [--foreground] [-o OPTIONS]
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "app/interrupts.h"
#include "app/mount_background.h"
#include "app/mount_choices.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/service_manager.h"
#include "app/verbs.h"
#include "base/log.h"
#include "base/wall_clock.h"
#include "mount/mount_point.h"
#include "mount/session.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

// How far the kernel reads ahead. Source: measured, 128 KiB 1.4, 1 MiB 2.65, 4 MiB 2.9 GB/s.
constexpr std::uint32_t kReadAheadBytes = 4u << 20;
// How long files that are open are served on after a signal.
constexpr std::chrono::seconds kDrainTimeout = 10s;

Status CheckDirectory(const std::string& given, const std::string& directory) {
  const std::optional<MountedAt> mounted = FindMount(directory);
  if (mounted && mounted->type == kMountType) {
    return Error(Code::kOverloaded, fmt::format("\"{}\": {} is mounted there; `forebay umount` it "
                                                "first, or name another directory",
                                                given, mounted->source));
  }
  struct stat status = {};
  if (stat(directory.c_str(), &status) != 0) {
    const int code = errno;
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": {}; name an existing directory", given, std::strerror(code)));
  }
  if (!S_ISDIR(status.st_mode)) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": not a directory; name an existing directory", given));
  }
  return {};
}

// From now on messages go to --log, if there is one.
void TurnMessages(const Context& context) {
  if (!context.settings.Has("log")) return;
  constexpr mode_t kPrivate = 0600;
  const UniqueFd log(open(context.settings.Text("log").c_str(),
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kPrivate));
  if (log) dup2(log.get(), STDERR_FILENO);
}

Status CheckRoot(Client& client, const Context& context, const MountChoices& choices,
                 const Interrupts& interrupts) {
  const Result<Looked> root =
      client.LookUp(choices.root, ReadDeadline(context), interrupts.token());
  if (!root.ok()) return Error(root.error()).Within(choices.source);
  if (root.value().attributes.type == FileType::kDirectory) return {};
  return Error(Code::kInvalidArgument,
               fmt::format("\"{}\": a file; name a directory", choices.source));
}

FilesystemOptions OptionsOf(const Context& context, const MountChoices& choices) {
  return {.root = choices.root,
          .ownership = {.uid = choices.uid,
                        .gid = choices.gid,
                        .file_mode = choices.file_mode,
                        .directory_mode = choices.directory_mode,
                        .no_time_ns = WallClockNanoseconds()},
          .read_timeout = ReadTimeout(context)};
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

int ServeMount(const Context& context, Interrupts& interrupts, const MountChoices& choices,
               const std::string& directory) {
  const Result<std::unique_ptr<Client>> client = ConnectPool(context, std::array{choices.root});
  if (!client.ok()) return WrongInput(context, client.error());
  const Status is_there = CheckRoot(*client.value(), context, choices, interrupts);
  if (!is_there.ok()) return Ended(context, interrupts, is_there);
  Filesystem filesystem(*client.value(), OptionsOf(context, choices));
  Result<UniqueFd> device = Mount({.directory = directory,
                                   .source = choices.source,
                                   .allow_other = choices.allow_other,
                                   .root_mode = choices.directory_mode});
  if (!device.ok()) return Ended(context, interrupts, device.error());
  const Result<std::unique_ptr<Session>> session =
      Session::Start(std::move(device).value(), filesystem);
  if (!session.ok()) {
    static_cast<void>(Unmount(directory, Unmounting::kAbort).ok());  // What failed is said.
    return Ended(context, interrupts, session.error());
  }
  const std::optional<MountedAt> mounted = FindMount(directory);
  const std::string device_number = mounted ? mounted->device : "";
  const Status ahead = SetReadAhead(device_number, kReadAheadBytes);
  if (!ahead.ok()) {
    Note(context, fmt::format("read-ahead stays short, and sequential reads slower: {}",
                              ahead.error().message()));
  }
  // The files of whoever started this are not to be kept busy.
  if (chdir("/") != 0) Log(Level::kWarning, "chdir", {{"error", std::strerror(errno)}});
  static_cast<void>(
      WriteStdout(fmt::format("{}{} {}\n", kMounted, choices.source, directory)).ok());
  TellServiceManager(context, "READY=1");
  TurnMessages(context);
  if (!session.value()->Wait(Clock::time_point::max(), interrupts.token())) {
    TellServiceManager(context, "STOPPING=1");
    End(directory, device_number, *session.value());
  }
  return kExitDone;
}

}  // namespace

int RunMountVerb(const Context& context) {
  Interrupts interrupts(std::chrono::milliseconds(0));
  const Result<MountChoices> choices = MountChoicesOf(context, {geteuid(), getegid()});
  if (!choices.ok()) return WrongInput(context, choices.error());
  const std::string& given = context.arguments.at(1);
  const Result<std::string> directory = MountPath(given);
  if (!directory.ok()) return WrongInput(context, directory.error());
  if (const Status checked = CheckDirectory(given, directory.value()); !checked.ok()) {
    if (checked.error().code() == Code::kInvalidArgument) {
      return WrongInput(context, checked.error());
    }
    return Ended(context, interrupts, checked);
  }
  if (context.settings.Switch("foreground")) {
    return ServeMount(context, interrupts, choices.value(), directory.value());
  }
  return MountInBackground(context, interrupts, directory.value());
}

}  // namespace forebay
