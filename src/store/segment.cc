#include "store/segment.h"

#include <sys/stat.h>

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
  Status opened = Open(files, stem + ".data", layout.chunks * layout.chunk_bytes, segment->data_);
  if (opened.ok()) {
    opened = Open(files, stem + ".index", layout.chunks * layout.index_bytes, segment->index_);
  }
  if (!opened.ok()) return std::move(opened).error().Within("segment " + stem);
  return segment;
}

Status Segment::Open(TierFiles& files, const std::string& path, std::uint64_t bytes, File& file) {
  Result<UniqueFd> fd = files.CreateFile(path);
  if (!fd.ok()) return std::move(fd).error();
  file.fd = std::move(fd).value();
  file.path = path;
  if (Status resized = files.Resize(file.fd.get(), bytes); !resized.ok()) return resized;
  Result<std::span<std::byte>> mapping = files.Map(file.fd.get(), bytes);
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
  CHECK(chunk < layout_.chunks);
  const FileRange data = {.offset = chunk * layout_.chunk_bytes, .length = layout_.chunk_bytes};
  const FileRange index = {.offset = chunk * layout_.index_bytes, .length = layout_.index_bytes};
  if (Status allocated = files_.Allocate(index_.fd.get(), index); !allocated.ok()) return allocated;
  if (Status punched = files_.Punch(data_.fd.get(), data); !punched.ok()) return punched;
  if (Status allocated = files_.Allocate(data_.fd.get(), data); !allocated.ok()) return allocated;
  TierFiles::Populate(bytes(data.offset, data.length));
  return {};
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
