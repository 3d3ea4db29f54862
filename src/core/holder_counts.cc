#include "core/holder_counts.h"

#include <algorithm>

namespace forebay {

void HolderCounts::Told(const FileKey& file, std::uint16_t holders, Clock::time_point now) {
  if (holders == 0) return;
  const Count count{.holders = holders, .until = now + kRememberedFor};
  files_.Use(file, [](const Count&) {}) = count;
  LastTwo& two = datasets_.Use(DatasetOf(file), [](const LastTwo&) {});
  if (two.file != file) {
    two.before = two.last;
    two.file = file;
  }
  two.last = count;
}

std::uint16_t HolderCounts::Of(const FileKey& file, Clock::time_point now) {
  const Count* known = files_.Find(file);
  if (known != nullptr && known->until > now) return known->holders;
  const LastTwo* two = datasets_.Find(DatasetOf(file));
  if (two == nullptr || two->last.until <= now || two->before.until <= now) return 1;
  return std::min(two->last.holders, two->before.holders);
}

}  // namespace forebay
