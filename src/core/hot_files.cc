#include "core/hot_files.h"

#include <algorithm>

#include "base/check.h"
#include "base/rng.h"

namespace forebay {
namespace {

// Measured in the main job (100 tasks, 10 workers, so 20 requests each): with 4 nearly every
// request made the round, and the two cores were the limit.
constexpr std::uint32_t kQueueShort = 16;
// Small blocks may be more, up to so many bytes, within reason: what waits for less than that is
// served before the reader has asked another. Measured in bench/burst (100 clients, 20 workers,
// 64 KiB).
constexpr std::uint32_t kQueueShortBytes = 4u << 20;
constexpr std::uint32_t kQueueShortMax = 64;

constexpr std::uint32_t kReadersPerHolder = 4;
// The rest is for what is not hot, for hot files of which this worker holds no block and thus knows
// nothing, and for the chance of hashing: where more are placed than fit, they drive each other
// out.
constexpr std::uint64_t kCapacityPercent = 50;

}  // namespace

std::uint32_t QueueShort(std::uint32_t block_bytes) {
  return std::clamp(kQueueShortBytes / block_bytes, kQueueShort, kQueueShortMax);
}

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
  File& file = files_.Use(key, [this](const File& gone) { hot_bytes_ -= gone.hot_bytes; });
  file.used = half;
  files_.ForgetOldest([&](const File& oldest) {
    if (oldest.used + 1 >= half) return false;
    hot_bytes_ -= oldest.hot_bytes;
    return true;
  });
  const std::size_t readers = CountReaders(file, reader, half);
  Want(file,
       readers >= kReadersMax ? options_.members
                              : 1 + static_cast<std::uint32_t>(readers) / kReadersPerHolder,
       half);
  hot_bytes_ -= file.hot_bytes;
  const std::uint32_t wanted = std::min(file.wanted, options_.members);
  // What does not fit twice would leave nothing for all others.
  const bool hot = wanted > 1 && file_bytes <= whole() / 2;
  file.hot_bytes = hot ? file_bytes : 0;
  hot_bytes_ += file.hot_bytes;
  return hot ? std::min(wanted, Affordable()) : 1;
}

void HotFiles::Want(File& file, std::uint32_t wanted, std::uint32_t half) {
  if (wanted < file.wanted) {
    wanted = half == file.lowered ? file.wanted : std::max(wanted, (file.wanted + 1) / 2);
    file.lowered = half;
  }
  file.wanted = wanted;
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

// Holders of each hot file, such that all that are hot fit.
std::uint32_t HotFiles::Affordable() const {
  if (hot_bytes_ == 0) return options_.members;
  const std::uint64_t by_share = whole() / 100 * kCapacityPercent / hot_bytes_;
  if (by_share >= 2) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(by_share, options_.members));
  }
  // One holder of each block is no more than its share; the others are copies.
  return whole() / hot_bytes_ >= 2 ? 2 : 1;
}

}  // namespace forebay
