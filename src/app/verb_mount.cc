// forebay mount NAME|URL DIR [--foreground] [--near-memory SIZE] [-o OPTIONS]
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "app/interrupts.h"
#include "app/mount_background.h"
#include "app/mount_choices.h"
#include "app/mount_server.h"
#include "app/output.h"
#include "app/verbs.h"
#include "base/check.h"
#include "mount/mount_point.h"

namespace forebay {
namespace {

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

int Failed(const Context& context, const Error& error) {
  Complain(context, error.message());
  return kExitFailed;
}

// Names of files that mean the same in a process that works elsewhere.
Context WithFullPaths(Context context) {
  for (const char* const key : {"members", "state-dir", "log"}) {
    if (!context.settings.Has(key)) continue;
    const std::string full = std::filesystem::absolute(context.settings.Text(key)).string();
    CHECK(context.settings.Set(key, full).ok());
  }
  return context;
}

}  // namespace

int RunMountVerb(const Context& given_context) {
  const Context context = WithFullPaths(given_context);
  const Result<MountChoices> choices = MountChoicesOf(context, {geteuid(), getegid()});
  if (!choices.ok()) return WrongInput(context, choices.error());
  const std::string& given = context.arguments.at(1);
  const Result<std::string> directory = MountPath(given);
  if (!directory.ok()) return WrongInput(context, directory.error());
  if (const Status checked = CheckDirectory(given, directory.value()); !checked.ok()) {
    if (checked.error().code() == Code::kInvalidArgument) {
      return WrongInput(context, checked.error());
    }
    return Failed(context, checked.error());
  }
  if (choices.value().only_check) return kExitDone;
  if (context.settings.Switch("foreground")) {
    return MountHere(context, choices.value(), directory.value());
  }
  Interrupts interrupts(std::chrono::milliseconds(0));
  return MountInBackground(context, interrupts, directory.value());
}

}  // namespace forebay
