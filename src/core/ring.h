// Placement: which workers hold which block.
//
// Every process works out the holders of a block by itself, so all of them must get the same answer
// on every machine, compiler and release. Scores are therefore fixed integer arithmetic: no
// std::hash, no <random>, no floating point. ring_test.cc pins the answers.
//
// Source: rendezvous (highest random weight) hashing, Thaler & Ravishankar, 1998; weights by the
// logarithmic method, Schindelhauer & Schomaker, 2005.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace forebay {

struct RingMember {
  std::string name;          // Stable: the pod's name, never an address or a pid.
  std::uint32_t weight = 1;  // Share of the blocks, 1 to Ring::kWeightMax.
  bool operator==(const RingMember&) const = default;
};

// The members of one epoch. Members are numbered from 0 in the byte order of their names.
//
// Thread safety: immutable. Publish a std::shared_ptr<const Ring>, replace it whole.
class Ring {
 public:
  static constexpr std::size_t kMembersMax = 4096;
  static constexpr std::uint32_t kWeightMax = 1000;
  // Holders are worked out for at most this many places.
  static constexpr std::size_t kHoldersMax = 64;

  // The ring without members: reads go to the upstream.
  Ring() = default;

  // Builds the ring of `epoch`. The order of `members` does not matter; none is a valid ring.
  //
  // Errors: kInvalidArgument if a name is empty or repeats, a weight is out of range, or there are
  // more than kMembersMax members.
  static Result<Ring> Create(std::uint64_t epoch, std::vector<RingMember> members);

  std::uint64_t epoch() const { return epoch_; }
  std::size_t size() const { return members_.size(); }
  const std::string& name(std::uint32_t member) const { return members_[member].name; }
  std::uint32_t weight(std::uint32_t member) const { return members_[member].weight; }

  // The number of the member called `name`.
  std::optional<std::uint32_t> Find(std::string_view name) const;

  // Fills `out` with the members for `hash`, best first, and returns the part filled:
  // min(out.size(), size(), kHoldersMax) entries. Does not allocate.
  //
  // When a member leaves, only the blocks it held get a new holder; when one joins, or its weight
  // grows, a block changes holder only in its favour.
  // Cost: linear in the members; 10 ns each with equal weights, 0.1 us each otherwise.
  std::span<const std::uint32_t> Holders(std::uint64_t hash, std::span<std::uint32_t> out) const {
    return Holders(hash, out, {});
  }

  // The same without the members for which `masked` is true; an empty `masked` masks nobody.
  std::span<const std::uint32_t> Holders(std::uint64_t hash, std::span<std::uint32_t> out,
                                         const std::vector<bool>& masked) const;

 private:
  struct Member {
    std::string name;
    std::uint32_t weight = 1;
    std::uint64_t hash = 0;  // The first 8 bytes of SHA-256 of the name, little endian.
  };

  std::uint64_t epoch_ = 0;
  std::vector<Member> members_;  // Sorted by name.
  bool weighted_ = false;        // Some weights differ.
};

// The rings in force: the current one, while blocks move also the previous one, and the members
// that are suspected or known to be dead. A death makes no new ring: it masks the member in both,
// and the next holder acts as home.
//
// Thread safety: immutable. Publish a std::shared_ptr<const Placement>.
class Placement {
 public:
  // Nobody holds anything.
  Placement() = default;

  // Names in `masked` that are in neither ring are ignored.
  //
  // Errors: kInvalidArgument if the previous ring is not older than the current one.
  static Result<Placement> Create(Ring current, std::optional<Ring> previous,
                                  std::span<const std::string> masked);

  const Ring& ring() const { return current_; }
  std::uint64_t epoch() const { return current_.epoch(); }
  bool masked(std::uint32_t member) const { return !masked_.empty() && masked_[member]; }

  // The living members for `hash` in the current ring, best first; see Ring::Holders.
  std::span<const std::uint32_t> Holders(std::uint64_t hash, std::span<std::uint32_t> out) const {
    return current_.Holders(hash, out, masked_);
  }

  // The one member that may fill `hash` from the upstream; none if nobody lives.
  std::optional<std::uint32_t> Home(std::uint64_t hash) const;

  // Whom the home asks first when it misses: the name of the living home in the previous ring, if
  // that is another member. One hop: it answers from its tier or not at all.
  std::optional<std::string_view> PreviousHome(std::uint64_t hash) const;

 private:
  Ring current_;
  std::optional<Ring> previous_;
  std::vector<bool> masked_;           // Of the current ring; empty: nobody.
  std::vector<bool> previous_masked_;  // Of the previous ring; empty: nobody.
};

}  // namespace forebay
