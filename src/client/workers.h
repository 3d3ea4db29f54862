// Workers: who may be asked for a block, who is best asked now, and what they said about
// themselves.
//
// The decisions are core's (Ring, Chooser); this holds their state for all readers of a process.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "client/worker_link.h"
#include "core/choose.h"
#include "core/ids.h"
#include "core/recent_map.h"
#include "core/ring.h"

namespace forebay {

// A member's place in the ring. The ring of a members file never changes.
using MemberIndex = std::uint32_t;

// Thread safety: safe.
class Workers {
 public:
  // `links` are in the order of the ring's members.
  Workers(Ring ring, std::vector<std::unique_ptr<WorkerLink>> links, std::uint64_t seed);

  bool empty() const { return links_.empty(); }
  std::size_t size() const { return links_.size(); }
  WorkerLink& link(MemberIndex member) { return *links_[member]; }
  const std::string& name(MemberIndex member) const { return ring_.name(member); }

  // The home, which alone fills from the upstream. There must be members.
  MemberIndex Home(const BlockKey& block) const;
  // The members that hold the block as far as is known: as many as the file's last reply said.
  std::vector<MemberIndex> Holders(const BlockKey& block) EXCLUDES(mutex_);
  // The next in the ring after the first `holders`: with those gone, they act as home, so that the
  // upstream is still asked once for all clients.
  std::vector<MemberIndex> Successors(const BlockKey& block, std::size_t holders) const;
  // The two that may be asked about the names in a directory, best first.
  std::vector<MemberIndex> DirectoryHolders(std::uint64_t directory_hash) const;

  // The least loaded of `members` that is well, counted as asked; nothing if none is well.
  // Exactly one of the next four must follow.
  std::optional<MemberIndex> Ask(std::span<const MemberIndex> members) EXCLUDES(mutex_);
  void Answered(MemberIndex member, const FileKey& file, LoadReport load) EXCLUDES(mutex_);
  void AnsweredLookup(MemberIndex member) EXCLUDES(mutex_);
  void Failed(MemberIndex member) EXCLUDES(mutex_);
  void Abandoned(MemberIndex member) EXCLUDES(mutex_);

 private:
  struct HolderCount {
    std::uint16_t holders = 1;
    Clock::time_point until;
  };

  const Ring ring_;
  const std::vector<std::unique_ptr<WorkerLink>> links_;

  Mutex mutex_;
  Chooser chooser_ GUARDED_BY(mutex_);
  std::vector<std::uint32_t> depths_ GUARDED_BY(mutex_);  // As last reported.
  RecentMap<FileKey, HolderCount, KeyHash> counts_ GUARDED_BY(mutex_);
};

}  // namespace forebay
