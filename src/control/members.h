// Members: the workers of the group as control knows them: core's Membership, and what each of them
// said of itself with its last heartbeat.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "cluster/group_json.h"
#include "core/membership.h"

namespace forebay {

// A member, and its newest figures.
struct MemberView {
  MemberStatus status;
  std::string role;
  std::string started_at;
  int pid = 0;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t blocks = 0;
};

// What all workers together did for a dataset, as far as this control heard.
struct DatasetTotals {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t upstream_requests = 0;
  std::uint64_t upstream_bytes = 0;
  std::uint64_t upstream_errors = 0;
  std::optional<double> hit_ratio;  // Of the last minute; nothing without reads.
};

// Thread safety: safe.
class Members {
 public:
  Members(const MembershipOptions& options, std::uint32_t generation)
      : membership_(options, generation, Clock::now()) {}

  // Takes a heartbeat. Errors: those of Membership::Heard.
  Status Heard(const Heartbeat& heartbeat) EXCLUDES(mutex_);

  // The map that may be handed out, as of the last Publish; nothing while learning.
  std::shared_ptr<const GroupMap> map() const EXCLUDES(mutex_);

  // Adopts a map that was in force before this control.
  void Learn(const GroupMap& map) EXCLUDES(mutex_);
  void Exited(const std::string& name) EXCLUDES(mutex_);
  void Left(const std::string& name) EXCLUDES(mutex_);
  void SetExpected(std::set<std::string> names) EXCLUDES(mutex_);

  // Whether the launcher keeps a worker of that name running.
  bool IsExpected(const std::string& name) const EXCLUDES(mutex_);

  struct Transition {
    std::string name;
    MemberState state = MemberState::kJoining;
  };
  // One step of the membership: who changed state since the last one, and whether the map did.
  struct Stepped {
    bool map_changed = false;
    std::shared_ptr<const GroupMap> map;  // Null: learning.
    std::vector<MemberStatus> members;
    std::vector<Transition> transitions;
  };
  // Nobody is told what came of it before Publish: control writes it down first.
  Stepped Step() EXCLUDES(mutex_);
  void Publish(const Stepped& stepped) EXCLUDES(mutex_);

  // Returns after the next Publish of a step that changed anything, or at `until`.
  void AwaitStep(Deadline until) EXCLUDES(mutex_);

  // As of the last Publish, with the newest figures.
  std::vector<MemberView> All() const EXCLUDES(mutex_);
  std::map<DatasetUid, DatasetTotals> Figures() const EXCLUDES(mutex_);

 private:
  struct Totals {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t upstream_requests = 0;
    std::uint64_t upstream_bytes = 0;
    std::uint64_t upstream_errors = 0;
  };
  struct Worker {
    MemberView view;
    std::string instance;
    std::map<DatasetUid, Totals> totals;  // By uid, of this instance.
  };
  // Reads of a dataset at one time, for the ratio of the last minute.
  struct Sample {
    Clock::time_point at;
    std::uint64_t hits = 0;
    std::uint64_t reads = 0;
  };
  struct Dataset {
    Totals sum;  // Over all workers and their former lives.
    std::vector<Sample> samples;
  };

  void TakeFigures(Worker& worker, const Heartbeat& heartbeat) REQUIRES(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  std::uint64_t steps_ GUARDED_BY(mutex_) = 0;  // Those that changed anything.
  Membership membership_ GUARDED_BY(mutex_);
  std::set<std::string> expected_ GUARDED_BY(mutex_);
  std::map<std::string, Worker> workers_ GUARDED_BY(mutex_);
  std::map<DatasetUid, Dataset> datasets_ GUARDED_BY(mutex_);
  std::map<std::string, MemberState> states_ GUARDED_BY(mutex_);  // At the last step.
  std::shared_ptr<const GroupMap> map_ GUARDED_BY(mutex_);        // As published.
  std::vector<MemberStatus> members_ GUARDED_BY(mutex_);          // Likewise.
};

}  // namespace forebay
