// The `forebay` command.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/cli.h"
#include "app/mount_helper.h"
#include "app/output.h"
#include "app/progress.h"
#include "base/check.h"
#include "io/http_call.h"

extern "C" char** environ;  // NOLINT: as POSIX names it.

namespace forebay {
namespace {

std::map<std::string, std::string> Environment() {
  std::map<std::string, std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return environment;
}

// `--config`, or FOREBAY_CONFIG, must exist; the default file need not.
Status LoadConfigFile(Settings& settings, const std::map<std::string, std::string>& environment) {
  std::string path = settings.Has("config") ? settings.Text("config") : "";
  const bool asked = !path.empty();
  if (!asked) {
    const auto home = environment.find("XDG_CONFIG_HOME");
    const auto user = environment.find("HOME");
    if (home != environment.end() && !home->second.empty()) {
      path = home->second + "/forebay/config.yaml";
    } else if (user != environment.end()) {
      path = user->second + "/.config/forebay/config.yaml";
    }
    std::error_code ignored;
    if (path.empty() || !std::filesystem::is_regular_file(path, ignored)) return {};
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Error(Code::kInvalidArgument,
                 fmt::format("--config \"{}\": cannot be read; name a YAML file", path));
  }
  constexpr std::size_t kBytesMax = 2u << 20;  // More than Settings takes.
  std::string text(kBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(kBytesMax));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return settings.LoadFile(text, path);
}

Status Configure(const Invocation& invocation, Context& context) {
  context.settings = DeclareSettings(context.environment, invocation.verb->defaults);
  context.lists = invocation.lists;
  Status status = context.settings.LoadEnvironment(context.environment);
  for (const auto& [key, value] : invocation.flags) {
    if (status.ok()) status = context.settings.Set(key, value);
  }
  if (status.ok()) status = LoadConfigFile(context.settings, context.environment);
  return status;
}

// A standard stream that was closed at start would be reused by the next file or socket, which
// messages would then be written into. Reading from it and writing results to it still fail.
void OpenStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      CHECK(open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) == fd);
    }
  }
}

// Flags of many verbs are checked here, whether or not this time the verb comes to need them.
Status CheckSharedFlags(const Verb& verb, const Context& context) {
  const auto takes = [&verb](std::string_view flag) {
    return std::ranges::find(verb.flags, flag) != verb.flags.end();
  };
  if (takes("progress")) {
    Status progress = CheckProgress(context);
    if (!progress.ok()) return progress;
  }
  if (takes("control") && context.settings.Has("control")) {
    const Result<HttpEndpoint> endpoint = ParseHttpEndpoint(context.settings.Text("control"));
    if (!endpoint.ok()) return Error(endpoint.error()).Within("--control");
  }
  return {};
}

int Main(const std::vector<std::string>& arguments) {
  Result<Invocation> invocation = InvocationOf(arguments);
  if (!invocation.ok()) {
    fmt::print(stderr, "{}\n", OneLine(invocation.error().message()));
    return kExitUsage;
  }
  if (invocation.value().verb == nullptr) {
    return WriteStdout(invocation.value().text).ok() ? kExitDone : kExitFailed;
  }
  const Verb& verb = *invocation.value().verb;
  Context context;
  context.verb = verb.name;
  context.words = arguments;
  context.arguments = invocation.value().arguments;
  context.environment = Environment();
  const Status configured = Configure(invocation.value(), context);
  if (!configured.ok()) {
    Complain(context, configured.error().message());
    return kExitUsage;
  }
  if (context.settings.Switch("print-config")) {
    return WriteStdout(context.settings.Print(ShownFlags(verb.name))).ok() ? kExitDone
                                                                           : kExitFailed;
  }
  const Status shared = CheckSharedFlags(verb, context);
  if (!shared.ok()) return WrongInput(context, shared.error());
  return verb.run(context);
}

int MountHelperMain(const std::vector<std::string>& arguments) {
  const Result<MountHelperCall> call = ParseMountHelper(arguments);
  const Status status = call.ok() ? AddEnvironment(call.value()) : Status(call.error());
  if (status.ok()) return MountHelperExitCode(Main(call.value().words));
  fmt::print(stderr, "{}\n", OneLine(status.error().message()));
  return MountHelperExitCode(kExitUsage);
}

}  // namespace
}  // namespace forebay

int main(int argc, char** argv) {
  forebay::OpenStandardStreams();
  // A reader that goes away is an error of the write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  if (argc > 0 && forebay::IsMountHelper(argv[0])) {
    return forebay::MountHelperMain({argv + 1, argv + argc});
  }
  return forebay::Main({argv + 1, argv + argc});
}
