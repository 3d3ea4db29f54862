#include "core/eviction.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace forebay {
namespace {

constexpr std::uint8_t kUsesMax = 3;
// The small queue is 1/32 of the tier: 10 % in the paper, where 1 to 20 % made little
// difference; a loop hits with what the small queue does not take.
constexpr std::uint64_t kSmallShare = 32;
// Touches within this part of the tier's turnover count as one.
constexpr std::uint64_t kInStepShare = 32;
// While the main queue is below 29/32 of what the tier holds when full, new blocks go there at
// once. Between that and 31/32 nothing moves: so watermarks of 95 and 90 % cannot make it breathe.
constexpr std::uint64_t kDirectNumerator = 29;
constexpr std::uint64_t kDirectDenominator = 32;
constexpr std::uint64_t kGhostTurnovers = 12;
// Entries of the main queue that get their second chance at one comparison.
constexpr int kRotationsMax = 4;

}  // namespace

void Eviction::Inserted(const BlockKey& key, std::uint32_t size) {
  CHECK(size > 0);
  CHECK(!entries_.contains(key));
  offered_.reset();
  const bool in_main = BelongsInMain(key, size);
  now_ += size;
  Queue& queue = QueueOf(in_main);
  queue.entries.push_front({key, size, 0, in_main, now_, now_});
  queue.bytes += size;
  entries_.emplace(key, queue.entries.begin());
}

bool Eviction::BelongsInMain(const BlockKey& key, std::uint32_t size) {
  const bool room = full_bytes_ == 0 ||
                    (main_.bytes + size) * kDirectDenominator <= full_bytes_ * kDirectNumerator;
  const auto found = ghosts_.find(key.Hash64());
  if (found == ghosts_.end()) return room;
  const std::uint64_t away = now_ - found->second.touched_at;
  ghosts_.erase(found);
  if (room || main_.entries.empty()) return true;
  return now_ - ColdestInMain()->touched_at > away;
}

// The main queue's oldest entry, after second chances for those that were used.
Eviction::Position Eviction::ColdestInMain() {
  for (int i = 0; i < kRotationsMax && main_.entries.back().uses > 0; ++i) {
    const Position last = std::prev(main_.entries.end());
    --last->uses;
    MoveToFront(last, true);
  }
  return std::prev(main_.entries.end());
}

void Eviction::MoveToFront(Position entry, bool to_main) {
  Queue& from = QueueOf(entry->in_main);
  Queue& to = QueueOf(to_main);
  from.bytes -= entry->bytes;
  to.bytes += entry->bytes;
  entry->in_main = to_main;
  to.entries.splice(to.entries.begin(), from.entries, entry);
}

void Eviction::Touched(const BlockKey& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  offered_.reset();
  Entry& entry = *found->second;
  entry.touched_at = now_;
  if ((now_ - entry.counted_at) * kInStepShare < bytes()) return;
  entry.counted_at = now_;
  if (entry.uses < kUsesMax) ++entry.uses;
}

void Eviction::Removed(const BlockKey& key, Removal why) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  offered_.reset();
  const Position entry = found->second;
  if (why == Removal::kEvicted) Remember(*entry);
  Queue& queue = QueueOf(entry->in_main);
  queue.bytes -= entry->bytes;
  entries_.erase(found);
  queue.entries.erase(entry);
}

void Eviction::Remember(const Entry& entry) {
  const std::uint64_t hash = entry.key.Hash64();
  ghosts_[hash] = {entry.touched_at, ++serial_};
  ghost_order_.push_back({hash, serial_, entry.bytes});
  ghost_bytes_ += entry.bytes;
  const std::uint64_t bytes_max = kGhostTurnovers * bytes();
  while (ghost_order_.size() > kGhostsMax || ghost_bytes_ > bytes_max) {
    const GhostRecord oldest = ghost_order_.front();
    ghost_order_.pop_front();
    ghost_bytes_ -= oldest.bytes;
    const auto found = ghosts_.find(oldest.hash);
    if (found != ghosts_.end() && found->second.serial == oldest.serial) ghosts_.erase(found);
  }
}

std::optional<BlockKey> Eviction::Victim(const std::function<bool(const BlockKey&)>& is_pinned) {
  if (offered_ && !is_pinned(*offered_)) return offered_;
  full_bytes_ = bytes();
  const bool small_first = small_.bytes * kSmallShare > full_bytes_;
  offered_ = small_first ? VictimInSmall(is_pinned) : VictimInMain(is_pinned);
  if (!offered_) offered_ = small_first ? VictimInMain(is_pinned) : VictimInSmall(is_pinned);
  return offered_;
}

// Each entry is looked at once at most: those used again move to the main queue, pinned ones to the
// front of this one.
std::optional<BlockKey> Eviction::VictimInSmall(
    const std::function<bool(const BlockKey&)>& is_pinned) {
  for (std::size_t left = small_.entries.size(); left > 0; --left) {
    const Position last = std::prev(small_.entries.end());
    if (last->uses > 0) {
      last->uses = 0;
      MoveToFront(last, true);
    } else if (is_pinned(last->key)) {
      MoveToFront(last, false);
    } else {
      return last->key;
    }
  }
  return std::nullopt;
}

// Each second chance was paid for by a read; an entry that nothing protects is found after
// kUsesMax + 1 rounds at the latest.
std::optional<BlockKey> Eviction::VictimInMain(
    const std::function<bool(const BlockKey&)>& is_pinned) {
  std::size_t pinned = 0;
  while (pinned < main_.entries.size()) {
    const Position last = std::prev(main_.entries.end());
    if (last->uses > 0) {
      --last->uses;
      pinned = 0;
    } else if (is_pinned(last->key)) {
      ++pinned;
    } else {
      return last->key;
    }
    MoveToFront(last, true);
  }
  return std::nullopt;
}

}  // namespace forebay
