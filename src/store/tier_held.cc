// TierState's part for those who look at what is held as a whole: a census, an eviction that was
// asked for. Each walks the keys a part at a time, so that nobody waits for the mutex for long.
#include <fmt/format.h>

#include <utility>

#include "store/tier_state.h"

namespace forebay {
namespace {

// Looked at, or dropped, before others are let at the mutex: about 0.2 ms.
constexpr std::size_t kKeysPerLock = 256;

}  // namespace

std::vector<bool> TierState::Held(const FileKey& file, std::uint32_t blocks) const {
  std::vector<bool> held(blocks);
  for (BlockKey from{file, 0};;) {
    MutexLock lock(mutex_);
    const std::vector<BlockKey> keys = index_.KeysFrom(from, kKeysPerLock);
    for (const BlockKey& key : keys) {
      if (key.file != file || key.index >= blocks) return held;
      held[key.index] = eviction_.Contains(key);
    }
    if (keys.size() < kKeysPerLock || keys.back().index + 1 >= blocks) return held;
    from.index = keys.back().index + 1;
  }
}

Result<std::vector<bool>> TierState::Verify(const FileKey& file, std::uint32_t blocks,
                                            Deadline deadline, const std::stop_token& stop) {
  std::vector<bool> held = Held(file, blocks);
  for (std::uint32_t index = 0; index < blocks; ++index) {
    if (!held[index]) continue;
    if (stop.stop_requested()) return Error(Code::kCancelled, "tier: verify was stopped");
    if (Passed(deadline)) {
      return Error(Code::kDeadlineExceeded,
                   fmt::format("tier: verified {} of {} blocks in time", index, blocks));
    }
    held[index] = Recheck({file, index}).ok();
  }
  return held;
}

std::uint64_t TierState::DropIf(const std::function<bool(const BlockKey&)>& matches) {
  std::uint64_t dropped_bytes = 0;
  std::optional<BlockKey> last;
  while (true) {
    std::vector<BlockKey> keys;
    {
      MutexLock lock(mutex_);
      keys = index_.KeysAfter(last, kKeysPerLock);
    }
    if (keys.empty()) return dropped_bytes;
    last = keys.back();
    std::erase_if(keys, [&matches](const BlockKey& key) { return !matches(key); });
    MutexLock lock(mutex_);
    for (const BlockKey& key : keys) dropped_bytes += DropLocked(key, Reason::kAsked);
  }
}

std::uint32_t TierState::DropLocked(const BlockKey& key, Reason reason) {
  const std::shared_ptr<TierBlock> block = index_.Find(key);
  if (!block) return 0;
  if (!eviction_.Contains(key)) {
    block->indexed = false;  // Being filled: its writer and handles go on without the index.
    index_.Remove(key, 0);
    return 0;
  }
  Evict(*block, reason);
  return block->length();
}

std::map<DatasetUid, DatasetUsage> TierState::Usage() const {
  MutexLock lock(mutex_);
  return index_.usage();
}

}  // namespace forebay
