// Unix sockets of whole messages (SOCK_SEQPACKET), with which a descriptor may come along.
#pragma once

#include <cstddef>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "io/unique_fd.h"

namespace forebay {

// `path` is at most 107 bytes. What lies there and nobody listens on is replaced.
// Errors: kInvalidArgument, kUnavailable (in use), kDenied.
Result<UniqueFd> ListenForMessages(const std::string& path);
// Errors: kUnavailable: nobody listens there.
Result<UniqueFd> ConnectForMessages(const std::string& path);

// The user of the process at the other end. Errors: kInternal.
Result<unsigned> PeerUser(int socket);

// No message is longer.
inline constexpr std::size_t kSocketMessageBytesMax = 32u << 10;

struct SocketMessage {
  std::vector<std::byte> bytes;
  UniqueFd fd;  // If one came along.
};

// With `fd` if it is not -1; the caller keeps its own.
// Errors: kUnavailable (the peer is gone), kDeadlineExceeded.
Status SendMessage(int socket, std::span<const std::byte> bytes, int fd, Deadline deadline);

// One message of at most `bytes_max` bytes, which is no more than kSocketMessageBytesMax. Errors:
// kUnavailable (the peer is gone), kDeadlineExceeded, kCancelled (within 100 ms), kInvalidArgument
// (a longer one).
Result<SocketMessage> ReceiveMessage(int socket, std::size_t bytes_max, Deadline deadline,
                                     const std::stop_token& stop);

}  // namespace forebay
