#include "worker/peers.h"

#include <array>
#include <utility>

namespace forebay {

Result<std::unique_ptr<Peers>> Peers::Create(const MembersFile& members, const std::string& self,
                                             const ChannelOptions& options) {
  std::vector<RingMember> ring_members;
  std::map<std::string, Address> addresses;
  for (const Member& member : members.members) {
    Result<Address> address = ParseAddress(member.address);
    if (!address.ok()) return std::move(address).error().Within("member " + member.name);
    addresses.emplace(member.name, std::move(address).value());
    ring_members.push_back({member.name, member.weight});
  }
  constexpr std::uint64_t kFixedEpoch = 1;  // A members file never changes while it is used.
  Result<Ring> ring = Ring::Create(kFixedEpoch, std::move(ring_members));
  if (!ring.ok()) return std::move(ring).error();
  const std::optional<std::uint32_t> found = ring.value().Find(self);
  if (!found) {
    return Error(Code::kInvalidArgument,
                 "--name \"" + self + "\": not in the members file; add it, or use a name of it");
  }
  std::vector<std::unique_ptr<Channel>> channels(ring.value().size());
  for (std::uint32_t i = 0; i < channels.size(); ++i) {
    if (i == *found) continue;
    channels[i] = std::make_unique<Channel>(addresses.at(ring.value().name(i)), options);
  }
  return std::unique_ptr<Peers>(new Peers(std::move(ring).value(), *found, std::move(channels)));
}

Peers::Peers(Ring ring, std::uint32_t self, std::vector<std::unique_ptr<Channel>> channels)
    : ring_(std::move(ring)),
      self_(self),
      channels_(std::move(channels)),
      breakers_(channels_.size()) {}

std::vector<std::uint32_t> Peers::Before(std::uint64_t hash) {
  std::array<std::uint32_t, Ring::kHoldersMax> space{};
  std::vector<std::uint32_t> before;
  const Deadline now = Clock::now();
  MutexLock lock(mutex_);
  for (const std::uint32_t member : ring_.Holders(hash, space)) {
    if (member == self_) break;
    if (breakers_[member].MayTry(now)) before.push_back(member);
  }
  return before;
}

bool Peers::IsHome(std::uint64_t hash) const {
  std::array<std::uint32_t, 1> home{};
  return ring_.Holders(hash, home)[0] == self_;
}

void Peers::Tried(std::uint32_t member) {
  MutexLock lock(mutex_);
  breakers_[member].Tried(Clock::now());
}

void Peers::Answered(std::uint32_t member) {
  MutexLock lock(mutex_);
  breakers_[member].Answered();
}

void Peers::Failed(std::uint32_t member) {
  MutexLock lock(mutex_);
  breakers_[member].Failed(Clock::now());
}

}  // namespace forebay
