#include "app/state_dir.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/digest.h"
#include "control/files.h"

namespace forebay {
namespace {

constexpr const char* kShortDirectory = "/run/forebay";

}  // namespace

Result<std::string> StateDirectory(const Context& context) {
  if (!context.settings.Has("state-dir")) {
    return Error(Code::kInvalidArgument,
                 "--state-dir is missing, and there is no HOME to derive it from; name a "
                 "directory");
  }
  std::string path =
      std::filesystem::absolute(context.settings.Text("state-dir")).lexically_normal().string();
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

Address SocketAddress(const std::string& state, const std::string& name) {
  Result<Address> near = ParseAddress(fmt::format("unix:{}/{}.sock", state, name));
  if (near.ok()) return std::move(near).value();
  return ParseAddress(
             fmt::format("unix:{}/{}.sock", kShortDirectory, DigestOf(state + '/' + name).Hex()))
      .value();
}

Result<Address> PrepareSocketAddress(const std::string& state, const std::string& name) {
  Address address = SocketAddress(state, name);
  const bool near = address.unix_path.starts_with(state + '/');
  const Status made = MakePrivateDirectory(near ? state : kShortDirectory);
  if (made.ok()) return address;
  if (near) return Error(made.error()).Within("--state-dir");
  return Error(Code::kInvalidArgument,
               fmt::format("--state-dir \"{}\": too long for a unix socket, and {}; name a "
                           "shorter one",
                           state, made.error().message()));
}

}  // namespace forebay
