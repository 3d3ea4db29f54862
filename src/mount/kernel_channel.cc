#include "mount/kernel_channel.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/log.h"

namespace forebay {
namespace {

// struct fuse_backing_map of Linux 6.9, and its two calls.
struct BackingMap {
  std::int32_t fd;
  std::uint32_t flags;
  std::uint64_t padding;
};
constexpr auto kOpenBacking = static_cast<unsigned long>(_IOW(FUSE_DEV_IOC_MAGIC, 1, BackingMap));
constexpr auto kCloseBacking =
    static_cast<unsigned long>(_IOW(FUSE_DEV_IOC_MAGIC, 2, std::uint32_t));

// writev only reads; iovec knows no const.
iovec PartOf(std::span<const std::byte> bytes) {
  iovec one{};
  const std::byte* data = bytes.data();
  std::memcpy(static_cast<void*>(&one.iov_base), static_cast<const void*>(&data), sizeof(data));
  one.iov_len = bytes.size();
  return one;
}

}  // namespace

Result<UniqueFd> KernelChannel::Clone() const {
  UniqueFd clone(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  auto original = static_cast<std::uint32_t>(device_.get());
  if (!clone || ioctl(clone.get(), FUSE_DEV_IOC_CLONE, &original) != 0) {
    return Error(Code::kUnavailable, std::strerror(errno));
  }
  return clone;
}

Result<std::span<const std::byte>> KernelChannel::Receive(std::span<std::byte> buffer) {
  while (true) {
    const ssize_t size = read(device_.get(), buffer.data(), buffer.size());
    if (size > 0) return std::span<const std::byte>(buffer.first(static_cast<std::size_t>(size)));
    if (size == 0) return Error(Code::kUnavailable, "unmounted");
    switch (errno) {
      case EINTR:
      case EAGAIN:
      case ENOENT: continue;  // It was interrupted before we had it.
      case ENODEV:
      case ECONNABORTED: return Error(Code::kUnavailable, "unmounted");
      default: return Error(Code::kUnavailable, std::strerror(errno));
    }
  }
}

Status KernelChannel::Notify(int code, std::span<const std::byte> body,
                             std::span<const std::byte> more) {
  fuse_out_header header{};
  header.len = static_cast<std::uint32_t>(sizeof(header) + body.size() + more.size());
  header.error = code;
  const std::array<iovec, 3> parts = {PartOf(std::as_bytes(std::span(&header, 1))), PartOf(body),
                                      PartOf(more)};
  while (writev(device_.get(), parts.data(), parts.size()) < 0) {
    if (errno != EINTR) return Error(Code::kUnavailable, std::strerror(errno));
  }
  return {};
}

Result<std::int32_t> KernelChannel::OpenBacking(int fd) {
  const BackingMap map{.fd = fd, .flags = 0, .padding = 0};
  const int number = ioctl(device_.get(), kOpenBacking, &map);
  if (number > 0) return number;
  return Error(errno == EPERM ? Code::kDenied : Code::kUnavailable, std::strerror(errno));
}

void KernelChannel::CloseBacking(std::int32_t number) {
  const auto closed = static_cast<std::uint32_t>(number);
  ioctl(device_.get(), kCloseBacking, &closed);
}

Status KernelChannel::AskToResend() {
  constexpr int kNotifyResend = 7;  // FUSE_NOTIFY_RESEND of Linux 6.9.
  return Notify(kNotifyResend, {}, {});
}

Status KernelChannel::ForgetNames() {
  constexpr int kNotifyEpoch = 8;  // FUSE_NOTIFY_INC_EPOCH of Linux 6.16.
  return Notify(kNotifyEpoch, {}, {});
}

void KernelChannel::ForgetName(std::uint64_t directory, std::string_view name) {
  fuse_notify_inval_entry_out out{};
  out.parent = directory;
  out.namelen = static_cast<std::uint32_t>(name.size());
  out.flags = FUSE_EXPIRE_ONLY;  // Before Linux 6.2 it is dropped, which is the same to programs.
  const std::string terminated(name);
  const std::span<const char> text(terminated.c_str(), terminated.size() + 1);
  // Refused: the kernel knows it no more.
  static_cast<void>(
      Notify(FUSE_NOTIFY_INVAL_ENTRY, std::as_bytes(std::span(&out, 1)), std::as_bytes(text)).ok());
}

void KernelChannel::ForgetAttributes(std::uint64_t node) {
  fuse_notify_inval_inode_out out{};
  out.ino = node;
  out.off = -1;  // No pages.
  static_cast<void>(Notify(FUSE_NOTIFY_INVAL_INODE, std::as_bytes(std::span(&out, 1)), {}).ok());
}

void KernelChannel::Answer(std::uint64_t unique, std::span<const std::byte> body,
                           std::span<const std::byte> more) {
  Send(unique, 0, body, more);
}

void KernelChannel::AnswerError(std::uint64_t unique, int error) {
  Send(unique, error, {}, {});
}

void KernelChannel::Send(std::uint64_t unique, int error, std::span<const std::byte> body,
                         std::span<const std::byte> more) {
  fuse_out_header header{};
  header.len = static_cast<std::uint32_t>(sizeof(header) + body.size() + more.size());
  header.error = -error;
  header.unique = unique;
  const std::array<iovec, 3> parts = {PartOf(std::as_bytes(std::span(&header, 1))), PartOf(body),
                                      PartOf(more)};
  while (writev(device_.get(), parts.data(), parts.size()) < 0) {
    if (errno == EINTR) continue;
    // ENOENT: its program was killed; ENODEV and so on: unmounted.
    if (errno == ENOENT || errno == ENODEV || errno == ECONNABORTED || errno == EPIPE) return;
    Log(Level::kError, "an answer was refused by the kernel",
        {{"error", std::strerror(errno)}, {"bytes", header.len}});
    if (errno == EINVAL && error == 0) return AnswerError(unique, EIO);  // Nobody must hang.
    return;
  }
}

}  // namespace forebay
