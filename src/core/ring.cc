#include "core/ring.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/digest.h"
#include "base/rng.h"

namespace forebay {
namespace {

// Of the fixed-point logarithm. 64 * 2^44 * Ring::kWeightMax fits into 64 bits, so that products of
// a cost and a weight are exact.
constexpr int kFractionBits = 44;

// -log2((x + 1) / 2^64) as a fixed-point number, rounded up. One bit per squaring.
std::uint64_t MinusLog2(std::uint64_t x) {
  if (x == UINT64_MAX) return 1;
  const int exponent = 63 - std::countl_zero(x + 1);
  std::uint64_t mantissa = (x + 1) << (63 - exponent);  // 1.63 fixed point, in [1, 2).
  std::uint64_t log = static_cast<std::uint64_t>(exponent);
  for (int bit = 0; bit < kFractionBits; ++bit) {
    const unsigned __int128 square = static_cast<unsigned __int128>(mantissa) * mantissa;
    const bool two_or_more = (square >> 127) != 0;
    mantissa = static_cast<std::uint64_t>(square >> (two_or_more ? 64 : 63));
    log = log << 1 | static_cast<std::uint64_t>(two_or_more);
  }
  return (std::uint64_t{64} << kFractionBits) - log;
}

// What one member bids for one block. The least cost / weight wins.
struct Bid {
  std::uint64_t cost = 0;
  std::uint64_t weight = 1;
  std::uint64_t mix = 0;
  std::uint32_t member = 0;

  // A total order, so that equal bids cannot make two processes disagree.
  bool Beats(const Bid& other) const {
    const unsigned __int128 mine = static_cast<unsigned __int128>(cost) * other.weight;
    const unsigned __int128 its = static_cast<unsigned __int128>(other.cost) * weight;
    if (mine != its) return mine < its;
    return mix != other.mix ? mix > other.mix : member < other.member;
  }
};

Error InvalidRing(const std::string& what) {
  return Error(Code::kInvalidArgument, "ring: " + what);
}

}  // namespace

Result<Ring> Ring::Create(std::uint64_t epoch, std::vector<RingMember> members) {
  if (members.size() > kMembersMax) {
    return InvalidRing(std::to_string(members.size()) + " members, at most " +
                       std::to_string(kMembersMax));
  }
  std::sort(members.begin(), members.end(),
            [](const RingMember& a, const RingMember& b) { return a.name < b.name; });
  Ring ring;
  ring.epoch_ = epoch;
  for (RingMember& member : members) {
    if (member.name.empty()) return InvalidRing("a member has no name");
    if (member.weight < 1 || member.weight > kWeightMax) {
      return InvalidRing("member '" + member.name + "' has weight " +
                         std::to_string(member.weight) + ", must be 1 to " +
                         std::to_string(kWeightMax));
    }
    if (!ring.members_.empty()) {
      if (ring.members_.back().name == member.name) {
        return InvalidRing("member '" + member.name + "' repeats");
      }
      ring.weighted_ = ring.weighted_ || ring.members_.back().weight != member.weight;
    }
    const std::uint64_t hash = DigestOf(member.name).Low64();
    ring.members_.push_back({std::move(member.name), member.weight, hash});
  }
  return ring;
}

std::optional<std::uint32_t> Ring::Find(std::string_view name) const {
  const auto found =
      std::lower_bound(members_.begin(), members_.end(), name,
                       [](const Member& member, std::string_view n) { return member.name < n; });
  if (found == members_.end() || found->name != name) return std::nullopt;
  return static_cast<std::uint32_t>(found - members_.begin());
}

std::span<const std::uint32_t> Ring::Holders(std::uint64_t hash, std::span<std::uint32_t> out,
                                             const std::vector<bool>& masked) const {
  std::array<Bid, kHoldersMax> best;  // Best first.
  const std::size_t places = std::min({out.size(), members_.size(), kHoldersMax});
  std::size_t taken = 0;
  if (places == 0) return {};
  for (std::uint32_t number = 0; number < members_.size(); ++number) {
    if (!masked.empty() && masked[number]) continue;
    const Member& member = members_[number];
    const std::uint64_t mix = Mix64(hash ^ member.hash);
    const Bid bid =
        weighted_ ? Bid{MinusLog2(mix), member.weight, mix, number} : Bid{~mix, 1, mix, number};
    if (taken == places && !bid.Beats(best[places - 1])) continue;
    if (taken < places) ++taken;
    std::size_t place = taken - 1;
    for (; place > 0 && bid.Beats(best[place - 1]); --place) best[place] = best[place - 1];
    best[place] = bid;
  }
  for (std::size_t i = 0; i < taken; ++i) out[i] = best[i].member;
  return out.first(taken);
}

namespace {

std::vector<bool> MaskOf(const Ring& ring, std::span<const std::string> names) {
  std::vector<bool> mask;
  for (const std::string& name : names) {
    const std::optional<std::uint32_t> member = ring.Find(name);
    if (!member) continue;
    mask.resize(ring.size());
    mask[*member] = true;
  }
  return mask;
}

std::optional<std::uint32_t> BestOf(const Ring& ring, std::uint64_t hash,
                                    const std::vector<bool>& masked) {
  std::uint32_t place = 0;
  const std::span<const std::uint32_t> home = ring.Holders(hash, {&place, 1}, masked);
  if (home.empty()) return std::nullopt;
  return home.front();
}

}  // namespace

Result<Placement> Placement::Create(Ring current, std::optional<Ring> previous,
                                    std::span<const std::string> masked) {
  if (previous && previous->epoch() >= current.epoch()) {
    return Error(Code::kInvalidArgument,
                 "placement: the previous ring has epoch " + std::to_string(previous->epoch()) +
                     ", the current one " + std::to_string(current.epoch()));
  }
  Placement placement;
  placement.masked_ = MaskOf(current, masked);
  if (previous) placement.previous_masked_ = MaskOf(*previous, masked);
  placement.current_ = std::move(current);
  placement.previous_ = std::move(previous);
  return placement;
}

std::optional<std::uint32_t> Placement::Home(std::uint64_t hash) const {
  return BestOf(current_, hash, masked_);
}

std::optional<std::string_view> Placement::PreviousHome(std::uint64_t hash) const {
  if (!previous_) return std::nullopt;
  const std::optional<std::uint32_t> before = BestOf(*previous_, hash, previous_masked_);
  if (!before) return std::nullopt;
  const std::string_view name = previous_->name(*before);
  const std::optional<std::uint32_t> home = Home(hash);
  if (home && current_.name(*home) == name) return std::nullopt;
  return name;
}

}  // namespace forebay
