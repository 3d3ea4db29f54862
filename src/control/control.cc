#include "control/control.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>

#include "base/log.h"
#include "base/metrics.h"
#include "control/api.h"
#include "control/files.h"
#include "control/launcher.h"
#include "core/group_plan.h"

namespace forebay {
namespace {

constexpr std::chrono::milliseconds kStepEvery{100};
// Of changes of datasets only.
constexpr std::chrono::milliseconds kGroupFileEvery{1000};
constexpr std::chrono::milliseconds kNudgeTimeout{500};
constexpr std::chrono::milliseconds kDrainPoll{20};
constexpr std::chrono::seconds kKillWait{5};
constexpr std::size_t kLongPollsMax = 2048;
constexpr std::size_t kBodyBytesMax = 16u << 20;  // A worker's map and figures of 10,000 datasets.
constexpr std::size_t kGroupFileBytesMax = 64u << 20;

// Held as long as a control lives; the kernel lets go of it with the process.
Result<UniqueFd> LockStateDir(const std::string& state_dir) {
  Status made = MakePrivateDirectory(state_dir);
  if (!made.ok()) return std::move(made).error().Within("--state-dir");
  const std::string path = state_dir + "/control.lock";
  constexpr mode_t kPrivate = 0600;
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kPrivate));
  if (fd.get() < 0) {
    return Error(Code::kDenied, fmt::format("--state-dir \"{}\": cannot be written: {}; name a "
                                            "directory of this user's own",
                                            state_dir, strerror(errno)));
  }
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
    // Who holds it, for `up --detach`: a full disk takes nothing of the lock itself.
    const std::string holder = fmt::format("{}\n", getpid());
    static_cast<void>(ftruncate(fd.get(), 0) == 0 &&
                      pwrite(fd.get(), holder.data(), holder.size(), 0) > 0);
    return fd;
  }
  return Error(Code::kUnavailable,
               fmt::format("--state-dir \"{}\": a group runs there already; `forebay status` shows "
                           "it, `forebay down` ends it, another --state-dir starts another one",
                           state_dir));
}

void Pause(std::chrono::milliseconds time) {
  poll(nullptr, 0, static_cast<int>(time.count()));
}

ProcessLauncherOptions LauncherOptionsOf(const ControlOptions& options) {
  return {.executable = options.executable,
          .directory = options.state_dir + "/workers",
          .arguments = options.worker_arguments,
          .environment = options.environment};
}

// Asks everything to end, highest ordinals first, and sees to it. Removes what they leave behind.
void DrainLauncher(Launcher& launcher, const ControlOptions& options, Deadline deadline) {
  std::vector<LaunchedProcess> processes = launcher.Observe();
  for (auto at = processes.rbegin(); at != processes.rend(); ++at) launcher.Stop(at->name);
  const auto runs = [&launcher] {
    const std::vector<LaunchedProcess> now = launcher.Observe();
    return std::ranges::any_of(now, &LaunchedProcess::running);
  };
  while (runs() && Clock::now() < deadline) Pause(kDrainPoll);
  for (const LaunchedProcess& process : launcher.Observe()) {
    if (!process.running) continue;
    Log(Level::kWarning, "worker did not end in time and is killed", {{"name", process.name}});
    launcher.Kill(process.name);
  }
  const Deadline killed_by = Clock::now() + kKillWait;
  while (runs() && Clock::now() < killed_by) Pause(kDrainPoll);
  for (const LaunchedProcess& process : launcher.Observe()) {
    const Status removed = options.remove_leftovers(process.name);
    if (!removed.ok()) {
      Log(Level::kWarning, "tier not removed", {{"error", removed.error().message()}});
    }
    launcher.Forget(process.name);
  }
}

void RemoveRuntimeFiles(const std::string& state_dir) {
  unlink((state_dir + "/group.json").c_str());
}

}  // namespace

// In the order of dependence: each part is destroyed before what it uses.
struct Control::State {
  explicit State(ControlOptions given) : options(std::move(given)) {}

  ControlOptions options;
  GroupFacts facts;
  UniqueFd lock;
  std::unique_ptr<Registry> registry;
  std::unique_ptr<EventLog> events;
  std::unique_ptr<DatasetTable> datasets;
  std::unique_ptr<ProcessLauncher> launcher;
  std::unique_ptr<Members> members;
  std::unique_ptr<Pool> pool;
  std::unique_ptr<SnapshotFiles> snapshots;
  std::unique_ptr<Inventory> inventory;
  std::unique_ptr<Loads> loads;
  std::atomic<std::uint32_t> desired = 0;
  std::atomic<bool> shutdown_requested = false;
  std::atomic<Deadline> round_ended = Clock::now();
  std::stop_source stop;
  std::unique_ptr<Api> api;
  std::unique_ptr<HttpServer> unix_server;
  std::unique_ptr<HttpServer> tcp_server;
  std::optional<Address> listen_address;

  Mutex mutex;  // Held for a whole round: Drain ends the rounds.
  bool draining GUARDED_BY(mutex) = false;
  std::map<std::string, ObservedProcess> processes GUARDED_BY(mutex);
  std::set<std::string> failed_starts GUARDED_BY(mutex);
  std::shared_ptr<const GroupMap> written_map GUARDED_BY(mutex);
  std::uint64_t written_generation GUARDED_BY(mutex) = 0;
  Deadline group_file_not_before GUARDED_BY(mutex) = Deadline::min();
  TaskGroup loop;  // Last: joined first.

  ~State() {
    stop.request_stop();
    loop.StopAndJoin();
    unix_server.reset();
    tcp_server.reset();
  }

  Status OpenParts();
  Status OpenServers();
  void Run(const std::stop_token& token) EXCLUDES(mutex);
  void Round() EXCLUDES(mutex);
  void ObserveProcesses() REQUIRES(mutex);
  void ApplyPlan() REQUIRES(mutex);
  void TellTransitions(const Members::Stepped& stepped);
  void WriteGroupFile(const Members::Stepped& stepped) REQUIRES(mutex);
  void AdoptGroupFile();
  void Tell(bool warning, const std::string& reason, const std::string& worker,
            const std::string& message);
};

Status Control::State::OpenParts() {
  Result<UniqueFd> locked = LockStateDir(options.state_dir);
  if (!locked.ok()) return std::move(locked).error();
  lock = std::move(locked).value();
  Result<std::unique_ptr<Registry>> opened = OpenSqliteRegistry(options.state_dir + "/registry.db");
  if (!opened.ok()) return std::move(opened).error();
  registry = std::move(opened).value();
  const Result<std::uint32_t> generation = registry->NextGeneration();
  if (!generation.ok()) return generation.error();
  events = std::make_unique<EventLog>(*registry);
  Result<std::unique_ptr<DatasetTable>> stored =
      DatasetTable::Open(*registry, options.state_dir + "/secrets", options.environment);
  if (!stored.ok()) return std::move(stored).error();
  datasets = std::move(stored).value();
  Result<std::unique_ptr<ProcessLauncher>> launched =
      ProcessLauncher::Create(LauncherOptionsOf(options));
  if (!launched.ok()) return std::move(launched).error();
  launcher = std::move(launched).value();
  MembershipOptions membership;
  // The first control of a group has nothing to learn.
  if (generation.value() == 1) membership.learning = std::chrono::milliseconds(0);
  members = std::make_unique<Members>(membership, generation.value());
  pool = std::make_unique<Pool>(*members, *datasets, options.environment);
  snapshots = std::make_unique<SnapshotFiles>(options.state_dir + "/snapshots");
  inventory = std::make_unique<Inventory>(*pool, *datasets, *snapshots, *events);
  Result<std::unique_ptr<Loads>> loading =
      Loads::Open({*registry, *datasets, *inventory, *pool, *events});
  if (!loading.ok()) return std::move(loading).error();
  loads = std::move(loading).value();
  return {};
}

Status Control::State::OpenServers() {
  api = std::make_unique<Api>(Api::Parts{*datasets, *members, *inventory, *loads, *pool, *events,
                                         *registry, facts, desired, shutdown_requested, round_ended,
                                         stop.get_token()});
  const auto answer = [this](const HttpQuestion& question) { return api->Answer(question); };
  const HttpServerOptions http{.threads_max = kLongPollsMax, .body_bytes_max = kBodyBytesMax};
  Result<std::unique_ptr<HttpServer>> near = HttpServer::Start(options.unix_address, http, answer);
  if (!near.ok()) return std::move(near).error().Within("--state-dir");
  unix_server = std::move(near).value();
  if (!options.listen) return {};
  Result<std::unique_ptr<HttpServer>> far = HttpServer::Start(*options.listen, http, answer);
  if (!far.ok()) return std::move(far).error().Within("--listen");
  tcp_server = std::move(far).value();
  listen_address = tcp_server->address();
  return {};
}

Result<std::unique_ptr<Control>> Control::Start(ControlOptions options) {
  auto state = std::make_unique<State>(std::move(options));
  state->facts = {.name = state->options.group,
                  .version = state->options.version,
                  .block_bytes_max = state->options.block_bytes_max};
  state->desired = state->options.workers;
  Status opened = state->OpenParts();
  if (!opened.ok()) return std::move(opened).error();
  state->AdoptGroupFile();
  opened = state->OpenServers();
  if (!opened.ok()) return std::move(opened).error();
  state->loop.Run("control", [raw = state.get()](std::stop_token token) { raw->Run(token); });
  return std::unique_ptr<Control>(new Control(std::move(state)));
}

void Control::State::Run(const std::stop_token& token) {
  while (!token.stop_requested()) {
    Round();
    round_ended = Clock::now();
    members->AwaitStep(Clock::now() + kStepEvery);
  }
}

// Observe, plan, apply.
void Control::State::Round() {
  MutexLock lock_round(mutex);
  if (draining) return;
  ObserveProcesses();
  const Members::Stepped stepped = members->Step();
  WriteGroupFile(stepped);
  members->Publish(stepped);
  TellTransitions(stepped);
  if (!stepped.transitions.empty()) inventory->MembersChanged();
  if (stepped.map_changed) pool->Refresh(Clock::now() + kNudgeTimeout, stop.get_token());
  ApplyPlan();
}

void Control::State::ObserveProcesses() {
  const Deadline now = Clock::now();
  std::set<std::string> seen;
  for (const LaunchedProcess& process : launcher->Observe()) {
    seen.insert(process.name);
    const auto [at, fresh] = processes.try_emplace(process.name);
    ObservedProcess& known = at->second;
    if (fresh) {
      known.name = process.name;
      known.started_at = now;
      known.running = process.running;
      if (process.running) Tell(false, "WorkerAdopted", process.name, "it ran already");
    }
    if (known.running && !process.running) {
      known.exited_at = now;
      members->Exited(process.name);
      Tell(true, "WorkerExited", process.name, process.ending);
    }
    if (!process.running && !known.exited_at) known.exited_at = now;
    known.running = process.running;
  }
  std::erase_if(processes, [&seen](const auto& entry) { return !seen.contains(entry.first); });
}

void Control::State::ApplyPlan() {
  const std::vector<std::string> names = WorkerNames(options.group, desired);
  const std::set<std::string> wanted(names.begin(), names.end());
  members->SetExpected(wanted);
  std::vector<ObservedProcess> observed;
  for (const auto& [name, process] : processes) observed.push_back(process);
  const Deadline now = Clock::now();
  const GroupPlan plan = PlanGroup(names, observed, now);
  for (const std::string& name : plan.stop) {
    members->Left(name);
    launcher->Stop(name);
  }
  for (const std::string& name : plan.start) {
    ObservedProcess& process = processes[name];
    const bool first = process.name.empty();
    process.restarts = first ? 0 : RestartsInARow(process);
    process.name = name;
    process.started_at = now;
    const Status started = launcher->Start(name);
    process.running = started.ok();
    process.exited_at = started.ok() ? std::nullopt : std::optional(now);
    if (!started.ok() && failed_starts.insert(name).second) {
      Tell(true, "WorkerNotStarted", name, started.error().message());
    }
    if (started.ok()) failed_starts.erase(name);
  }
  for (const auto& [name, process] : processes) {
    if (process.running || wanted.contains(name)) continue;
    const Status removed = options.remove_leftovers(name);
    if (!removed.ok()) continue;  // Tried again in the next round.
    launcher->Forget(name);
  }
}

void Control::State::Tell(bool warning, const std::string& reason, const std::string& worker,
                          const std::string& message) {
  events->Add({.warning = warning,
               .reason = reason,
               .object = "worker/" + worker,
               .namespace_name = "",
               .message = message});
}

void Control::State::TellTransitions(const Members::Stepped& stepped) {
  for (const Members::Transition& change : stepped.transitions) {
    switch (change.state) {
      case MemberState::kJoining: Tell(false, "WorkerJoining", change.name, "heard of"); break;
      case MemberState::kReady: Tell(false, "WorkerReady", change.name, "serves its blocks"); break;
      case MemberState::kDraining: Tell(false, "WorkerLeaving", change.name, "leaves"); break;
      case MemberState::kSuspect:
        Tell(true, "WorkerSuspect", change.name, "not heard of; other holders act in its place");
        break;
      case MemberState::kDead:
        Tell(true, "WorkerDead", change.name, "not heard of for 10 s; its blocks are read anew");
        break;
    }
  }
}

// For clients that start while no control lives, and for the next control. A new map is written
// before anybody is told of it: control may die at once, and by an older map a worker that was
// seen to serve again would be masked for good, and its blocks asked of the store. If it cannot be
// written it is told all the same: workers that live matter more. New datasets can wait: workers
// know them.
void Control::State::WriteGroupFile(const Members::Stepped& stepped) {
  const std::shared_ptr<const GroupMap>& map = stepped.map;
  const Deadline now = Clock::now();
  if (map == nullptr || (!stepped.map_changed && now < group_file_not_before)) return;
  const DatasetTable::Changes changes = datasets->Since(written_generation);
  const bool same_datasets = !changes.full && changes.datasets.empty() && changes.deleted.empty();
  if (written_map != nullptr && *written_map == *map && same_datasets) return;
  GroupFile file{.map = *map, .datasets = {}};
  for (const DatasetPointer& dataset : datasets->All()) {
    if (!dataset->not_bound) file.datasets.push_back(EntryOf(*dataset, WithSecrets::kNo));
  }
  group_file_not_before = now + kGroupFileEvery;
  const Status written = ReplaceFile(options.state_dir + "/group.json", ToJson(file));
  if (!written.ok()) {
    Log(Level::kWarning, "group.json not written: clients cannot start while control is away",
        {{"error", written.error().message()}});
    return;
  }
  written_map = map;
  written_generation = changes.generation;
}

void Control::State::AdoptGroupFile() {
  const Result<std::string> text = ReadFile(options.state_dir + "/group.json", kGroupFileBytesMax);
  if (!text.ok()) return;
  const Result<GroupFile> file = GroupFileFromJson(text.value());
  if (file.ok()) members->Learn(file.value().map);
}

Control::Control(std::unique_ptr<State> state) : state_(std::move(state)) {}
Control::~Control() = default;

std::uint32_t Control::ready_workers() const {
  std::uint32_t ready = 0;
  for (const MemberView& member : state_->members->All()) {
    if (member.status.state == MemberState::kReady) ++ready;
  }
  return ready;
}

bool Control::Ready() const {
  return state_->members->map() != nullptr && ready_workers() >= state_->desired;
}

bool Control::ShutdownRequested() const {
  return state_->shutdown_requested;
}

const std::optional<Address>& Control::listen_address() const {
  return state_->listen_address;
}

void Control::Drain(Deadline deadline) {
  {
    MutexLock lock(state_->mutex);
    state_->draining = true;
  }
  state_->stop.request_stop();  // Long polls end.
  state_->loads->Stop();        // Where they are: the next control goes on.
  DrainLauncher(*state_->launcher, state_->options, deadline);
  RemoveRuntimeFiles(state_->options.state_dir);
}

bool HoldsStateDir(const std::string& state_dir, int pid) {
  constexpr std::size_t kPidBytesMax = 32;
  const Result<std::string> holder = ReadFile(state_dir + "/control.lock", kPidBytesMax);
  return holder.ok() && holder.value() == fmt::format("{}\n", pid);
}

Status DrainWithoutControl(const ControlOptions& options, Deadline deadline) {
  const Result<UniqueFd> locked = LockStateDir(options.state_dir);
  if (!locked.ok()) return locked.error();
  Result<std::unique_ptr<ProcessLauncher>> launcher =
      ProcessLauncher::Create(LauncherOptionsOf(options));
  if (!launcher.ok()) return std::move(launcher).error();
  DrainLauncher(*launcher.value(), options, deadline);
  RemoveRuntimeFiles(options.state_dir);
  if (options.unix_address.is_unix()) unlink(options.unix_address.unix_path.c_str());
  return {};
}

}  // namespace forebay
