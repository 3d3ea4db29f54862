#include "store/segment.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "store/slot_header.h"

namespace forebay {
namespace {

constexpr std::uint64_t kStatBlockBytes = 512;  // Of st_blocks: stat(2).

std::uint64_t AllocatedBytes(int fd) {
  struct stat status = {};
  CHECK(fstat(fd, &status) == 0);
  return static_cast<std::uint64_t>(status.st_blocks) * kStatBlockBytes;
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
  if (Status allocated = files_.Allocate(index_.fd.get(), index); !allocated.ok()) return allocated;
  // No header may come back of slots that are gone.
  std::ranges::fill(index_.mapping.subspan(index.offset, index.length), std::byte{0});
  if (Status punched = files_.Punch(data_.fd.get(), data); !punched.ok()) return punched;
  if (Status allocated = files_.Allocate(data_.fd.get(), data); !allocated.ok()) return allocated;
  TierFiles::Populate(bytes(data.offset, data.length));
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
  return {};
}

Status Segment::Discard(std::uint64_t chunk) {
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

std::span<std::byte> Segment::entry(std::uint64_t offset, std::uint64_t slot_bytes) const {
  const std::uint64_t chunk = offset / layout_.chunk_bytes;
  const std::uint64_t granule = offset % layout_.chunk_bytes / kGranuleBytes;
  return index_.mapping.subspan(chunk * layout_.index_bytes + granule * kIndexBytesPerGranule,
                                slot_bytes / kGranuleBytes * kIndexBytesPerGranule);
}

std::uint64_t Segment::allocated_bytes() const {
  return AllocatedBytes(data_.fd.get()) + AllocatedBytes(index_.fd.get());
}

}  // namespace forebay
