// HolderCounts: how many holders files have, as far as a reader was told.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/deadline.h"
#include "core/ids.h"
#include "core/recent_map.h"

namespace forebay {

// In a burst all readers would ask the home for each next file's first blocks, as only a reply
// tells who else holds them, and the last of these homes sends when nobody else does. So a file
// that nothing is known of counts as hot as both of the last two files of its dataset: what is hot
// alone between cold ones says nothing about them. Whoever is asked without holding the block gets
// it from its home, and keeps it.
//
// Thread safety: none. Cost: constant.
class HolderCounts {
 public:
  // How long a count is remembered: as long as workers let a hot file cool.
  static constexpr std::chrono::seconds kRememberedFor{10};
  static constexpr std::size_t kFilesMax = 4096;
  static constexpr std::size_t kDatasetsMax = 256;

  // A reply said so of `file`; 0: it said nothing. `now` never goes back.
  void Told(const FileKey& file, std::uint16_t holders, Clock::time_point now);

  // At least 1.
  std::uint16_t Of(const FileKey& file, Clock::time_point now);

 private:
  struct Count {
    std::uint16_t holders = 1;
    Clock::time_point until;
  };
  // Of one dataset, and one domain.
  struct LastTwo {
    FileKey file;  // What `last` is of.
    Count last;
    Count before;
  };

  // All of a file's key that its dataset's other files share.
  static FileKey DatasetOf(const FileKey& file) { return {file.domain, file.dataset, {}, {}}; }

  RecentMap<FileKey, Count, KeyHash> files_{kFilesMax};
  RecentMap<FileKey, LastTwo, KeyHash> datasets_{kDatasetsMax};
};

}  // namespace forebay
