#include "io/socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "base/check.h"

namespace forebay {
namespace {

constexpr int kBacklog = 4096;
// So much of a block can wait in a socket (see DESIGN "Recycling"), and its bookkeeping, for which
// the kernel doubles what it is told.
constexpr int kSendBufferBytes = 512 << 10;
// To a reader on the same host: whoever fills it is woken half as often.
constexpr int kLocalSendBufferBytes = 1 << 20;
constexpr std::chrono::milliseconds kStopPoll{100};

Error SystemError(std::string_view what, int error) {
  const std::string text = fmt::format("{}: {}", what, std::strerror(error));
  switch (error) {
    case EACCES:
    case EPERM: return {Code::kDenied, text};
    case EADDRNOTAVAIL:
    case EINVAL: return {Code::kInvalidArgument, text};
    default: return {Code::kUnavailable, text};
  }
}

void SetOption(int fd, int level, int option, int value) {
  // Tuning only: a kernel that lacks one of these still works.
  [[maybe_unused]] const int result = setsockopt(fd, level, option, &value, sizeof value);
}

void Tune(int fd, bool tcp) {
  if (!tcp) {
    SetOption(fd, SOL_SOCKET, SO_SNDBUF, kSendBufferBytes);
    return;
  }
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  // Keep-alive does not act while something is unacknowledged: without this, a connection to a host
  // that vanished stands for a quarter of an hour.
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
  constexpr std::string_view kCubic = "cubic";
  [[maybe_unused]] const int result =
      setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kCubic.data(), kCubic.size());
}

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

// All addresses of a name, in the order of preference; at least one.
Result<std::vector<ResolvedAddress>> Resolve(const Address& address, bool passive) {
  ResolvedAddress resolved;
  if (address.is_unix()) {
    auto* unix_address = reinterpret_cast<sockaddr_un*>(&resolved.storage);
    unix_address->sun_family = AF_UNIX;
    std::copy(address.unix_path.begin(), address.unix_path.end(), unix_address->sun_path);
    resolved.length = sizeof(sockaddr_un);
    resolved.family = AF_UNIX;
    return std::vector<ResolvedAddress>{resolved};
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = passive ? AI_PASSIVE : 0;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
  if (error != 0) {
    // A name that nobody knows today is a peer that cannot be reached, not the caller's mistake.
    return Error(passive ? Code::kInvalidArgument : Code::kUnavailable,
                 fmt::format("\"{}\": {}", address.text, gai_strerror(error)));
  }
  const AddressList list(found, &freeaddrinfo);
  std::vector<ResolvedAddress> all;
  for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
    std::memcpy(&resolved.storage, one->ai_addr, one->ai_addrlen);
    resolved.length = one->ai_addrlen;
    resolved.family = one->ai_family;
    all.push_back(resolved);
  }
  return all;
}

const sockaddr* Raw(const ResolvedAddress& resolved) {
  return reinterpret_cast<const sockaddr*>(&resolved.storage);
}

Result<UniqueFd> NewSocket(const ResolvedAddress& resolved) {
  UniqueFd fd(socket(resolved.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return SystemError("socket", errno);
  Tune(fd.get(), resolved.family != AF_UNIX);
  return fd;
}

// How a connect that was under way has ended.
Status ConnectOutcome(int fd, const std::string& what) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return SystemError(what, error);
  return {};
}

}  // namespace

bool Address::is_local() const {
  if (is_unix() || host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool Address::is_numeric() const {
  in6_addr any{};  // Has room for both.
  return is_unix() || inet_pton(AF_INET, host.c_str(), &any) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &any) == 1;
}

Result<Address> ParseAddress(const std::string& text) {
  constexpr std::string_view kUnix = "unix:";
  Address address;
  address.text = text;
  if (text.starts_with(kUnix)) {
    address.unix_path = text.substr(kUnix.size());
    constexpr std::size_t kPathMax = sizeof(sockaddr_un{}.sun_path) - 1;
    if (address.unix_path.empty() || address.unix_path.size() > kPathMax) {
      return Error(Code::kInvalidArgument,
                   fmt::format("\"{}\": a unix socket's path has 1 to {} bytes", text, kPathMax));
    }
    return address;
  }
  const std::size_t colon = text.rfind(':');
  if (colon != std::string::npos) {
    address.host = text.substr(0, colon);
    address.port = text.substr(colon + 1);
    if (address.host.starts_with('[') && address.host.ends_with(']')) {
      address.host = address.host.substr(1, address.host.size() - 2);
    }
  }
  constexpr std::size_t kPortDigitsMax = 5;
  constexpr int kPortMax = 65535;
  const bool digits = !address.port.empty() && address.port.size() <= kPortDigitsMax &&
                      address.port.find_first_not_of("0123456789") == std::string::npos;
  if (address.host.empty() || !digits || std::stoi(address.port) > kPortMax) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": not an address; write HOST:PORT or unix:PATH", text));
  }
  return address;
}

Result<UniqueFd> Listen(const Address& address) {
  Result<std::vector<ResolvedAddress>> all = Resolve(address, /*passive=*/true);
  if (!all.ok()) return std::move(all).error();
  const ResolvedAddress& resolved = all.value().front();
  Result<UniqueFd> made = NewSocket(resolved);
  if (!made.ok()) return made;
  UniqueFd fd = std::move(made).value();
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  const std::string what = "listen on " + address.text;
  int bound = bind(fd.get(), Raw(resolved), resolved.length);
  if (bound != 0 && errno == EADDRINUSE && address.is_unix()) {
    const bool alive =
        Connect(address, Clock::now() + std::chrono::seconds(1), std::stop_token()).ok();
    if (!alive && unlink(address.unix_path.c_str()) == 0) {
      bound = bind(fd.get(), Raw(resolved), resolved.length);
    } else {
      errno = EADDRINUSE;
    }
  }
  if (bound == 0 && listen(fd.get(), kBacklog) == 0) return fd;
  if (errno == EADDRINUSE) {
    return Error(Code::kUnavailable,
                 what + ": already in use; stop who listens there, or choose another address");
  }
  return SystemError(what, errno);
}

Result<Address> BoundAddress(int listener, const Address& address) {
  if (address.is_unix()) return address;
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {
    return SystemError("getsockname", errno);
  }
  const in_port_t port = storage.ss_family == AF_INET6
                             ? reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port
                             : reinterpret_cast<const sockaddr_in*>(&storage)->sin_port;
  Address bound = address;
  bound.port = std::to_string(ntohs(port));
  const bool v6 = bound.host.find(':') != std::string::npos;
  bound.text = (v6 ? "[" + bound.host + "]" : bound.host) + ":" + bound.port;
  return bound;
}

Connecting::Connecting(Address address, Deadline deadline)
    : address_(std::move(address)), deadline_(deadline), due_(deadline) {}

Status Connecting::Resolve() {
  Result<std::vector<ResolvedAddress>> all = forebay::Resolve(address_, /*passive=*/false);
  if (!all.ok()) return std::move(all).error();
  addresses_ = std::move(all).value();
  return {};
}

Result<bool> Connecting::Step(bool writable) {
  const std::string what = "connect to " + address_.text;
  Error last(Code::kDeadlineExceeded, what);
  if (fd_) {
    if (!writable && !Passed(due_)) return false;
    if (writable) {
      Status outcome = ConnectOutcome(fd_.get(), what);
      if (outcome.ok()) return true;
      last = std::move(outcome).error();
    }
  }
  while (tried_ < addresses_.size()) {
    // Each has its part of the time: the first may be one whose packets vanish.
    const Deadline now = Clock::now();
    if (tried_ > 0 && now >= deadline_) break;
    const auto left = static_cast<int>(addresses_.size() - tried_);
    due_ = left == 1 ? deadline_ : now + (deadline_ - now) / left;
    Result<bool> begun = Begin(addresses_[tried_++]);
    if (begun.ok()) return begun;
    last = std::move(begun).error();
  }
  return last;
}

Result<bool> Connecting::Begin(const ResolvedAddress& to) {
  Result<UniqueFd> made = NewSocket(to);
  if (!made.ok()) return std::move(made).error();
  fd_ = std::move(made).value();
  if (connect(fd_.get(), Raw(to), to.length) == 0) return true;
  if (errno == EINPROGRESS) return false;
  return SystemError("connect to " + address_.text, errno);
}

Result<UniqueFd> Connect(const Address& address, Deadline deadline, std::stop_token stop) {
  Connecting connecting(address, deadline);
  if (Status status = connecting.Resolve(); !status.ok()) return std::move(status).error();
  Result<bool> connected = connecting.Step(/*writable=*/false);
  while (connected.ok() && !connected.value()) {
    if (stop.stop_requested()) return Error(Code::kCancelled, "connect to " + address.text);
    connected = connecting.Step(WaitFor(connecting.fd(), /*writable=*/true,
                                        std::min(connecting.due(), Clock::now() + kStopPoll)));
  }
  if (!connected.ok()) return std::move(connected).error();
  return connecting.Take();
}

Result<UniqueFd> Accept(int listener) {
  UniqueFd fd(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) return SystemError("accept", errno);
  int domain = 0;
  socklen_t length = sizeof domain;
  const bool known = getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0;
  Tune(fd.get(), known && domain != AF_UNIX);
  SetOption(fd.get(), SOL_SOCKET, SO_SNDBUF,
            SameHost(fd.get()) ? kLocalSendBufferBytes : kSendBufferBytes);
  return fd;
}

bool SameHost(int fd) {
  sockaddr_storage own{};
  sockaddr_storage peer{};
  socklen_t own_length = sizeof own;
  socklen_t peer_length = sizeof peer;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_length) != 0 ||
      getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_length) != 0) {
    return false;
  }
  if (own.ss_family == AF_UNIX) return true;
  if (own.ss_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in&>(own).sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in&>(peer).sin_addr.s_addr;
  }
  return IN6_ARE_ADDR_EQUAL(&reinterpret_cast<const sockaddr_in6&>(own).sin6_addr,
                            &reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr);
}

void LimitUnsent(int fd, std::uint32_t bytes) {
  SetOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(bytes));
}

bool WaitFor(int fd, bool writable, Deadline until) {
  pollfd entry{fd, static_cast<short>(writable ? POLLOUT : POLLIN), 0};
  return poll(&entry, 1, MillisecondsUntil(until)) > 0;
}

Status SendAll(int fd, std::span<const std::span<const std::byte>> parts, Deadline deadline) {
  constexpr std::size_t kPartsMax = 4;
  CHECK(parts.size() <= kPartsMax);
  std::array<iovec, kPartsMax> vectors{};
  std::transform(parts.begin(), parts.end(), vectors.begin(), [](std::span<const std::byte> part) {
    return iovec{const_cast<std::byte*>(part.data()), part.size()};  // Only read.
  });
  std::span<iovec> left = std::span(vectors).first(parts.size());
  while (!left.empty()) {
    msghdr message{};
    message.msg_iov = left.data();
    message.msg_iovlen = left.size();
    const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      // The kernel may call it writable and yet have no memory.
      if (Passed(deadline) || !WaitFor(fd, /*writable=*/true, deadline)) {
        return Error(Code::kDeadlineExceeded, "send: the peer takes nothing");
      }
    } else if (sent < 0 && errno != EINTR) {
      return SystemError("send", errno);
    }
    for (auto taken = static_cast<std::size_t>(std::max<ssize_t>(sent, 0)); !left.empty();) {
      iovec& first = left.front();
      const std::size_t step = std::min(taken, first.iov_len);
      first.iov_base = static_cast<std::byte*>(first.iov_base) + step;
      first.iov_len -= step;
      taken -= step;
      if (first.iov_len > 0) break;
      left = left.subspan(1);
    }
  }
  return {};
}

Deadline NoDeadline() {
  return Clock::now() + std::chrono::hours(24 * 365);
}

Status ReceiveExactly(int fd, std::span<std::byte> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t received = recv(fd, bytes.data(), bytes.size(), 0);
    if (received > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(received));
    } else if (received == 0) {
      return Error(Code::kUnavailable, "the peer closed the connection");
    } else if (errno == EAGAIN) {
      if (!WaitFor(fd, /*writable=*/false, deadline) && Passed(deadline)) {
        return Error(Code::kDeadlineExceeded, "receive: the peer sends nothing");
      }
    } else if (errno != EINTR) {
      return SystemError("receive", errno);
    }
  }
  return {};
}

}  // namespace forebay
