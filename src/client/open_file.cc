#include "client/open_file.h"

#include <algorithm>
#include <utility>

namespace forebay {
namespace {

// A file that is replaced again and again while it is opened ends as kChanged.
constexpr std::size_t kVersionsMax = 4;

}  // namespace

OpenFile::OpenFile(Backends& backends, Lookups& lookups, Place place, Attributes attributes,
                   Binding binding)
    : backends_(backends),
      lookups_(lookups),
      place_(std::move(place)),
      bound_(binding == Binding::kOpened) {
  versions_.push_back(MakeFileVersion(place_, std::move(attributes)));
}

const Attributes& OpenFile::attributes() const {
  MutexLock lock(mutex_);
  return versions_.back()->attributes;
}

Result<std::size_t> OpenFile::Read(std::uint64_t offset, std::span<std::byte> buffer,
                                   Deadline deadline, std::stop_token stop) {
  return ReadBy(&OpenFile::TakeReader, offset, buffer, deadline, std::move(stop));
}

Result<std::size_t> OpenFile::ReadAlone(std::uint64_t offset, std::span<std::byte> buffer,
                                        Deadline deadline, std::stop_token stop) {
  return ReadBy(&OpenFile::MakeReader, offset, buffer, deadline, std::move(stop));
}

Result<std::size_t> OpenFile::ReadBy(Reader (OpenFile::*take)(), std::uint64_t offset,
                                     std::span<std::byte> buffer, Deadline deadline,
                                     std::stop_token stop) {
  while (true) {
    Reader reader = (this->*take)();
    const std::shared_ptr<const FileVersion> version = reader->version();
    Result<std::size_t> read = reader->Read(offset, buffer, deadline, stop);
    PutBack(std::move(reader));
    if (read.ok()) {
      if (read.value() == 0 || MayReturn(version)) return read;
      continue;  // Bound to a newer version meanwhile.
    }
    if (read.error().code() != Code::kChanged) return read;
    const Result<bool> again = Rebind(version, deadline, stop);
    if (!again.ok()) return again.error();
    if (!again.value()) return read;
  }
}

OpenFile::Reader OpenFile::TakeReader() {
  MutexLock lock(mutex_);
  if (reading_ahead_) return std::make_unique<RangeReader>(backends_, versions_.back(), 0);
  reading_ahead_ = true;
  if (reader_ && reader_->version() == versions_.back()) return std::move(reader_);
  const std::uint64_t ahead_bytes_max = std::max<std::uint64_t>(
      backends_.limits.window_bytes_max / 2, place_.store->rules.block_bytes);
  return std::make_unique<RangeReader>(backends_, versions_.back(), ahead_bytes_max);
}

OpenFile::Reader OpenFile::MakeReader() {
  MutexLock lock(mutex_);
  return std::make_unique<RangeReader>(backends_, versions_.back(), 0);
}

void OpenFile::PutBack(std::unique_ptr<RangeReader> reader) {
  MutexLock lock(mutex_);
  if (!reader->reads_ahead()) return;
  reading_ahead_ = false;
  reader_ = std::move(reader);
}

bool OpenFile::MayReturn(const std::shared_ptr<const FileVersion>& version) {
  MutexLock lock(mutex_);
  if (version != versions_.back()) return false;
  bound_ = true;
  return true;
}

Result<bool> OpenFile::Rebind(const std::shared_ptr<const FileVersion>& version, Deadline deadline,
                              std::stop_token stop) {
  bool rebinds = false;
  {
    MutexLock lock(mutex_);
    if (version != versions_.back()) return true;    // Another thread has done it.
    if (place_.store->rules.pinned()) return false;  // The snapshot does not move.
    rebinds = !bound_ && versions_.size() < kVersionsMax;
  }
  // Asked also if it is too late for this file: whoever opens it next is to get the new version.
  Result<Attributes> attributes = lookups_.StatAnew(place_, deadline, stop);
  if (!rebinds) return false;
  if (!attributes.ok()) return std::move(attributes).error();
  if (attributes.value().type != FileType::kFile) return false;
  std::shared_ptr<const FileVersion> newer = MakeFileVersion(place_, std::move(attributes).value());
  MutexLock lock(mutex_);
  if (version != versions_.back()) return true;
  if (bound_) return false;
  versions_.push_back(std::move(newer));
  return true;
}

}  // namespace forebay
