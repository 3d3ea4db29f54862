#include "client/workers.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"

namespace forebay {
namespace {

// Files whose holder count is remembered, and for how long: as long as workers let a hot file cool.
constexpr std::size_t kFilesMax = 4096;
constexpr std::chrono::seconds kCountTime{10};
constexpr std::size_t kDirectoryHolders = 2;
constexpr std::size_t kSuccessors = 2;

}  // namespace

Workers::Workers(Ring ring, std::vector<std::unique_ptr<WorkerLink>> links, std::uint64_t seed)
    : ring_(std::move(ring)),
      links_(std::move(links)),
      chooser_(seed),
      depths_(links_.size()),
      counts_(kFilesMax) {
  CHECK(ring_.size() == links_.size());
}

MemberIndex Workers::Home(const BlockKey& block) const {
  MemberIndex home = 0;
  CHECK(ring_.Holders(block.Hash64(), std::span(&home, 1)).size() == 1);
  return home;
}

std::vector<MemberIndex> Workers::Holders(const BlockKey& block) {
  std::size_t count = 1;
  {
    MutexLock lock(mutex_);
    const HolderCount& known = counts_.Use(block.file, [](const HolderCount&) {});
    if (known.until > Clock::now()) count = known.holders;
  }
  std::array<MemberIndex, Ring::kHoldersMax> room{};
  const std::span<MemberIndex> wanted =
      std::span(room).first(std::clamp<std::size_t>(count, 1, room.size()));
  const std::span<const MemberIndex> holders = ring_.Holders(block.Hash64(), wanted);
  return {holders.begin(), holders.end()};
}

std::vector<MemberIndex> Workers::Successors(const BlockKey& block, std::size_t holders) const {
  std::array<MemberIndex, Ring::kHoldersMax> room{};
  const std::size_t wanted = std::min(holders + kSuccessors, room.size());
  const std::span<const MemberIndex> members =
      ring_.Holders(block.Hash64(), std::span(room).first(wanted));
  const auto first =
      members.begin() + static_cast<std::ptrdiff_t>(std::min(holders, members.size()));
  return {first, members.end()};
}

std::vector<MemberIndex> Workers::DirectoryHolders(std::uint64_t directory_hash) const {
  std::array<MemberIndex, kDirectoryHolders> room{};
  const std::span<const MemberIndex> holders = ring_.Holders(directory_hash, room);
  return {holders.begin(), holders.end()};
}

std::optional<MemberIndex> Workers::Ask(std::span<const MemberIndex> members) {
  const Clock::time_point now = Clock::now();
  MutexLock lock(mutex_);
  const std::optional<std::size_t> place = chooser_.Choose(members, now);
  if (!place) return std::nullopt;
  chooser_.Sent(members[*place], now);
  return members[*place];
}

void Workers::Answered(MemberIndex member, const FileKey& file, LoadReport load) {
  MutexLock lock(mutex_);
  depths_[member] = load.queue_depth;
  chooser_.Answered(member, load.queue_depth, Clock::now());
  counts_.Use(file, [](const HolderCount&) {}) =
      HolderCount{.holders = load.holders, .until = Clock::now() + kCountTime};
}

void Workers::AnsweredLookup(MemberIndex member) {
  MutexLock lock(mutex_);
  chooser_.Answered(member, depths_[member], Clock::now());
}

void Workers::Failed(MemberIndex member) {
  MutexLock lock(mutex_);
  chooser_.Failed(member, Clock::now());
}

void Workers::Abandoned(MemberIndex member) {
  MutexLock lock(mutex_);
  chooser_.Abandoned(member);
}

}  // namespace forebay
