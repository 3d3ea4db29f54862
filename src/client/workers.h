// Workers: who may be asked for a block, who is best asked now, and what they said about
// themselves.
//
// The decisions are core's (Placement, Chooser); this holds their state for all readers of a
// process. The map may be replaced at any time: what is under way goes on with the workers it has.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"
#include "client/worker_link.h"
#include "core/choose.h"
#include "core/holder_counts.h"
#include "core/ids.h"
#include "core/membership.h"
#include "core/ring.h"

namespace forebay {

// A worker that this client knows: one for as long as its name and address stay in the maps.
struct KnownWorker {
  std::uint32_t number = 0;  // Dense from 0, never given twice.
  std::string name;
  std::string address;
  std::unique_ptr<WorkerLink> link;
};
using WorkerRef = std::shared_ptr<const KnownWorker>;

// The members of one map. Immutable.
struct Roster {
  std::uint64_t epoch = 0;  // Of the map; 0: there was none yet.
  Placement placement;
  // By place in placement.ring(). Null: its address is not one.
  std::vector<WorkerRef> members;
};

// The epoch of the map that a members file makes, which never changes. Workers are not told of it:
// theirs is 0 then. Those of control are above 2^32.
inline constexpr std::uint64_t kFileEpoch = 1;

// Thread safety: safe. Threads: one while a newer map is fetched.
class Workers {
 public:
  // As ChannelOptions::on_newer.
  using OnNewer = std::function<void(std::uint64_t epoch, std::string_view map)>;
  using LinkFactory = std::function<Result<std::unique_ptr<WorkerLink>>(const std::string& address,
                                                                        OnNewer on_newer)>;

  // Knows nobody. `seed` must differ from client to client.
  Workers(LinkFactory make_link, std::uint64_t seed)
      : make_link_(std::move(make_link)), chooser_(seed) {}

  // Goes by `map` from now on, if it is newer than what is in force; an older one is ignored.
  // Errors: kInvalidArgument: it is no map (nothing is changed then), or an address in it is not
  // one (its member is then not asked).
  Status Adopt(const GroupMap& map) EXCLUDES(mutex_);
  // What workers told since about newer maps comes into force, if it came along, else it is fetched
  // in the background. Called by all that hear an answer; cheap when there is nothing new.
  void FollowMaps() EXCLUDES(mutex_);

  std::shared_ptr<const Roster> roster() const EXCLUDES(mutex_);
  std::uint64_t epoch() const { return roster()->epoch; }
  bool empty() const { return roster()->members.empty(); }
  // Those that are not masked.
  std::vector<WorkerRef> Living() const;

  // The first `count` holders, the home first; fewer if fewer live.
  std::vector<WorkerRef> FirstHolders(const BlockKey& block, std::size_t count) const;
  // The members that hold the block as far as is known (HolderCounts), and no fewer than `least`.
  std::vector<WorkerRef> Holders(const BlockKey& block, std::size_t least) EXCLUDES(mutex_);
  // The next in the ring after the first `holders`: with those gone, they act as home, so that the
  // upstream is still asked once for all clients.
  std::vector<WorkerRef> Successors(const BlockKey& block, std::size_t holders) const;
  // The two that may be asked about the names in a directory, best first.
  std::vector<WorkerRef> DirectoryHolders(std::uint64_t directory_hash) const;

  // The least loaded of `workers` that is well, counted as asked; null if none is well.
  // Exactly one of the next four must follow.
  WorkerRef Ask(std::span<const WorkerRef> workers) EXCLUDES(mutex_);
  void Answered(const WorkerRef& worker, const FileKey& file, LoadReport load) EXCLUDES(mutex_);
  void AnsweredOther(const WorkerRef& worker) EXCLUDES(mutex_);  // Not about a block.
  void Failed(const WorkerRef& worker) EXCLUDES(mutex_);
  void Abandoned(const WorkerRef& worker) EXCLUDES(mutex_);

 private:
  // What a worker told about a newer map, until somebody looks.
  struct News {
    std::uint64_t epoch = 0;
    std::uint32_t worker = 0;
    std::string map;  // JSON; empty: to be fetched.
  };

  std::vector<WorkerRef> Placed(std::uint64_t hash, std::size_t count) const;
  WorkerRef MakeWorker(const std::string& name, const std::string& address, Status* outcome)
      REQUIRES(mutex_);
  void Heard(std::uint32_t worker, std::uint64_t epoch, std::string_view map) EXCLUDES(news_mutex_);
  void Fetch(std::uint32_t worker, std::uint64_t epoch) EXCLUDES(mutex_);
  void TryAdopt(const Result<GroupMap>& map) EXCLUDES(mutex_);

  const LinkFactory make_link_;

  // Of its own, as channels tell news while nobody knows what they hold.
  Mutex news_mutex_;
  std::optional<News> news_ GUARDED_BY(news_mutex_);
  std::atomic<bool> has_news_ = false;

  mutable Mutex mutex_;
  std::shared_ptr<const Roster> roster_ GUARDED_BY(mutex_) = std::make_shared<const Roster>();
  std::uint32_t next_number_ GUARDED_BY(mutex_) = 0;
  Chooser chooser_ GUARDED_BY(mutex_);
  std::vector<std::uint32_t> depths_ GUARDED_BY(mutex_);  // As last reported, by number.
  HolderCounts counts_ GUARDED_BY(mutex_);
  bool fetching_ GUARDED_BY(mutex_) = false;
  TaskGroup fetches_;  // Last: joined before what its tasks use goes.
};

}  // namespace forebay
