// Stream sockets, TCP and unix, as the worker protocol uses them.
//
// Every socket is non-blocking, close-on-exec and, for TCP, has TCP_NODELAY, the cubic congestion
// control and keep-alive set: hosts whose default is BBR were measured 2-4 times slower inside a
// data centre.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "io/unique_fd.h"

namespace forebay {

// "HOST:PORT", "[V6]:PORT" or "unix:PATH".
struct Address {
  std::string text;       // As people write it.
  std::string unix_path;  // Set for a unix socket.
  std::string host;
  std::string port;

  bool is_unix() const { return !unix_path.empty(); }
  // True for unix sockets, "localhost" and numeric loopback addresses.
  bool is_local() const;
  // Whether there is no name to look up.
  bool is_numeric() const;
};

// Errors: kInvalidArgument, with the value and what would do; a unix path that does not fit into
// sockaddr_un (107 bytes) is one.
Result<Address> ParseAddress(const std::string& text);

// Errors: kInvalidArgument (cannot be resolved, or not an address of this host), kUnavailable (in
// use: says so), kDenied. A stale unix socket file that nobody listens on is replaced.
Result<UniqueFd> Listen(const Address& address);

// The address with the port that the kernel chose, for "HOST:0".
Result<Address> BoundAddress(int listener, const Address& address);

struct ResolvedAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  int family = 0;
};

// A connection that is being opened: tries every address of a name, each with its part of the time
// that is left. Only Resolve waits.
//
// Thread safety: none.
class Connecting {
 public:
  Connecting(Address address, Deadline deadline);

  // Looks the name up, to be called once and first. That is the system's, and may take longer than
  // the deadline; at once if the address is_numeric().
  // Errors: kUnavailable (nobody knows the name).
  Status Resolve();

  // Goes on: at first, and when fd() is `writable` or due() has come. True: connected, and all that
  // is left is to Take. False: not yet.
  // Errors: those of Connect, of the last address that was tried.
  Result<bool> Step(bool writable);

  int fd() const { return fd_.get(); }
  // Which address it is, from 1. Each has a descriptor of its own, maybe under the same number.
  std::size_t attempt() const { return tried_; }
  Deadline due() const { return due_; }
  UniqueFd Take() { return std::move(fd_); }

 private:
  Result<bool> Begin(const ResolvedAddress& to);

  const Address address_;
  const Deadline deadline_;
  std::vector<ResolvedAddress> addresses_;
  std::size_t tried_ = 0;  // Of them.
  UniqueFd fd_;
  Deadline due_;
};

// Waits for a Connecting. Obeys `stop` within 100 ms.
// Errors: kUnavailable (refused, unreachable, reset), kDeadlineExceeded, kInvalidArgument.
Result<UniqueFd> Connect(const Address& address, Deadline deadline, std::stop_token stop);

// Accepts one connection from a listener that poll(2) said is readable. kUnavailable: nothing there
// (any more), or out of descriptors.
Result<UniqueFd> Accept(int listener);

// Whether the peer of a connected socket looks as if it were on this host: a unix socket's, or one
// that has the very address of this end. So do those behind a proxy on this host.
bool SameHost(int fd);

// Bounds what waits in the socket without having been handed to the network. With it, a block is
// "sent" only when nearly all of it is on its way: the send order decides, not the socket buffers.
// No effect on unix sockets.
void LimitUnsent(int fd, std::uint32_t bytes);

// Waits until `fd` is readable (or, with `writable`, writable), has failed, or `until` came.
// Returns whether there is something to do.
bool WaitFor(int fd, bool writable, Deadline until);

// Writes all of `parts`; with a deadline that has passed, without waiting.
// Errors: kUnavailable (the peer is gone), kDeadlineExceeded: some of it may have been sent.
Status SendAll(int fd, std::span<const std::span<const std::byte>> parts, Deadline deadline);

// Reads exactly bytes.size() bytes: for a few. shutdown(2) from another thread ends it early.
// Errors: kUnavailable (the peer closed or reset), kDeadlineExceeded.
Status ReceiveExactly(int fd, std::span<std::byte> bytes, Deadline deadline);

// A deadline for waits that only the peer or shutdown(2) ends.
Deadline NoDeadline();

}  // namespace forebay
