// forebay worker --name NAME --address ADDRESS --memory SIZE [--control URL | --members FILE]
#include <fmt/format.h>

#include <filesystem>

#include "app/control_client.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/service_manager.h"
#include "app/state_dir.h"
#include "app/tier_place.h"
#include "app/verbs.h"
#include "app/worker_roles.h"
#include "base/log.h"
#include "base/units.h"
#include "io/http_server.h"
#include "worker/stores.h"
#include "worker/worker.h"

namespace forebay {
namespace {

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

Status CheckRing(const Settings& settings) {
  for (const auto& [key, example] :
       {std::pair{"name", "w-0"}, {"address", "127.0.0.1:7400"}, {"memory", "2GiB"}}) {
    if (!settings.Has(key)) {
      return Invalid(fmt::format("--{0} is missing; write --{0} {1}", key, example));
    }
  }
  if (settings.Has("members") && settings.Has("control")) {
    return Invalid("--control and --members: a worker has one group; leave one of them out");
  }
  return {};
}

void ChooseTier(const Settings& settings, const std::string& state, WorkerOptions& options) {
  if (settings.Has("tier-dir")) {
    options.tier_directory =
        std::filesystem::absolute(settings.Text("tier-dir")).lexically_normal().string();
    if (options.tier_directory.ends_with('/')) options.tier_directory.pop_back();
    options.own_mount = false;
    return;
  }
  options.own_mount = MayMount();
  options.tier_directory = DefaultTierDirectory(state, options.name, options.own_mount);
}

// A fixed group.
Status TakeMembers(const Context& context, WorkerOptions& options) {
  Result<MembersFile> members = MembersOf(context);
  if (!members.ok()) return std::move(members).error();
  options.members = std::move(members).value();
  for (const std::string& url : options.members.allow) {
    const Result<Location> location = AllowedPrefix(url);
    if (!location.ok()) return Error(location.error()).Within("--members: allow");
  }
  return {};
}

Status TakeControl(const Settings& settings, const std::string& state, WorkerOptions& options) {
  constexpr std::uint64_t kLeast = 64u << 10;
  constexpr std::uint64_t kMost = 64u << 20;
  const std::string text =
      settings.Has("control") ? settings.Text("control") : SocketAddress(state, "control").text;
  Result<ControlAddress> control = ParseControlAddress(text);
  if (!control.ok()) return std::move(control).error().Within("--control");
  options.control = std::move(control).value();
  options.snapshot_directory = state + "/snapshots";
  const std::uint64_t size = settings.Size("block-size-max");
  if (size < kLeast || size > kMost || (size & (size - 1)) != 0) {
    return Invalid(fmt::format("--block-size-max \"{}\": write a power of two from 64KiB to 64MiB",
                               FormatSize(size)));
  }
  options.block_bytes_max = static_cast<std::uint32_t>(size);
  return {};
}

Result<WorkerOptions> OptionsOf(const Context& context, const std::string& state) {
  const Settings& settings = context.settings;
  WorkerOptions options;
  options.name = settings.Text("name");
  Result<Address> address = ParseAddress(settings.Text("address"));
  if (!address.ok()) return std::move(address).error().Within("--address");
  options.address = std::move(address).value();
  const Status group = settings.Has("members") ? TakeMembers(context, options)
                                               : TakeControl(settings, state, options);
  if (!group.ok()) return group.error();
  options.memory_bytes = settings.Size("memory");
  options.insecure = settings.Switch("insecure");
  options.environment = context.environment;
  const std::uint32_t block =
      options.control ? options.block_bytes_max : options.members.block_bytes;
  if (options.memory_bytes < block) {
    return Invalid(fmt::format("--memory \"{}\": below one block of {}; write at least that",
                               FormatSize(options.memory_bytes), FormatSize(block)));
  }
  const std::uint64_t machine = MachineMemoryBytes();
  if (options.memory_bytes > machine) {
    return Invalid(fmt::format("--memory \"{}\": this machine has {}; write less than that",
                               FormatSize(options.memory_bytes), FormatSize(machine)));
  }
  ChooseTier(settings, state, options);
  return options;
}

// A worker of the ring.
int RunRing(const Context& context) {
  Interrupts interrupts(std::chrono::milliseconds(0));
  if (const Status given = CheckRing(context.settings); !given.ok()) {
    return WrongInput(context, given.error());
  }
  const Result<std::string> state = StateDirectory(context);
  if (!state.ok()) return WrongInput(context, state.error());
  Result<WorkerOptions> options = OptionsOf(context, state.value());
  if (!options.ok()) return WrongInput(context, options.error());
  const Result<Address> http_address = HttpAddress(context, state.value());
  if (!http_address.ok()) {
    Complain(context, http_address.error().message());
    return ExitCodeOf(http_address.error());
  }
  RaiseDescriptorLimit();
  if (context.settings.Switch("quiet")) SetLogLevel(Level::kWarning);
  const std::string name = options.value().name;
  const std::string tier_directory = options.value().tier_directory;
  Result<std::unique_ptr<Worker>> worker = Worker::Start(std::move(options).value());
  if (!worker.ok()) {
    Complain(context, worker.error().message());
    return ExitCodeOf(worker.error());
  }
  Result<std::unique_ptr<HttpServer>> http = ServeWorkerHttp(http_address.value());
  if (!http.ok()) {
    Complain(context, http.error().message());
    return ExitCodeOf(http.error());
  }
  Log(Level::kInfo, "serving", {{"name", name}, {"http", http_address.value().text}});
  const Status joined = worker.value()->AwaitJoined(interrupts.token());
  if (!joined.ok() && joined.error().code() != Code::kCancelled) {
    Complain(context, joined.error().message());
    return kExitFailed;
  }
  if (joined.ok()) TellServiceManager(context, "READY=1");
  // That nobody listens to it does not keep a worker from serving.
  if (joined.ok()) {
    static_cast<void>(
        WriteStdout(fmt::format("ready {} {}\n", name, worker.value()->address().text)).ok());
  }
  interrupts.Wait();
  Log(Level::kInfo, "stopping", {{"name", name}});
  TellServiceManager(context, "STOPPING=1");
  worker.value()->Leave();
  worker.value().reset();
  if (!context.settings.Has("tier-dir")) RemoveDefaultTier(tier_directory);
  return kExitDone;
}

}  // namespace

int RunWorkerVerb(const Context& context) {
  const std::string& role = context.settings.Text("role");
  if (role == "ring") return RunRing(context);
  if (role == "near") return RunNearRole(context);
  return WrongInput(context, Invalid(fmt::format("--role \"{}\": write ring or near", role)));
}

}  // namespace forebay
