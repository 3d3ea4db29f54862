#include "mount/request.h"

#include <fcntl.h>
#include <linux/fuse.h>

#include <cstring>
#include <optional>
#include <type_traits>

namespace forebay {
namespace {

using Bytes = std::span<const std::byte>;

// The structure that `bytes` begin with, which are then cut off. Kernels may have made it longer.
template <typename T>
std::optional<T> Take(Bytes& bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value{};
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes = bytes.subspan(sizeof(T));
  return value;
}

// The text up to a NUL byte, which must be there.
std::optional<std::string_view> TakeText(Bytes bytes) {
  if (bytes.empty()) return std::nullopt;
  const auto* const begin = reinterpret_cast<const char*>(bytes.data());
  const auto* const end = static_cast<const char*>(std::memchr(begin, 0, bytes.size()));
  if (end == nullptr) return std::nullopt;
  return std::string_view(begin, static_cast<std::size_t>(end - begin));
}

bool IsName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos;
}

FuseCall ParseInit(Bytes bytes) {
  // Up to 7.35 the structure ended after `flags`.
  constexpr std::size_t kShortBytes = offsetof(fuse_init_in, flags2);
  if (bytes.size() < kShortBytes) return MalformedCall{};
  fuse_init_in in{};
  std::memcpy(&in, bytes.data(), std::min(bytes.size(), sizeof(in)));
  std::uint64_t flags = in.flags;
  if ((in.flags & FUSE_INIT_EXT) != 0) flags |= static_cast<std::uint64_t>(in.flags2) << 32;
  return InitCall{in.major, in.minor, in.max_readahead, flags};
}

FuseCall ParseLookup(Bytes bytes) {
  const auto name = TakeText(bytes);
  if (!name || !IsName(*name)) return MalformedCall{};
  return LookupCall{*name};
}

FuseCall ParseForget(std::uint64_t node, Bytes bytes) {
  const auto in = Take<fuse_forget_in>(bytes);
  if (!in) return MalformedCall{};
  return ForgetCall{{{node, in->nlookup}}};
}

FuseCall ParseForgets(Bytes bytes) {
  const auto in = Take<fuse_batch_forget_in>(bytes);
  if (!in || in->count > bytes.size() / sizeof(fuse_forget_one)) return MalformedCall{};
  ForgetCall call;
  call.nodes.reserve(in->count);
  for (std::uint32_t i = 0; i < in->count; ++i) {
    const auto one = Take<fuse_forget_one>(bytes);
    call.nodes.push_back({one->nodeid, one->nlookup});
  }
  return call;
}

FuseCall ParseRead(std::uint32_t opcode, Bytes bytes) {
  const auto in = Take<fuse_read_in>(bytes);
  if (!in) return MalformedCall{};
  if (opcode == FUSE_READ) {
    return ReadCall{in->fh, in->offset, in->size, (in->flags & O_DIRECT) != 0};
  }
  return ReadDirectoryCall{in->fh, in->offset, in->size, opcode == FUSE_READDIRPLUS};
}

FuseCall ParseRelease(std::uint32_t opcode, Bytes bytes) {
  const auto in = Take<fuse_release_in>(bytes);
  if (!in) return MalformedCall{};
  if (opcode == FUSE_RELEASE) return ReleaseCall{in->fh};
  return ReleaseDirectoryCall{in->fh};
}

FuseCall ParseGetXattr(Bytes bytes) {
  const auto in = Take<fuse_getxattr_in>(bytes);
  const auto name = TakeText(bytes);
  if (!in || !name) return MalformedCall{};
  return GetXattrCall{in->size, *name};
}

FuseCall ParseOpen(Bytes bytes) {
  const auto in = Take<fuse_open_in>(bytes);
  if (!in) return MalformedCall{};
  return OpenCall{in->flags};
}

FuseCall ParseListXattr(Bytes bytes) {
  const auto in = Take<fuse_getxattr_in>(bytes);
  if (!in) return MalformedCall{};
  return ListXattrCall{in->size};
}

FuseCall ParseAccess(Bytes bytes) {
  const auto in = Take<fuse_access_in>(bytes);
  if (!in) return MalformedCall{};
  return AccessCall{in->mask};
}

FuseCall ParseInterrupt(Bytes bytes) {
  const auto in = Take<fuse_interrupt_in>(bytes);
  if (!in) return MalformedCall{};
  return InterruptCall{in->unique};
}

FuseCall ParseCall(std::uint32_t opcode, std::uint64_t node, Bytes bytes) {
  switch (opcode) {
    case FUSE_INIT: return ParseInit(bytes);
    case FUSE_LOOKUP: return ParseLookup(bytes);
    case FUSE_FORGET: return ParseForget(node, bytes);
    case FUSE_BATCH_FORGET: return ParseForgets(bytes);
    case FUSE_GETATTR: return GetAttributesCall{};
    case FUSE_OPEN: return ParseOpen(bytes);
    case FUSE_OPENDIR: return OpenDirectoryCall{};
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS: return ParseRead(opcode, bytes);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR: return ParseRelease(opcode, bytes);
    case FUSE_STATFS: return StatFsCall{};
    case FUSE_GETXATTR: return ParseGetXattr(bytes);
    case FUSE_LISTXATTR: return ParseListXattr(bytes);
    case FUSE_ACCESS: return ParseAccess(bytes);
    case FUSE_INTERRUPT: return ParseInterrupt(bytes);
    case FUSE_DESTROY: return DestroyCall{};
    case FUSE_FLUSH: return FlushCall{};
    case FUSE_SETATTR:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_LINK:
    case FUSE_WRITE:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_CREATE:
    case FUSE_TMPFILE:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE: return ChangeCall{};
    default: return UnknownCall{};
  }
}

}  // namespace

bool WantsAnswer(const Request& request) {
  return request.opcode != FUSE_FORGET && request.opcode != FUSE_BATCH_FORGET &&
         request.opcode != FUSE_INTERRUPT && request.opcode != FUSE_NOTIFY_REPLY;
}

Result<Request> ParseRequest(std::span<const std::byte> bytes) {
  const std::size_t size = bytes.size();
  const auto header = Take<fuse_in_header>(bytes);
  if (!header || header->len != size) {
    return Error(Code::kInvalidArgument,
                 "a request of " + std::to_string(size) + " bytes, which is not what it says");
  }
  return Request{.unique = header->unique,
                 .node = header->nodeid,
                 .opcode = header->opcode,
                 .tid = header->pid,
                 .call = ParseCall(header->opcode, header->nodeid, bytes)};
}

}  // namespace forebay
