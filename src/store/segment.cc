#include "store/segment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "store/slot_header.h"

namespace forebay {
namespace {

constexpr std::uint64_t kStatBlockBytes = 512;  // Of st_blocks: stat(2).

struct stat StatusOf(int fd) {
  struct stat status = {};
  CHECK(fstat(fd, &status) == 0);
  return status;
}

std::uint64_t AllocatedBytes(const struct stat& status) {
  return static_cast<std::uint64_t>(status.st_blocks) * kStatBlockBytes;
}

bool IsWhole(const struct stat& status, std::uint64_t bytes) {
  return static_cast<std::uint64_t>(status.st_size) >= bytes && status.st_nlink > 0;
}

}  // namespace

Result<std::unique_ptr<Segment>> Segment::Create(TierFiles& files, const std::string& stem,
                                                 const SegmentLayout& layout) {
  std::unique_ptr<Segment> segment(new Segment(files, layout));
  Status opened = segment->Make(stem + ".data", layout.chunks * layout.chunk_bytes, segment->data_);
  if (opened.ok()) {
    opened = segment->Make(stem + ".index", layout.chunks * layout.index_bytes, segment->index_);
  }
  if (!opened.ok()) return std::move(opened).error().Within("segment " + stem);
  return segment;
}

Status Segment::Make(const std::string& path, std::uint64_t bytes, File& file) {
  Result<UniqueFd> fd = files_.CreateFile(path);
  if (!fd.ok()) return std::move(fd).error();
  file.fd = std::move(fd).value();
  file.path = path;
  return Stretch(bytes, file);
}

Result<std::unique_ptr<Segment>> Segment::Adopt(TierFiles& files, const std::string& stem,
                                                const SegmentLayout& layout) {
  std::unique_ptr<Segment> segment(new Segment(files, layout));
  if (Status found = segment->Find(stem); !found.ok()) {
    TierFiles::RemoveFile(stem + ".data");
    TierFiles::RemoveFile(stem + ".index");
    return std::move(found).error().Within("adopt segment " + stem);
  }
  return segment;
}

Status Segment::Find(const std::string& stem) {
  Result<FoundFile> data = files_.OpenFile(stem + ".data");
  if (!data.ok()) return std::move(data).error();
  Result<FoundFile> index = files_.OpenFile(stem + ".index");
  if (!index.ok()) return std::move(index).error();
  const std::uint64_t chunks = data.value().bytes / layout_.chunk_bytes;
  if (chunks == 0 || data.value().bytes != chunks * layout_.chunk_bytes ||
      index.value().bytes != chunks * layout_.index_bytes) {
    return Error(Code::kInvalidArgument, "not of this layout, or cut short");
  }
  found_chunks_ = std::min(chunks, layout_.chunks);
  const auto take = [this](UniqueFd fd, const std::string& path, std::uint64_t bytes, File& file) {
    file.fd = std::move(fd);
    file.path = path;
    return Stretch(bytes, file);
  };
  if (Status taken = take(std::move(data.value().fd), stem + ".data",
                          layout_.chunks * layout_.chunk_bytes, data_);
      !taken.ok()) {
    return taken;
  }
  return take(std::move(index.value().fd), stem + ".index", layout_.chunks * layout_.index_bytes,
              index_);
}

Status Segment::Stretch(std::uint64_t bytes, File& file) {
  if (Status resized = files_.Resize(file.fd.get(), bytes); !resized.ok()) return resized;
  Result<std::span<std::byte>> mapping = files_.Map(file.fd.get(), bytes);
  if (!mapping.ok()) return std::move(mapping).error();
  file.mapping = mapping.value();
  return {};
}

void Segment::Remove(File& file) {
  if (!file.mapping.empty()) TierFiles::Unmap(file.mapping);
  if (file.fd) TierFiles::RemoveFile(file.path);
}

Segment::~Segment() {
  Remove(data_);
  Remove(index_);
}

Status Segment::Provide(std::uint64_t chunk) {
  const FileRange data = DataOf(chunk);
  const FileRange index = IndexOf(chunk);
  SetHasPages(chunk, false);
  Status provided = files_.Allocate(index_.fd.get(), index);
  if (provided.ok()) {
    // No header may come back of slots that are gone.
    std::ranges::fill(index_.mapping.subspan(index.offset, index.length), std::byte{0});
    provided = files_.Punch(data_.fd.get(), data);
  }
  if (provided.ok()) provided = files_.Allocate(data_.fd.get(), data);
  if (!provided.ok()) {
    // Else the count of the files' pages would hide that others are missing.
    [[maybe_unused]] const Status discarded = Discard(chunk);
    return provided;
  }
  TierFiles::Populate(bytes(data.offset, data.length));
  SetHasPages(chunk, true);
  return {};
}

Result<std::vector<std::byte>> Segment::ReadIndex() const {
  std::vector<std::byte> index(found_chunks_ * layout_.index_bytes);
  if (Status read = files_.Read(index_.fd.get(), index); !read.ok()) return std::move(read).error();
  return index;
}

Status Segment::Keep(std::uint64_t chunk, std::span<const std::byte> index) {
  const FileRange place = IndexOf(chunk);
  CHECK(index.size() == place.length);
  if (Status there = files_.Allocate(index_.fd.get(), place); !there.ok()) return there;
  if (Status there = files_.Allocate(data_.fd.get(), DataOf(chunk)); !there.ok()) return there;
  std::ranges::copy(index, index_.mapping.subspan(place.offset, place.length).begin());
  SetHasPages(chunk, true);
  return {};
}

Status Segment::Discard(std::uint64_t chunk) {
  SetHasPages(chunk, false);
  Status punched = files_.Punch(index_.fd.get(), IndexOf(chunk));
  if (!punched.ok()) return punched;
  return files_.Punch(data_.fd.get(), DataOf(chunk));
}

FileRange Segment::DataOf(std::uint64_t chunk) const {
  CHECK(chunk < layout_.chunks);
  return {.offset = chunk * layout_.chunk_bytes, .length = layout_.chunk_bytes};
}

FileRange Segment::IndexOf(std::uint64_t chunk) const {
  CHECK(chunk < layout_.chunks);
  return {.offset = chunk * layout_.index_bytes, .length = layout_.index_bytes};
}

FileRange Segment::EntryRange(std::uint64_t offset, std::uint64_t slot_bytes) const {
  const std::uint64_t chunk = offset / layout_.chunk_bytes;
  const std::uint64_t granule = offset % layout_.chunk_bytes / kGranuleBytes;
  return {.offset = chunk * layout_.index_bytes + granule * kIndexBytesPerGranule,
          .length = slot_bytes / kGranuleBytes * kIndexBytesPerGranule};
}

std::span<std::byte> Segment::entry(std::uint64_t offset, std::uint64_t slot_bytes) const {
  const FileRange range = EntryRange(offset, slot_bytes);
  return index_.mapping.subspan(range.offset, range.length);
}

std::uint64_t Segment::allocated_bytes() const {
  return AllocatedBytes(StatusOf(data_.fd.get())) + AllocatedBytes(StatusOf(index_.fd.get()));
}

// ---- What others did to the files ----

void Segment::SetHasPages(std::uint64_t chunk, bool has) {
  const bool had = with_pages_[chunk].exchange(has);
  if (had && !has) --chunks_with_pages_;
  if (has && !had) ++chunks_with_pages_;
}

SegmentLook Segment::Look() const {
  const struct stat data = StatusOf(data_.fd.get());
  const struct stat index = StatusOf(index_.fd.get());
  const std::uint64_t chunks = chunks_with_pages_;
  constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
  return {.whole = IsWhole(data, data_.mapping.size()) && IsWhole(index, index_.mapping.size()),
          .full = AllocatedBytes(data) >= chunks * layout_.chunk_bytes &&
                  AllocatedBytes(index) >= chunks * layout_.index_bytes,
          .index_changed_ns = index.st_ctim.tv_sec * kNanosecondsPerSecond + index.st_ctim.tv_nsec};
}

bool Segment::HasPages(FileRange range) const {
  const auto begin = static_cast<off_t>(range.offset);
  // Past the file's end: an error.
  return lseek(data_.fd.get(), begin, SEEK_HOLE) >= begin + static_cast<off_t>(range.length);
}

std::vector<FileRange> Segment::Holes() const {
  std::vector<FileRange> holes;
  const int fd = data_.fd.get();
  const auto size = static_cast<off_t>(data_.mapping.size());
  for (off_t at = 0; at < size;) {
    const off_t found = lseek(fd, at, SEEK_HOLE);
    const off_t begin = found < 0 ? at : found;  // An error: the file ends before.
    if (begin >= size) break;
    const off_t data = lseek(fd, begin, SEEK_DATA);
    at = data < 0 ? size : data;  // None comes.
    holes.push_back({.offset = static_cast<std::uint64_t>(begin),
                     .length = static_cast<std::uint64_t>(at - begin)});
  }
  return holes;
}

std::vector<std::byte> Segment::CopyIndex() const {
  std::vector<std::byte> index(index_.mapping.size());
  // Less than all of it: zeroes, which no header decodes from.
  [[maybe_unused]] const Status read = files_.Read(index_.fd.get(), index);
  return index;
}

Status Segment::Mend() {
  if (Status mended = MendFile(data_); !mended.ok()) return mended;
  return MendFile(index_);
}

Status Segment::MendFile(File& file) {
  const struct stat status = StatusOf(file.fd.get());
  if (IsWhole(status, file.mapping.size())) return {};
  if (status.st_nlink > 0) return files_.Resize(file.fd.get(), file.mapping.size());
  Result<UniqueFd> made = files_.CreateFile(file.path);
  if (!made.ok()) return std::move(made).error();
  const int fd = made.value().get();
  Status mended = files_.Resize(fd, file.mapping.size());
  if (mended.ok()) mended = files_.MapOver(fd, file.mapping);
  if (!mended.ok()) {
    TierFiles::RemoveFile(file.path);
    return mended;
  }
  // Leases know the number. What they send now from the new file is not what they lease, which
  // whoever receives it finds out.
  CHECK(dup3(fd, file.fd.get(), O_CLOEXEC) == file.fd.get());
  return {};
}

Status Segment::Refill(std::uint64_t chunk) {
  Status there = files_.Allocate(index_.fd.get(), IndexOf(chunk));
  if (there.ok()) there = files_.Allocate(data_.fd.get(), DataOf(chunk));
  if (!there.ok()) {
    SetHasPages(chunk, false);
    return there;
  }
  // What was allocated but never touched is a hole to lseek(2).
  const FileRange data = DataOf(chunk);
  TierFiles::Populate(bytes(data.offset, data.length));
  return {};
}

}  // namespace forebay
