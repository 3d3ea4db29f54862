// forebay umount DIR [--lazy]
#include <fmt/format.h>

#include "app/output.h"
#include "app/verbs.h"
#include "mount/mount_point.h"

namespace forebay {

int RunUmountVerb(const Context& context) {
  const std::string& given = context.arguments.at(0);
  const Result<std::string> directory = MountPath(given);
  if (!directory.ok()) return WrongInput(context, directory.error());
  const std::optional<MountedAt> mounted = FindMount(directory.value());
  if (!mounted) {
    Complain(context, fmt::format("\"{}\": nothing is mounted there", given));
    return kExitFailed;
  }
  if (mounted->type != kMountType) {
    return WrongInput(
        context, {Code::kInvalidArgument,
                  fmt::format("\"{}\": a mount of type {}, not of forebay's; use umount(8)", given,
                              mounted->type)});
  }
  const bool lazy = context.settings.Switch("lazy");
  const Status unmounted =
      Unmount(directory.value(), lazy ? Unmounting::kDetach : Unmounting::kNow);
  if (unmounted.ok()) return kExitDone;
  if (unmounted.error().code() == Code::kOverloaded) {
    Complain(context, fmt::format("\"{0}\": files in it are open, or programs work in it: `fuser "
                                  "-vm {0}` shows which; end them, or add --lazy",
                                  given));
  } else {
    Complain(context, unmounted.error().message());
  }
  return kExitFailed;
}

}  // namespace forebay
