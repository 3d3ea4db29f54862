#include "mount/reply.h"

#include <linux/fuse.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/digest.h"

namespace forebay {
namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr std::uint32_t kPageBytes = 4096;
constexpr std::uint64_t kSectorBytes = 512;  // The unit of st_blocks.
// Requests that the kernel sends ahead of a reader, of all files.
constexpr std::uint16_t kBackgroundMax = 64;
constexpr std::uint16_t kCongested = 48;
// What is asked for, where the kernel has it.
constexpr std::uint64_t kWanted = FUSE_ASYNC_READ | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
                                  FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |
                                  FUSE_EXPLICIT_INVAL_DATA;

template <typename T>
std::span<const std::byte> BytesOfStruct(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return std::as_bytes(std::span(&value, 1));
}

template <typename T>
std::vector<std::byte> VectorOf(const T& value) {
  const std::span<const std::byte> bytes = BytesOfStruct(value);
  return {bytes.begin(), bytes.end()};
}

fuse_attr AttributesOf(const NodeReply& reply, const Ownership& ownership) {
  const bool is_directory = reply.attributes.type == FileType::kDirectory;
  // As file systems on disk have it, so that `du` says the same.
  const std::uint64_t size = is_directory ? kPageBytes : reply.attributes.size;
  const std::int64_t time_ns =
      reply.attributes.mtime_ns == 0 ? ownership.no_time_ns : reply.attributes.mtime_ns;
  std::int64_t seconds = time_ns / kNanosecondsPerSecond;
  std::int64_t nanoseconds = time_ns % kNanosecondsPerSecond;
  if (nanoseconds < 0) {
    nanoseconds += kNanosecondsPerSecond;
    --seconds;
  }
  fuse_attr attr{};
  attr.ino = reply.ino;
  attr.size = size;
  attr.blocks = (size + kPageBytes - 1) / kPageBytes * (kPageBytes / kSectorBytes);
  attr.atime = attr.mtime = attr.ctime = static_cast<std::uint64_t>(seconds);
  attr.atimensec = attr.mtimensec = attr.ctimensec = static_cast<std::uint32_t>(nanoseconds);
  attr.mode = is_directory ? S_IFDIR | ownership.directory_mode : S_IFREG | ownership.file_mode;
  attr.nlink = 1;  // Of a directory: "unknown"; `find` then looks for itself.
  attr.uid = ownership.uid;
  attr.gid = ownership.gid;
  attr.blksize = kPageBytes;
  return attr;
}

std::uint64_t SecondsOf(std::chrono::nanoseconds valid) {
  return static_cast<std::uint64_t>(valid.count() / kNanosecondsPerSecond);
}

std::uint32_t RestOf(std::chrono::nanoseconds valid) {
  return static_cast<std::uint32_t>(valid.count() % kNanosecondsPerSecond);
}

fuse_entry_out EntryOf(const NodeReply& reply, const Ownership& ownership) {
  fuse_entry_out entry{};
  entry.nodeid = reply.node;
  entry.entry_valid = entry.attr_valid = SecondsOf(reply.valid);
  entry.entry_valid_nsec = entry.attr_valid_nsec = RestOf(reply.valid);
  entry.attr = AttributesOf(reply, ownership);
  return entry;
}

}  // namespace

std::uint64_t InodeOf(std::string_view path) {
  if (path.empty()) return FUSE_ROOT_ID;
  const std::uint64_t number = DigestOf(path).Low64();
  return number > FUSE_ROOT_ID ? number : number + 2;  // 0 means "none" to programs.
}

std::vector<std::byte> EncodeInit(const InitCall& call, bool may_pass_through) {
  fuse_init_out out{};
  out.major = kFuseMajor;
  out.minor = std::min<std::uint32_t>(call.minor, FUSE_KERNEL_MINOR_VERSION);
  out.max_readahead = std::max(call.read_ahead_max, kRequestBytesMax);
  out.max_background = kBackgroundMax;
  out.congestion_threshold = kCongested;
  out.max_write = kPageBytes;  // Nothing is ever written; requests then fit into 8 KiB.
  out.time_gran = 1;
  out.max_pages = kRequestBytesMax / kPageBytes;
  std::uint64_t flags = call.flags & kWanted;
  if (may_pass_through && (call.flags & kHasPassthrough) != 0) {
    constexpr std::uint32_t kStackDepth = 1;
    flags |= kHasPassthrough | FUSE_INIT_EXT;
    out.unused[0] = kStackDepth;  // max_stack_depth of Linux 6.9.
  }
  constexpr int kHalf = 32;
  out.flags = static_cast<std::uint32_t>(flags);
  out.flags2 = static_cast<std::uint32_t>(flags >> kHalf);
  return VectorOf(out);
}

std::vector<std::byte> EncodeEntry(const NodeReply& reply, const Ownership& ownership) {
  return VectorOf(EntryOf(reply, ownership));
}

std::vector<std::byte> EncodeAttributes(const NodeReply& reply, const Ownership& ownership) {
  fuse_attr_out out{};
  out.attr_valid = SecondsOf(reply.valid);
  out.attr_valid_nsec = RestOf(reply.valid);
  out.attr = AttributesOf(reply, ownership);
  return VectorOf(out);
}

std::vector<std::byte> EncodeOpen(const OpenReply& reply) {
  constexpr std::uint32_t kPassThrough = 1u << 7;  // FOPEN_PASSTHROUGH of Linux 6.9.
  fuse_open_out out{};
  out.fh = reply.handle;
  out.open_flags = reply.keep_pages ? FOPEN_KEEP_CACHE : 0;
  if (reply.is_direct) out.open_flags |= FOPEN_DIRECT_IO;
  if (reply.backing > 0) {
    out.open_flags |= kPassThrough;
    out.padding = static_cast<std::uint32_t>(reply.backing);  // backing_id of Linux 6.9.
  }
  return VectorOf(out);
}

std::vector<std::byte> EncodeStatFs(const MountedSize& totals) {
  constexpr std::uint32_t kNameMax = 255;  // What programs expect; longer ones are there as well.
  constexpr std::uint64_t kBlocks = (std::uint64_t{1} << 50) / kPageBytes;
  constexpr std::uint64_t kFreeFiles = 1'000'000'000;
  const std::uint64_t used = totals.bytes / kPageBytes + (totals.bytes % kPageBytes != 0 ? 1 : 0);
  fuse_statfs_out out{};
  out.st.blocks = std::max(kBlocks, used);
  out.st.bfree = out.st.bavail = out.st.blocks - used;
  out.st.files = totals.files + kFreeFiles;
  out.st.ffree = kFreeFiles;
  out.st.bsize = kPageBytes;
  out.st.frsize = kPageBytes;
  out.st.namelen = kNameMax;
  return VectorOf(out);
}

std::vector<std::byte> EncodeXattrSize(std::size_t size) {
  fuse_getxattr_out out{};
  out.size = static_cast<std::uint32_t>(size);
  return VectorOf(out);
}

void AppendDirent(std::vector<std::byte>& bytes, std::string_view name, const DirentPlace& place) {
  constexpr std::uint32_t kTypeShift = 12;  // DT_DIR is S_IFDIR >> 12.
  fuse_dirent entry{};
  entry.ino = place.ino;
  entry.off = place.offset;
  entry.namelen = static_cast<std::uint32_t>(name.size());
  entry.type = (place.is_directory ? S_IFDIR : S_IFREG) >> kTypeShift;
  constexpr std::size_t kNameAt = offsetof(fuse_dirent, name);  // sizeof has padding after it.
  const std::size_t begin = bytes.size();
  bytes.resize(begin + FUSE_DIRENT_ALIGN(kNameAt + name.size()));
  std::memcpy(bytes.data() + begin, &entry, kNameAt);
  std::memcpy(bytes.data() + begin + kNameAt, name.data(), name.size());
}

void DirectoryReply::Append(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

bool DirectoryReply::Add(std::span<const std::byte> dirent) {
  if (bytes_.size() + dirent.size() > bytes_max_) return false;
  Append(dirent);
  return true;
}

bool DirectoryReply::AddName(std::string_view name, const DirentPlace& place, bool plus) {
  std::vector<std::byte> dirent;
  AppendDirent(dirent, name, place);
  return plus ? AddPlus(dirent, {}, {}) : Add(dirent);
}

bool DirectoryReply::FitsPlus(std::span<const std::byte> dirent) const {
  return bytes_.size() + sizeof(fuse_entry_out) + dirent.size() <= bytes_max_;
}

bool DirectoryReply::AddPlus(std::span<const std::byte> dirent, const NodeReply& reply,
                             const Ownership& ownership) {
  if (!FitsPlus(dirent)) return false;
  const fuse_entry_out entry = reply.node == 0 ? fuse_entry_out{} : EntryOf(reply, ownership);
  Append(BytesOfStruct(entry));
  Append(dirent);
  return true;
}

}  // namespace forebay
