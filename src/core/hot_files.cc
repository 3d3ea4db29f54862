#include "core/hot_files.h"

#include <algorithm>

#include "base/check.h"
#include "base/rng.h"

namespace forebay {
namespace {

constexpr std::uint32_t kReadersPerHolder = 4;
// A worker's part of the hot files is only on average hot_bytes / members: what it has more by the
// chance of hashing must fit, too, or copies drive each other out.
constexpr std::uint64_t kCapacityPercent = 65;

}  // namespace

HotFiles::HotFiles(const HotFilesOptions& options) : options_(options), files_(options.files_max) {
  CHECK(options.members > 0 && options.window.count() >= 2);
}

void HotFiles::SetMembers(std::uint32_t members) {
  CHECK(members > 0);
  options_.members = members;
}

std::uint32_t HotFiles::Read(const FileKey& key, std::uint64_t reader, std::uint64_t file_bytes,
                             Clock::time_point now) {
  const auto half = static_cast<std::uint32_t>(now.time_since_epoch() / (options_.window / 2));
  File& file = files_.Use(key, [this](const File& gone) { hot_bytes_ -= HotBytes(gone); });
  hot_bytes_ -= HotBytes(file);
  file.bytes = file_bytes;
  const std::size_t readers = CountReaders(file, reader, half);
  std::uint32_t wanted = readers >= kReadersMax
                             ? options_.members
                             : 1 + static_cast<std::uint32_t>(readers) / kReadersPerHolder;
  wanted = std::min(wanted, options_.members);
  if (wanted < file.holders) {
    wanted = half == file.lowered ? file.holders : std::max(wanted, (file.holders + 1) / 2);
    file.lowered = half;
  }
  file.holders = Affordable(file, std::min(wanted, options_.members));
  hot_bytes_ += HotBytes(file);
  return file.holders;
}

// Notes the reader, and counts those of this half window and the one before.
std::size_t HotFiles::CountReaders(File& file, std::uint64_t reader, std::uint32_t half) {
  const auto id = static_cast<std::uint32_t>(Mix64(reader));
  std::erase_if(file.readers, [half](const Reader& r) { return r.half + 1 < half; });
  const auto known = std::find_if(file.readers.begin(), file.readers.end(),
                                  [id](const Reader& r) { return r.id == id; });
  if (known != file.readers.end()) {
    known->half = half;
  } else if (file.readers.size() < kReadersMax) {
    file.readers.push_back({id, half});
  }
  return file.readers.size();
}

// At most `wanted` holders, such that what this worker would hold of hot files fits. The file
// itself is not in hot_bytes_ now.
std::uint32_t HotFiles::Affordable(const File& file, std::uint32_t wanted) const {
  if (wanted < 2 || file.bytes == 0) return wanted;
  // One holder of each block is no more than its share; the others are copies.
  const std::uint64_t whole = options_.capacity_bytes * options_.members;
  const std::uint64_t most = whole / 100 * kCapacityPercent;
  const std::uint64_t by_most = most > hot_bytes_ ? (most - hot_bytes_) / file.bytes : 0;
  if (by_most >= 2) return static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, by_most));
  const bool two = whole > hot_bytes_ && (whole - hot_bytes_) / file.bytes >= 2;
  return two ? 2 : 1;
}

}  // namespace forebay
