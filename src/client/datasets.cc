#include "client/datasets.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cluster/dataset_upstream.h"

namespace forebay {
namespace {

// So many workers are asked about a dataset that control says nothing about.
constexpr std::size_t kWorkersAsked = 3;

Error NoSuchDataset(const DatasetRef& name) {
  return {Code::kNotFound, "dataset \"" + name.name + "\" of namespace \"" + name.name_space +
                               "\": there is none; `forebay datasets` lists them"};
}

StoreRules RulesOf(const DatasetEntry& entry, std::chrono::milliseconds staleness_max) {
  return StoreRules{.block_bytes = entry.block_bytes,
                    .staleness = entry.pinned ? std::chrono::milliseconds::max()
                                              : std::min(entry.staleness, staleness_max),
                    .refreshed = entry.refreshed,
                    .replicas = entry.replicas};
}

// Workers tell no secrets, so what control said about the same mount stays.
void TakeSecrets(const DatasetEntry& known, DatasetEntry* entry) {
  for (DatasetMount& mount : entry->mounts) {
    const auto same = std::ranges::find_if(known.mounts, [&mount](const DatasetMount& candidate) {
      return candidate.path == mount.path && candidate.url == mount.url;
    });
    if (mount.secrets.empty() && same != known.mounts.end()) mount.secrets = same->secrets;
  }
}

}  // namespace

Result<StoreRef> Datasets::Find(const DatasetRef& name, Deadline deadline, std::stop_token stop) {
  DatasetEntry before;
  StoreRef store;
  {
    MutexLock lock(mutex_);
    Known& known = known_.Use(name.Text(), [](const Known&) {});
    // Of several who need it again one asks.
    const bool usable = known.renewing || Clock::now() < known.renew_at;
    if (known.store && usable && !options_.directory_at_hand) return known.store;
    known.renewing = known.store != nullptr;
    store = known.store;
    before = known.entry;
  }
  if (!store || options_.directory_at_hand) return FindFirst(name, deadline, stop);
  const Deadline until = std::min<Deadline>(deadline, Clock::now() + options_.renew_timeout);
  Result<DatasetEntry> now = AskAgain(name, before, until, stop);
  if (now.ok()) return Keep(name, std::move(now).value());
  MutexLock lock(mutex_);
  if (now.error().code() == Code::kNotFound) {
    known_.Erase(name.Text());
    return now.error();
  }
  Known& known = known_.Use(name.Text(), [](const Known&) {});
  known.renewing = false;
  known.renew_at = Clock::now() + options_.use_min;
  return store;
}

Result<std::uint64_t> Datasets::Renew(const DatasetRef& name, Deadline deadline,
                                      std::stop_token stop) {
  std::optional<DatasetEntry> before;
  {
    MutexLock lock(mutex_);
    const Known& known = known_.Use(name.Text(), [](const Known&) {});
    if (known.store) before = known.entry;
  }
  if (!before) {
    const Result<StoreRef> found = FindFirst(name, deadline, std::move(stop));
    if (!found.ok()) return found.error();
  } else {
    const Deadline until = std::min<Deadline>(deadline, Clock::now() + options_.renew_timeout);
    Result<DatasetEntry> now = AskAgain(name, *before, until, std::move(stop));
    if (!now.ok()) {
      MutexLock lock(mutex_);
      if (now.error().code() == Code::kNotFound) known_.Erase(name.Text());
      return now.error();
    }
    const Result<StoreRef> kept = Keep(name, std::move(now).value());
    if (!kept.ok()) return kept.error();
  }
  MutexLock lock(mutex_);
  return known_.Use(name.Text(), [](const Known&) {}).entry.generation;
}

Clock::duration Datasets::UseFor(const DatasetEntry& entry) const {
  return std::clamp(entry.pinned ? options_.use_max : entry.staleness, options_.use_min,
                    options_.use_max);
}

Result<StoreRef> Datasets::FindFirst(const DatasetRef& name, Deadline deadline,
                                     std::stop_token stop) {
  Result<DatasetEntry> entry = AskDirectory(name, deadline, stop);
  if (!entry.ok() && entry.error().code() != Code::kNotFound &&
      entry.error().code() != Code::kInvalidArgument) {
    Result<DatasetEntry> told = AskWorkers(name, deadline, stop);
    if (told.ok()) entry = std::move(told);
  }
  if (!entry.ok()) return std::move(entry).error();
  return Keep(name, std::move(entry).value());
}

// Workers first: there are many of them, and they follow control.
Result<DatasetEntry> Datasets::AskAgain(const DatasetRef& name, const DatasetEntry& known,
                                        Deadline deadline, std::stop_token stop) {
  Result<DatasetEntry> told = AskWorkers(name, deadline, stop);
  if (told.ok() && told.value().uid == known.uid && told.value().generation <= known.generation) {
    return known;
  }
  // Something changed, or a worker does not know it yet: control has the last word, and secrets.
  Result<DatasetEntry> entry = AskDirectory(name, deadline, stop);
  if (entry.ok() || entry.error().code() == Code::kNotFound) return entry;
  return told.ok() ? std::move(told) : std::move(entry);
}

Result<DatasetEntry> Datasets::AskDirectory(const DatasetRef& name, Deadline deadline,
                                            std::stop_token stop) {
  Result<GroupAnswer> answer = directory_->Ask(name, deadline, stop);
  if (!answer.ok() && answer.error().code() == Code::kNotFound) return NoSuchDataset(name);
  // A map that is none leaves the one in force; one of nobody is the store's turn.
  if (!answer.ok()) return std::move(answer).error();
  static_cast<void>(workers_.Adopt(answer.value().map).ok());
  if (answer.value().dataset) return *std::move(answer.value().dataset);
  return Error(Code::kUnavailable, "dataset \"" + name.Text() +
                                       "\": control does not answer, and what it wrote down does "
                                       "not name it; `forebay up` starts control");
}

Result<DatasetEntry> Datasets::AskWorkers(const DatasetRef& name, Deadline deadline,
                                          std::stop_token stop) {
  std::vector<WorkerRef> left = workers_.Living();
  for (std::size_t asked = 0; asked < kWorkersAsked && !left.empty(); ++asked) {
    const WorkerRef worker = workers_.Ask(left);
    if (!worker) break;
    std::erase(left, worker);
    const Clock::time_point now = Clock::now();
    Result<std::string> reply =
        worker->link->Group(GroupQuestion{.dataset = name.name, .name_space = name.name_space},
                            now + (deadline - now) / 2, stop);
    if (stop.stop_requested()) {
      workers_.Abandoned(worker);
      break;
    }
    if (!reply.ok()) {
      if (worker->link->last_heard() >= now) {
        workers_.AnsweredOther(worker);
      } else {
        workers_.Failed(worker);
      }
      continue;
    }
    workers_.AnsweredOther(worker);
    Result<GroupAnswer> answer = GroupAnswerFromJson(reply.value());
    if (!answer.ok()) continue;
    static_cast<void>(workers_.Adopt(answer.value().map).ok());
    if (answer.value().dataset) return *std::move(answer.value().dataset);
  }
  return Error(Code::kUnavailable, "dataset \"" + name.Text() + "\": no worker tells what it is");
}

Result<StoreRef> Datasets::Keep(const DatasetRef& name, DatasetEntry entry) {
  MutexLock lock(mutex_);
  Known& known = known_.Use(name.Text(), [](const Known&) {});
  known.renewing = false;
  known.renew_at = Clock::now() + UseFor(entry);
  if (known.store && known.entry.uid == entry.uid) {
    // What somebody else was told meanwhile may be newer.
    if (entry.generation <= known.entry.generation) return known.store;
    TakeSecrets(known.entry, &entry);
  }
  Result<StoreRef> store = MakeStore(known, entry);
  if (!store.ok()) return store;
  known.store = store.value();
  known.entry = std::move(entry);
  return store;
}

// Does not touch the network, so holding the lock keeps nobody waiting.
Result<StoreRef> Datasets::MakeStore(const Known& known, const DatasetEntry& entry) const {
  std::shared_ptr<Upstream> upstream;
  if (known.store && SameMounts(known.entry, entry)) {
    upstream = known.store->upstream;  // With its connections.
  } else {
    Result<std::shared_ptr<Upstream>> made = make_upstream_(entry);
    if (!made.ok()) return std::move(made).error();
    upstream = std::move(made).value();
  }
  return std::make_shared<const Store>(
      Store{.url = DatasetStore(entry.uid),
            .dataset = entry.uid,
            .upstream = std::move(upstream),
            .rules = RulesOf(entry, options_.staleness_max),
            .snapshots = entry.pinned ? directory_->snapshots() : nullptr});
}

}  // namespace forebay
