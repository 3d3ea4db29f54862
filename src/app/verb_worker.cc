// forebay worker --name NAME --address ADDRESS --memory SIZE [--control URL | --members FILE]
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/interrupts.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/service_manager.h"
#include "app/state_dir.h"
#include "app/tier_place.h"
#include "app/verbs.h"
#include "app/version.h"
#include "base/check.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/units.h"
#include "io/http_server.h"
#include "worker/stores.h"
#include "worker/worker.h"

namespace forebay {
namespace {

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// Thousands of readers need as many descriptors; the soft limit is low only for old programs' sake.
void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Result<Address> HttpAddress(const Context& context, const std::string& state) {
  const Settings& settings = context.settings;
  if (!settings.Has("http")) return PrepareSocketAddress(state, settings.Text("name"));
  Result<Address> address = ParseAddress(settings.Text("http"));
  if (!address.ok()) return std::move(address).error().Within("--http");
  if (!address.value().is_local() && !settings.Switch("insecure")) {
    return Invalid(
        fmt::format("--http \"{}\": beyond loopback everybody can read it; add "
                    "--insecure if the network is private, or listen on 127.0.0.1",
                    address.value().text));
  }
  return address;
}

std::uint64_t MachineMemoryBytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  CHECK(pages > 0 && page_bytes > 0);
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
}

Status CheckGiven(const Settings& settings) {
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
  options.tier_directory = options.own_mount
                               ? fmt::format("{}/{}/tier", state, options.name)
                               : fmt::format("/dev/shm/forebay-{}/{}", geteuid(), options.name);
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

// The directories of the default tier, also those that a crashed predecessor made. Those that hold
// anything stay.
void RemoveDefaultTier(const std::string& directory) {
  rmdir(directory.c_str());
  rmdir(std::filesystem::path(directory).parent_path().c_str());
}

HttpReply Answer(const HttpQuestion& question) {
  if (question.path == "/healthz") return {.body = "ok\n"};
  if (question.path == "/metrics") {
    return {.body = Metrics().Text(), .content_type = "text/plain; version=0.0.4; charset=utf-8"};
  }
  return {.status = 404, .body = "there is /metrics and /healthz\n"};
}

int ExitCodeOf(const Error& error) {
  return error.code() == Code::kInvalidArgument ? kExitUsage : kExitFailed;
}

}  // namespace

int RunWorkerVerb(const Context& context) {
  Interrupts interrupts(std::chrono::milliseconds(0));
  if (const Status given = CheckGiven(context.settings); !given.ok()) {
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
  Result<std::unique_ptr<HttpServer>> http = HttpServer::Start(http_address.value(), {}, Answer);
  if (!http.ok()) {
    Complain(context, "--http: " + http.error().message());
    return ExitCodeOf(http.error());
  }
  Metrics().SetGauge("forebay_build_info", "The version of this process.",
                     {{"version", std::string(kVersion)}}, [] { return 1.0; });
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

}  // namespace forebay
