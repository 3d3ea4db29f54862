// Loads: has files of a dataset held before anybody reads them.
//
// Invariant: Complete means that a census, made after the last fill, found every byte of the target
// held and matching its checksums.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"
#include "control/dataset_table.h"
#include "control/events.h"
#include "control/inventory.h"
#include "control/pool.h"
#include "registry/registry.h"

namespace forebay {

enum class LoadPhase { kRunning, kComplete, kFailed, kPaused, kCancelled };
std::string_view LoadPhaseName(LoadPhase phase);

struct LoadTarget {
  DatasetKey dataset;
  std::vector<std::string> paths;  // Paths or globs in the dataset's tree; none: all of it.
  std::uint32_t replicas = 1;
  std::uint64_t bytes_per_second_max = 0;  // 0: as fast as it goes.
};

struct LoadRecord {
  std::string id;
  LoadTarget target;
  LoadPhase phase = LoadPhase::kRunning;
  bool listed = false;  // What is to be loaded is known; before, all figures are 0.
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t done_files = 0;
  std::uint64_t total_files = 0;
  std::uint64_t missing = 0;               // Files that are not wholly held, at the end.
  std::vector<FillFailure> missing_files;  // The first kNamedMax of them, and why.
  std::string reason;  // Why it failed, what it waits for, or what else to know.
  std::string started_at;
  std::string finished_at;             // Empty: not yet.
  std::uint64_t bytes_per_second = 0;  // Of the last seconds; 0 unless running.
};

// Whether `path` of a file ("a/b.bin") is meant by `pattern`: itself, a directory above it, or a
// glob
// ("*.bin", "a/*/c?", "a/**": * and ? stay within a component, ** does not). Pure.
bool PatternMatches(const std::string& pattern, const std::string& path);

// Stored, so that a new control goes on with what was running.
//
// Thread safety: safe. Threads: kAtOnce.
class Loads {
 public:
  static constexpr int kAtOnce = 4;          // Loads that run at a time; more wait their turn.
  static constexpr std::size_t kKept = 200;  // Finished ones, the newest.
  static constexpr std::size_t kNamedMax = 20;

  struct Parts {
    Registry& registry;
    DatasetTable& datasets;
    Inventory& inventory;
    Pool& pool;
    EventLog& events;
  };

  // Goes on with the loads that were running.
  static Result<std::unique_ptr<Loads>> Open(Parts parts);
  ~Loads();

  // Ends all runs; their loads stay Running for the next control. Idempotent.
  void Stop() EXCLUDES(mutex_);

  // Errors: kNotFound (dataset), kInvalidArgument, and those of Registry.
  Result<LoadRecord> Start(LoadTarget target) EXCLUDES(mutex_);

  // kInvalidArgument if the load's phase does not allow it; kNotFound.
  Result<LoadRecord> Pause(const std::string& id) EXCLUDES(mutex_);
  Result<LoadRecord> Resume(const std::string& id) EXCLUDES(mutex_);
  Result<LoadRecord> Cancel(const std::string& id) EXCLUDES(mutex_);

  Result<LoadRecord> Find(const std::string& id) const EXCLUDES(mutex_);
  std::vector<LoadRecord> All() const EXCLUDES(mutex_);  // Oldest first.

 private:
  struct Load {
    LoadRecord view;
    std::stop_source stop;             // Of the run.
    bool running = false;              // A thread works on it.
    Deadline began = Deadline::max();  // When one did first.
    Deadline next = Deadline::min();   // When one is to look again: its target is not listed yet.
    Deadline sampled_at;
    std::uint64_t sampled_bytes = 0;
  };
  explicit Loads(Parts parts) : parts_(parts) {}
  std::map<std::string, Load>::iterator NextDue(Deadline& due) REQUIRES(mutex_);
  void RunThread(const std::stop_token& stop) EXCLUDES(mutex_);
  Status Execute(const LoadRecord& load, const std::vector<ListedFile>& files,
                 const std::stop_token& stop) EXCLUDES(mutex_);
  // What is to be loaded. Nothing: it is not listed yet, and the load waits for another turn.
  Result<std::optional<std::vector<ListedFile>>> Target(const LoadRecord& load, Deadline began,
                                                        const std::stop_token& stop)
      EXCLUDES(mutex_);
  void Postpone(const std::string& id, const std::string& reason) EXCLUDES(mutex_);
  void Wait(std::chrono::milliseconds time, const std::stop_token& stop) EXCLUDES(mutex_);
  void Progress(const std::string& id, std::uint64_t done_bytes) EXCLUDES(mutex_);
  void End(const std::string& id, const Status& outcome) EXCLUDES(mutex_);
  Result<LoadRecord> SetPhase(const std::string& id, LoadPhase phase,
                              std::initializer_list<LoadPhase> from) EXCLUDES(mutex_);
  Status Store(const LoadRecord& view);
  void DropOldest() REQUIRES(mutex_);

  const Parts parts_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::map<std::string, Load> loads_ GUARDED_BY(mutex_);  // Ids grow with time.
  TaskGroup threads_;                                     // Last: joined first.
};

}  // namespace forebay
