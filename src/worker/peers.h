// Peers: the ring as this worker sees it, and its channels to the others.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cluster/members.h"
#include "core/choose.h"
#include "core/ring.h"
#include "rpc/channel.h"

namespace forebay {

// Thread safety: safe.
class Peers {
 public:
  // Errors: kInvalidArgument: `self` is not a member, or a member's address is no address.
  static Result<std::unique_ptr<Peers>> Create(const MembersFile& members, const std::string& self,
                                               const ChannelOptions& options);

  const Ring& ring() const { return ring_; }
  std::uint32_t self() const { return self_; }

  // The members that may fill the block or directory with this hash before this worker, best first;
  // none if this worker is the home. A member that failed lately is left out: the next one acts as
  // home meanwhile.
  std::vector<std::uint32_t> Before(std::uint64_t hash) EXCLUDES(mutex_);

  // Whether this worker is the home of `hash`, whoever is well.
  bool IsHome(std::uint64_t hash) const;

  Channel& channel(std::uint32_t member) { return *channels_[member]; }
  // A request is sent to `member`; Answered (whatever the answer) or Failed follows.
  void Tried(std::uint32_t member) EXCLUDES(mutex_);
  void Answered(std::uint32_t member) EXCLUDES(mutex_);
  void Failed(std::uint32_t member) EXCLUDES(mutex_);

 private:
  Peers(Ring ring, std::uint32_t self, std::vector<std::unique_ptr<Channel>> channels);

  const Ring ring_;
  const std::uint32_t self_;
  const std::vector<std::unique_ptr<Channel>> channels_;  // Null for this worker.
  Mutex mutex_;
  std::vector<Breaker> breakers_ GUARDED_BY(mutex_);
};

}  // namespace forebay
