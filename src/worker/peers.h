// Peers: this worker's channels to the other members of the group.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "core/choose.h"
#include "core/membership.h"
#include "rpc/channel.h"

namespace forebay {

// Thread safety: safe.
class Peers {
 public:
  // Knows nobody before SetMembers. The channels share their receivers.
  Peers(std::string self, ChannelOptions options)
      : self_(std::move(self)), options_(std::move(options)) {
    if (!options_.receivers) options_.receivers = std::make_shared<Receivers>();
  }

  const std::string& self() const { return self_; }

  // The members of both rings of `map` from now on; their channels send its epoch. Who keeps name
  // and address keeps the channel; calls to those that are gone end with kCancelled once nobody
  // uses them.
  void SetMembers(const GroupMap& map) EXCLUDES(mutex_);

  // Null: not a member, or this worker, or its address is none.
  std::shared_ptr<Channel> channel(std::string_view member) const EXCLUDES(mutex_);

  // Whether `member` is known and was not failing lately: another one acts in its place meanwhile.
  bool MayTry(std::string_view member) const EXCLUDES(mutex_);
  // A request is sent to `member`; Answered (whatever the answer) or Failed follows.
  void Tried(std::string_view member) EXCLUDES(mutex_);
  void Answered(std::string_view member) EXCLUDES(mutex_);
  void Failed(std::string_view member) EXCLUDES(mutex_);

 private:
  struct Peer {
    std::string address;
    std::shared_ptr<Channel> channel;
    Breaker breaker;
  };
  Breaker* BreakerOf(std::string_view member) REQUIRES(mutex_);

  const std::string self_;
  ChannelOptions options_;
  mutable Mutex mutex_;
  std::map<std::string, Peer, std::less<>> peers_ GUARDED_BY(mutex_);
};

}  // namespace forebay
