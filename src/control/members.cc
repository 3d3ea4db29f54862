#include "control/members.h"

#include <algorithm>

namespace forebay {
namespace {

constexpr std::chrono::seconds kHitRatioWindow{60};
constexpr std::chrono::seconds kSampleEvery{1};

// What was added since `before`; a total that went back began anew.
std::uint64_t Growth(std::uint64_t before, std::uint64_t now) {
  return now >= before ? now - before : now;
}

}  // namespace

Status Members::Heard(const Heartbeat& heartbeat) {
  MutexLock lock(mutex_);
  const Clock::time_point now = Clock::now();
  const MemberReport report{.name = heartbeat.name,
                            .instance = heartbeat.instance,
                            .address = heartbeat.address,
                            .weight = heartbeat.weight,
                            .known_epoch = heartbeat.known_epoch};
  Status heard = membership_.Heard(report, now);
  if (!heard.ok()) return heard;
  if (heartbeat.map) {
    Status learned = membership_.HeardMap(*heartbeat.map, now);
    if (!learned.ok()) return learned;
  }
  Worker& worker = workers_[heartbeat.name];
  worker.view.role = heartbeat.role;
  worker.view.started_at = heartbeat.started_at;
  worker.view.pid = static_cast<int>(heartbeat.pid);
  worker.view.capacity_bytes = heartbeat.capacity_bytes;
  worker.view.used_bytes = heartbeat.used_bytes;
  worker.view.blocks = heartbeat.blocks;
  TakeFigures(worker, heartbeat);
  if (heartbeat.leaving) membership_.Left(heartbeat.name, now);
  return {};
}

void Members::TakeFigures(Worker& worker, const Heartbeat& heartbeat) {
  if (worker.instance != heartbeat.instance) {
    worker.instance = heartbeat.instance;
    worker.totals.clear();  // A new process counts from 0.
  }
  const Clock::time_point now = Clock::now();
  for (const DatasetFigures& figures : heartbeat.datasets) {
    Totals& before = worker.totals[figures.uid];
    Dataset& dataset = datasets_[figures.uid];
    Totals& sum = dataset.sum;
    sum.hits += Growth(before.hits, figures.hits);
    sum.misses += Growth(before.misses, figures.misses);
    sum.upstream_requests += Growth(before.upstream_requests, figures.upstream_requests);
    sum.upstream_bytes += Growth(before.upstream_bytes, figures.upstream_bytes);
    sum.upstream_errors += Growth(before.upstream_errors, figures.upstream_errors);
    before = {.hits = figures.hits,
              .misses = figures.misses,
              .upstream_requests = figures.upstream_requests,
              .upstream_bytes = figures.upstream_bytes,
              .upstream_errors = figures.upstream_errors};
    if (dataset.samples.empty() || now - dataset.samples.back().at >= kSampleEvery) {
      dataset.samples.push_back({now, sum.hits, sum.hits + sum.misses});
      // The newest sample that is older than the window is what the window is counted from.
      const auto old = std::ranges::find_if(dataset.samples, [now](const Sample& sample) {
        return now - sample.at < kHitRatioWindow;
      });
      if (old - dataset.samples.begin() > 1)
        dataset.samples.erase(dataset.samples.begin(), old - 1);
    }
  }
}

std::shared_ptr<const GroupMap> Members::map() const {
  MutexLock lock(mutex_);
  return map_;
}

void Members::Learn(const GroupMap& map) {
  MutexLock lock(mutex_);
  // A damaged file of the past is no reason not to start: the workers know the map, too.
  static_cast<void>(membership_.HeardMap(map, Clock::now()).ok());
}

void Members::Exited(const std::string& name) {
  MutexLock lock(mutex_);
  const auto found = workers_.find(name);
  if (found == workers_.end()) return;
  membership_.Exited(name, found->second.instance, Clock::now());
}

void Members::Left(const std::string& name) {
  MutexLock lock(mutex_);
  membership_.Left(name, Clock::now());
}

void Members::SetExpected(std::set<std::string> names) {
  MutexLock lock(mutex_);
  expected_ = names;
  membership_.SetExpected(std::move(names));
}

bool Members::IsExpected(const std::string& name) const {
  MutexLock lock(mutex_);
  return expected_.contains(name);
}

Members::Stepped Members::Step() {
  MutexLock lock(mutex_);
  Stepped stepped;
  stepped.map_changed = membership_.Step(Clock::now());
  if (!membership_.learning()) stepped.map = std::make_shared<const GroupMap>(membership_.map());
  stepped.members = membership_.members();
  std::map<std::string, MemberState> states;
  for (const MemberStatus& member : stepped.members) {
    states[member.name] = member.state;
    const auto before = states_.find(member.name);
    if (before == states_.end() || before->second != member.state) {
      stepped.transitions.push_back({member.name, member.state});
    }
  }
  std::erase_if(workers_, [&](const auto& worker) { return !states.contains(worker.first); });
  states_ = std::move(states);
  return stepped;
}

void Members::Publish(const Stepped& stepped) {
  MutexLock lock(mutex_);
  map_ = stepped.map;
  members_ = stepped.members;
  if (!stepped.transitions.empty() || stepped.map_changed) {
    ++steps_;
    changed_.NotifyAll();
  }
}

std::vector<MemberView> Members::All() const {
  MutexLock lock(mutex_);
  std::vector<MemberView> all;
  for (const MemberStatus& member : members_) {
    const auto found = workers_.find(member.name);
    MemberView view = found == workers_.end() ? MemberView{} : found->second.view;
    view.status = member;
    all.push_back(std::move(view));
  }
  return all;
}

std::map<DatasetUid, DatasetTotals> Members::Figures() const {
  MutexLock lock(mutex_);
  const Clock::time_point now = Clock::now();
  std::map<DatasetUid, DatasetTotals> all;
  for (const auto& [uid, dataset] : datasets_) {
    DatasetTotals& figures = all[uid];
    figures.hits = dataset.sum.hits;
    figures.misses = dataset.sum.misses;
    figures.upstream_requests = dataset.sum.upstream_requests;
    figures.upstream_bytes = dataset.sum.upstream_bytes;
    figures.upstream_errors = dataset.sum.upstream_errors;
    const std::uint64_t reads = dataset.sum.hits + dataset.sum.misses;
    Sample from;
    for (const Sample& sample : dataset.samples) {
      if (now - sample.at >= kHitRatioWindow) from = sample;
    }
    if (reads > from.reads) {
      figures.hit_ratio = static_cast<double>(dataset.sum.hits - from.hits) /
                          static_cast<double>(reads - from.reads);
    }
  }
  return all;
}

void Members::AwaitStep(Deadline until) {
  MutexLock lock(mutex_);
  const std::uint64_t before = steps_;
  while (steps_ == before && Clock::now() < until) changed_.WaitUntil(mutex_, until);
}

}  // namespace forebay
