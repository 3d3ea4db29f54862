#include "worker/peers.h"

#include <utility>

namespace forebay {

void Peers::SetMembers(const GroupMap& map) {
  std::map<std::string, Peer, std::less<>> gone;  // Channels end without the lock.
  MutexLock lock(mutex_);
  std::map<std::string, Peer, std::less<>> now;
  for (const MapMember& member : map.members) {
    if (member.name == self_) continue;
    const auto before = peers_.find(member.name);
    if (before != peers_.end() && before->second.address == member.address) {
      now.insert(peers_.extract(before));
    } else {
      const Result<Address> address = ParseAddress(member.address);
      if (!address.ok()) continue;
      now[member.name] = {member.address, std::make_shared<Channel>(address.value(), options_), {}};
    }
    now[member.name].channel->set_epoch(map.epoch);
  }
  gone = std::exchange(peers_, std::move(now));
}

std::shared_ptr<Channel> Peers::channel(std::string_view member) const {
  MutexLock lock(mutex_);
  const auto found = peers_.find(member);
  return found == peers_.end() ? nullptr : found->second.channel;
}

bool Peers::MayTry(std::string_view member) const {
  MutexLock lock(mutex_);
  const auto found = peers_.find(member);
  return found != peers_.end() && found->second.breaker.MayTry(Clock::now());
}

Breaker* Peers::BreakerOf(std::string_view member) {
  const auto found = peers_.find(member);
  return found == peers_.end() ? nullptr : &found->second.breaker;
}

void Peers::Tried(std::string_view member) {
  MutexLock lock(mutex_);
  if (Breaker* breaker = BreakerOf(member)) breaker->Tried(Clock::now());
}

void Peers::Answered(std::string_view member) {
  MutexLock lock(mutex_);
  if (Breaker* breaker = BreakerOf(member)) breaker->Answered();
}

void Peers::Failed(std::string_view member) {
  MutexLock lock(mutex_);
  if (Breaker* breaker = BreakerOf(member)) breaker->Failed(Clock::now());
}

}  // namespace forebay
