#include "io/message_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "io/socket.h"

namespace forebay {
namespace {

Error FromErrno(const std::string& what, int code) {
  const bool denied = code == EACCES || code == EPERM;
  return {denied ? Code::kDenied : Code::kUnavailable,
          fmt::format("{}: {}", what, std::strerror(code))};
}

Result<sockaddr_un> SocketName(const std::string& path) {
  sockaddr_un name{};
  if (path.empty() || path.size() >= sizeof(name.sun_path)) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": not a path of 1 to {} bytes, which a unix socket needs", path,
                             sizeof(name.sun_path) - 1));
  }
  name.sun_family = AF_UNIX;
  std::ranges::copy(path, static_cast<char*>(name.sun_path));
  return name;
}

Result<UniqueFd> NewSocket() {
  UniqueFd made(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made) return FromErrno("a unix socket", errno);
  return made;
}

// Room for one descriptor, aligned as the kernel wants it.
union Control {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
};

}  // namespace

Result<UniqueFd> ListenForMessages(const std::string& path) {
  const Result<sockaddr_un> name = SocketName(path);
  if (!name.ok()) return name.error();
  const auto* const address = reinterpret_cast<const sockaddr*>(&name.value());
  Result<UniqueFd> probe = NewSocket();
  if (!probe.ok()) return probe;
  const bool is_dead = connect(probe.value().get(), address, sizeof(sockaddr_un)) != 0 &&
                       (errno == ECONNREFUSED || errno == ENOENT);
  if (!is_dead) {
    return Error(Code::kUnavailable, fmt::format("\"{}\": another process listens there", path));
  }
  Result<UniqueFd> listener = NewSocket();
  if (!listener.ok()) return listener;
  constexpr int kBacklog = 128;
  unlink(path.c_str());
  const int fd = listener.value().get();
  if (bind(fd, address, sizeof(sockaddr_un)) != 0 || listen(fd, kBacklog) != 0) {
    return FromErrno(fmt::format("\"{}\"", path), errno);
  }
  return listener;
}

Result<UniqueFd> ConnectForMessages(const std::string& path) {
  const Result<sockaddr_un> name = SocketName(path);
  if (!name.ok()) return name.error();
  Result<UniqueFd> connection = NewSocket();
  if (!connection.ok()) return connection;
  const auto* const address = reinterpret_cast<const sockaddr*>(&name.value());
  if (connect(connection.value().get(), address, sizeof(sockaddr_un)) != 0) {
    return Error(Code::kUnavailable, fmt::format("\"{}\": {}", path, std::strerror(errno)));
  }
  return connection;
}

Result<unsigned> PeerUser(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return Error(Code::kInternal, std::strerror(errno));
  }
  return peer.uid;
}

Status SendMessage(int socket, std::span<const std::byte> bytes, int fd, Deadline deadline) {
  iovec part{};
  const std::byte* data = bytes.data();
  // sendmsg only reads; iovec knows no const.
  std::memcpy(static_cast<void*>(&part.iov_base), static_cast<const void*>(&data), sizeof(data));
  part.iov_len = bytes.size();
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  Control control{};
  if (fd >= 0) {
    message.msg_control = &control;
    message.msg_controllen = sizeof(control.bytes);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return Error(Code::kUnavailable, std::strerror(errno));
    if (!WaitFor(socket, true, deadline)) {
      return Error(Code::kDeadlineExceeded, "the peer takes no messages");
    }
  }
  return {};
}

Result<SocketMessage> ReceiveMessage(int socket, std::size_t bytes_max, Deadline deadline,
                                     const std::stop_token& stop) {
  constexpr std::chrono::milliseconds kStep{100};
  CHECK(bytes_max <= kSocketMessageBytesMax);
  SocketMessage received;
  std::array<std::byte, kSocketMessageBytesMax> buffer{};
  while (true) {
    iovec part{.iov_base = buffer.data(), .iov_len = bytes_max};
    Control control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof(control.bytes);
    const ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) {
      if (stop.stop_requested()) return Error(Code::kCancelled, "cancelled");
      const Deadline step = stop.stop_possible() ? Clock::now() + kStep : deadline;
      if (WaitFor(socket, false, std::min(deadline, step))) continue;
      if (Clock::now() >= deadline) return Error(Code::kDeadlineExceeded, "no message came");
      continue;
    }
    if (size <= 0) return Error(Code::kUnavailable, "the peer is gone");
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
      received.fd.Reset(fd);
    }
    if ((message.msg_flags & MSG_TRUNC) != 0) {
      return Error(Code::kInvalidArgument, "a message that is too long");
    }
    received.bytes.assign(buffer.begin(), buffer.begin() + size);
    return received;
  }
}

}  // namespace forebay
