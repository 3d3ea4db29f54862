#include "control/loads.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/units.h"
#include "base/wall_clock.h"
#include "control/load_json.h"

namespace forebay {
namespace {

constexpr const char* kKind = "Load";
constexpr int kRounds = 3;  // Fills before what is still missing is named.
// A store that answers, but with many names, has this long; one that fails has the shorter time.
constexpr std::chrono::minutes kListWait{30};
constexpr std::chrono::minutes kListFailureMax{2};
// A load that waits for its listing leaves its thread to others this often.
constexpr std::chrono::seconds kListTurn{2};
constexpr std::chrono::minutes kCountTimeout{10};
constexpr std::chrono::seconds kRateWindow{2};
// What changed in a mounted directory within two seconds is served, but not kept.
constexpr std::chrono::milliseconds kYoung{2'100};
constexpr std::chrono::milliseconds kStopEvery{100};

Error NoLoad(const std::string& id) {
  return {Code::kNotFound, fmt::format("load {}: there is none; `forebay loads` lists them", id)};
}

bool Finished(LoadPhase phase) {
  return phase == LoadPhase::kComplete || phase == LoadPhase::kFailed ||
         phase == LoadPhase::kCancelled;
}

}  // namespace

std::string_view LoadPhaseName(LoadPhase phase) {
  switch (phase) {
    case LoadPhase::kRunning: return "Running";
    case LoadPhase::kComplete: return "Complete";
    case LoadPhase::kFailed: return "Failed";
    case LoadPhase::kPaused: return "Paused";
    case LoadPhase::kCancelled: return "Cancelled";
  }
  return "Failed";
}

Result<std::unique_ptr<Loads>> Loads::Open(Parts parts) {
  const Result<std::vector<StoredObject>> stored = parts.registry.List(kKind);
  if (!stored.ok()) return stored.error();
  std::unique_ptr<Loads> loads(new Loads(parts));
  {
    MutexLock lock(loads->mutex_);
    for (const StoredObject& object : stored.value()) {
      Result<LoadRecord> view = DecodeLoad(object.json);
      if (!view.ok()) return std::move(view).error().Within("stored load " + object.name);
      loads->loads_[object.name].view = std::move(view).value();
    }
  }
  for (int i = 0; i < kAtOnce; ++i) {
    loads->threads_.Run("load",
                        [raw = loads.get()](std::stop_token stop) { raw->RunThread(stop); });
  }
  return loads;
}

Loads::~Loads() {
  Stop();
}

void Loads::Stop() {
  threads_.RequestStop();
  {
    MutexLock lock(mutex_);
    for (auto& [id, load] : loads_) load.stop.request_stop();
    changed_.NotifyAll();
  }
  threads_.StopAndJoin();
}

Status Loads::Store(const LoadRecord& view) {
  const Result<std::uint64_t> stored = parts_.registry.Put({.kind = kKind,
                                                            .namespace_name = "",
                                                            .name = view.id,
                                                            .generation = 0,
                                                            .json = EncodeLoad(view)},
                                                           std::nullopt);
  return stored.ok() ? Status() : stored.error();
}

Result<LoadRecord> Loads::Start(LoadTarget target) {
  const DatasetPointer dataset = parts_.datasets.Find(target.dataset);
  if (dataset == nullptr) {
    return Error(Code::kNotFound,
                 fmt::format("dataset {}.{}: there is none; `forebay datasets` lists them",
                             target.dataset.name, target.dataset.namespace_name));
  }
  if (dataset->not_bound) {
    return Error(Code::kInvalidArgument,
                 fmt::format("dataset {}: {}", target.dataset.name, dataset->not_bound->message));
  }
  LoadRecord view;
  const std::int64_t now = WallClockNanoseconds();
  constexpr std::int64_t kMillisecond = 1'000'000;
  view.target = std::move(target);
  view.started_at = Rfc3339(now);
  MutexLock lock(mutex_);
  // Sorts by time; two in one millisecond get different ones.
  std::int64_t stamp = now / kMillisecond;
  do {
    view.id = fmt::format("load-{:x}", stamp++);
  } while (loads_.contains(view.id));
  Status stored = Store(view);
  if (!stored.ok()) return std::move(stored).error();
  loads_[view.id].view = view;
  DropOldest();
  changed_.NotifyAll();
  return view;
}

void Loads::DropOldest() {
  std::size_t finished = 0;
  for (const auto& [id, load] : loads_) finished += Finished(load.view.phase) ? 1U : 0U;
  for (auto at = loads_.begin(); at != loads_.end() && finished > kKept;) {
    if (!Finished(at->second.view.phase) || at->second.running) {
      ++at;
      continue;
    }
    const Result<std::uint64_t> deleted =
        parts_.registry.Delete(kKind, "", at->first, std::nullopt);
    if (!deleted.ok()) return;  // Another time.
    at = loads_.erase(at);
    --finished;
  }
}

Result<LoadRecord> Loads::SetPhase(const std::string& id, LoadPhase phase,
                                   std::initializer_list<LoadPhase> from) {
  MutexLock lock(mutex_);
  const auto found = loads_.find(id);
  if (found == loads_.end()) return NoLoad(id);
  Load& load = found->second;
  if (load.view.phase == phase) return load.view;
  if (std::ranges::find(from, load.view.phase) == from.end()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("load {}: is {} and cannot become {}", id,
                             LoadPhaseName(load.view.phase), LoadPhaseName(phase)));
  }
  LoadRecord view = load.view;
  view.phase = phase;
  view.reason.clear();
  if (Finished(phase)) view.finished_at = Rfc3339(WallClockNanoseconds());
  Status stored = Store(view);
  if (!stored.ok()) return std::move(stored).error();
  load.view = view;
  load.began = Deadline::max();  // Should it go on, it has its time again.
  load.stop.request_stop();
  changed_.NotifyAll();
  return view;
}

Result<LoadRecord> Loads::Pause(const std::string& id) {
  return SetPhase(id, LoadPhase::kPaused, {LoadPhase::kRunning});
}

Result<LoadRecord> Loads::Cancel(const std::string& id) {
  return SetPhase(id, LoadPhase::kCancelled, {LoadPhase::kRunning, LoadPhase::kPaused});
}

Result<LoadRecord> Loads::Resume(const std::string& id) {
  return SetPhase(id, LoadPhase::kRunning, {LoadPhase::kPaused});
}

Result<LoadRecord> Loads::Find(const std::string& id) const {
  MutexLock lock(mutex_);
  const auto found = loads_.find(id);
  if (found == loads_.end()) return NoLoad(id);
  return found->second.view;
}

std::vector<LoadRecord> Loads::All() const {
  MutexLock lock(mutex_);
  std::vector<LoadRecord> all;
  for (const auto& [id, load] : loads_) all.push_back(load.view);
  return all;
}

// The load that is due first, of those that nobody works on; `due` is when, if that is earlier.
std::map<std::string, Loads::Load>::iterator Loads::NextDue(Deadline& due) {
  auto next = loads_.end();
  for (auto at = loads_.begin(); at != loads_.end(); ++at) {
    const Load& load = at->second;
    if (load.view.phase != LoadPhase::kRunning || load.running || load.next >= due) continue;
    next = at;
    due = load.next;
  }
  return next;
}

void Loads::RunThread(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    constexpr std::chrono::hours kNothing{1};
    std::string id;
    std::stop_token load_stop;
    Deadline began;
    LoadRecord view;
    {
      MutexLock lock(mutex_);
      Deadline due = Clock::now() + kNothing;
      const auto next = NextDue(due);
      if (next == loads_.end() || due > Clock::now()) {
        changed_.WaitUntil(mutex_, due);
        continue;
      }
      id = next->first;
      Load& load = next->second;
      load.running = true;
      load.stop = std::stop_source();
      load_stop = load.stop.get_token();
      load.began = std::min(load.began, Clock::now());
      began = load.began;
      view = load.view;
    }
    const auto files = Target(view, began, load_stop);
    if (files.ok() && !files.value()) continue;
    const Status outcome = files.ok() ? Execute(view, *files.value(), load_stop) : files.error();
    if (!stop.stop_requested()) End(id, outcome);
  }
}

void Loads::Postpone(const std::string& id, const std::string& reason) {
  MutexLock lock(mutex_);
  Load& load = loads_.at(id);
  load.running = false;
  load.next = Clock::now();  // Behind all that wait longer.
  if (load.view.phase == LoadPhase::kRunning) load.view.reason = reason;
  changed_.NotifyAll();
}

Result<std::optional<std::vector<ListedFile>>> Loads::Target(const LoadRecord& load, Deadline began,
                                                             const std::stop_token& stop) {
  const LoadTarget& target = load.target;
  const DatasetPointer dataset = parts_.datasets.Find(target.dataset);
  if (dataset == nullptr) return Error(Code::kNotFound, "the dataset was deleted");
  Result<DatasetCountPointer> count =
      parts_.inventory.CountFrom(dataset->uid, began, Clock::now() + kListTurn, stop);
  if (!count.ok() && count.error().code() == Code::kDeadlineExceeded) {
    const ListingProblem problem = parts_.inventory.Problem(dataset->uid);
    const Deadline now = Clock::now();
    const bool hopeless = problem.failed_at >= began && IsPermanent(problem.error.code());
    const bool failing = problem.failed_at != Deadline::min();
    if (hopeless || now > began + (failing ? kListFailureMax : kListWait)) {
      return Error(problem.error).Within("the dataset cannot be listed");
    }
    Postpone(load.id, "waits for the listing: " + count.error().message());
    return std::optional<std::vector<ListedFile>>();
  }
  if (!count.ok()) return std::move(count).error();
  std::vector<ListedFile> files;
  std::uint64_t total_bytes = 0;
  for (const ListedFile& file : count.value()->listing->files) {
    const auto meant = [&file](const std::string& pattern) {
      return PatternMatches(pattern, file.path);
    };
    if (!target.paths.empty() && std::ranges::none_of(target.paths, meant)) continue;
    total_bytes += file.attributes.size;
    files.push_back(file);
  }
  if (files.empty() && !target.paths.empty()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("no file of the dataset matches \"{}\"", target.paths.front()));
  }
  MutexLock lock(mutex_);
  LoadRecord& stored = loads_.at(load.id).view;
  stored.listed = true;
  stored.reason.clear();
  stored.total_bytes = total_bytes;
  stored.total_files = files.size();
  return std::optional(std::move(files));
}

void Loads::Progress(const std::string& id, std::uint64_t done_bytes) {
  MutexLock lock(mutex_);
  Load& load = loads_.at(id);
  load.view.done_bytes = std::min(done_bytes, load.view.total_bytes);
  const Deadline now = Clock::now();
  if (now - load.sampled_at < kRateWindow) return;
  const std::chrono::duration<double> passed = now - load.sampled_at;
  if (load.sampled_at != Deadline() && done_bytes >= load.sampled_bytes) {
    load.view.bytes_per_second = static_cast<std::uint64_t>(
        static_cast<double>(done_bytes - load.sampled_bytes) / passed.count());
  }
  load.sampled_at = now;
  load.sampled_bytes = done_bytes;
}

void Loads::Wait(std::chrono::milliseconds time, const std::stop_token& stop) {
  const Deadline until = Clock::now() + time;
  MutexLock lock(mutex_);
  while (!stop.stop_requested() && Clock::now() < until) {
    changed_.WaitUntil(mutex_, std::min<Deadline>(until, Clock::now() + kStopEvery));
  }
}

// Counts what is held, verified, fills what is not, and counts again: what was evicted meanwhile is
// asked for once more, and then named.
Status Loads::Execute(const LoadRecord& load, const std::vector<ListedFile>& files,
                      const std::stop_token& stop) {
  const std::string& id = load.id;
  const LoadTarget& target = load.target;
  const DatasetPointer dataset = parts_.datasets.Find(target.dataset);
  if (dataset == nullptr) return Error(Code::kNotFound, "the dataset was deleted");
  if (target.replicas > 1) {
    Status raised = parts_.datasets.RaiseReplicas(target.dataset, target.replicas);
    if (!raised.ok()) return raised;
  }
  std::map<std::string, std::string> reasons;
  for (int round = 0; round <= kRounds; ++round) {
    const Result<std::vector<std::uint64_t>> held =
        parts_.pool.CountHeld(*dataset, files, /*verify=*/true, Clock::now() + kCountTimeout, stop);
    if (!held.ok()) return held.error();
    std::vector<ListedFile> missing;
    std::uint64_t held_bytes = 0;
    for (std::size_t i = 0; i < files.size(); ++i) {
      held_bytes += held.value()[i];
      if (held.value()[i] < files[i].attributes.size) missing.push_back(files[i]);
    }
    Progress(id, held_bytes);
    {
      MutexLock lock(mutex_);
      LoadRecord& view = loads_.at(id).view;
      view.done_files = files.size() - missing.size();
      view.missing = missing.size();
      view.missing_files.clear();
      for (const ListedFile& file : missing) {
        if (view.missing_files.size() == kNamedMax) break;
        const auto known = reasons.find(file.path);
        view.missing_files.push_back(
            {file.path, known == reasons.end()
                            ? "its blocks were filled and are not held: the group's memory is "
                              "smaller than what is loaded, or the file keeps changing"
                            : known->second});
      }
    }
    // The first count must not spare the replicas: it says that one holder has a block.
    if (missing.empty() && (round > 0 || target.replicas == 1)) return {};
    if (round == kRounds) break;
    if (round == kRounds - 1) Wait(kYoung, stop);
    PoolFill fill{.replicas = target.replicas,
                  .bytes_per_second_max = target.bytes_per_second_max,
                  .progress = [&](std::uint64_t bytes) { Progress(id, held_bytes + bytes); }};
    const Result<std::vector<FillFailure>> filled =
        parts_.pool.Fill(*dataset, target.replicas > 1 ? files : missing, fill, stop);
    if (!filled.ok()) return filled.error();
    reasons.clear();
    for (const FillFailure& failure : filled.value()) reasons[failure.path] = failure.reason;
  }
  const LoadRecord view = Find(id).value();
  return Error(
      Code::kUnavailable,
      fmt::format("{} of {} files are not wholly held; {}: {}", view.missing, view.total_files,
                  view.missing_files.front().path, view.missing_files.front().reason));
}

void Loads::End(const std::string& id, const Status& outcome) {
  LoadRecord view;
  {
    MutexLock lock(mutex_);
    Load& load = loads_.at(id);
    load.running = false;
    load.began = Deadline::max();
    load.sampled_at = Deadline();
    load.view.bytes_per_second = 0;
    changed_.NotifyAll();
    if (load.view.phase != LoadPhase::kRunning || load.stop.stop_requested()) return;
    if (const std::size_t workers = parts_.pool.workers(); load.view.target.replicas > workers) {
      load.view.reason = fmt::format(
          "each block has {} holders, as many as there are workers; {} "
          "were asked for",
          workers, load.view.target.replicas);
    }
    load.view.phase = outcome.ok() ? LoadPhase::kComplete : LoadPhase::kFailed;
    if (!outcome.ok()) load.view.reason = outcome.error().message();
    load.view.finished_at = Rfc3339(WallClockNanoseconds());
    view = load.view;
  }
  // Should this row be lost, the next control runs the load again and finds all of it held.
  const Status stored = Store(view);
  if (!stored.ok()) {
    Log(Level::kWarning, "load not stored", {{"id", id}, {"error", stored.error().message()}});
  }
  parts_.events.Add({.warning = !outcome.ok(),
                     .reason = outcome.ok() ? "DataLoadComplete" : "DataLoadFailed",
                     .object = DatasetObject(view.target.dataset.name),
                     .namespace_name = view.target.dataset.namespace_name,
                     .message = outcome.ok()
                                    ? fmt::format("{}: {} in {} files are held and verified", id,
                                                  FormatSize(view.total_bytes), view.total_files)
                                    : fmt::format("{}: {}", id, view.reason)});
}

}  // namespace forebay
