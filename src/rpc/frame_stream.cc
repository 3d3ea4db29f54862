#include "rpc/frame_stream.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace forebay {
namespace {

constexpr std::size_t kInputBytes = 512;
// Then others on the same thread have their turn.
constexpr std::size_t kTurnBytes = 1 << 20;
// Saves nine of ten wake-ups. Below the second a run comes in a packet or two.
constexpr std::size_t kWakeBytes = 256 << 10;
constexpr std::size_t kLargeBytes = 8 << 10;
constexpr std::size_t kDroppedBytes = 64 << 10;

// Bytes read; 0: none are there now.
Result<std::size_t> Read(int fd, std::span<iovec> parts) {
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  while (true) {
    const ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) return Error(Code::kUnavailable, "the peer closed the connection");
    if (errno == EAGAIN) return std::size_t{0};
    if (errno != EINTR) return Error(Code::kUnavailable, std::strerror(errno));
  }
}

}  // namespace

Status FrameStream::Receive(int fd, FrameSink& sink) {
  bool drained = false;
  for (std::size_t taken = 0; !drained && taken < kTurnBytes;) {
    std::array<iovec, 2> parts{};
    std::size_t count = 0;
    std::size_t wanted = 0;
    const auto want = [&](std::span<std::byte> part) {
      parts[count++] = {part.data(), part.size()};
      wanted += part.size();
    };
    std::span<std::byte> space;
    if (payload_left_ > 0) want(space = PayloadSpace(sink));
    if (space.size() == payload_left_) {
      if (input_.empty()) input_.resize(kInputBytes);
      want(std::span(input_).subspan(input_bytes_));
    }
    const Result<std::size_t> got = Read(fd, std::span(parts).first(count));
    if (!got.ok()) return got.error();
    const std::size_t payload = std::min(got.value(), space.size());
    if (payload > 0) PayloadCame(sink, payload);
    input_bytes_ += got.value() - payload;
    if (Status status = TakeInput(sink); !status.ok()) return status;
    taken += got.value();
    drained = got.value() < wanted;
  }
  SetWakeUp(fd);
  return {};
}

std::span<std::byte> FrameStream::PayloadSpace(FrameSink& sink) {
  std::span<std::byte> space = sink.Space(payload_left_);
  CHECK(space.size() <= payload_left_);
  dropping_ = space.empty();
  if (!dropping_) return space;
  dropped_.resize(kDroppedBytes);
  return std::span(dropped_).first(std::min<std::size_t>(kDroppedBytes, payload_left_));
}

void FrameStream::PayloadCame(FrameSink& sink, std::size_t bytes) {
  payload_left_ -= static_cast<std::uint32_t>(bytes);
  if (!dropping_) sink.Filled(bytes);
  if (payload_left_ > 0) return;
  if (dropping_) dropped_ = {};
  sink.End();
}

// Takes all frames, and payload, that are in the input.
Status FrameStream::TakeInput(FrameSink& sink) {
  std::size_t taken = 0;
  std::size_t wanted = kInputBytes;  // Of the next head.
  while (taken < input_bytes_) {
    const std::span<std::byte> input = std::span(input_).first(input_bytes_).subspan(taken);
    if (payload_left_ > 0) {
      const std::span<std::byte> space = PayloadSpace(sink);
      const std::size_t bytes = std::min(space.size(), input.size());
      std::memcpy(space.data(), input.data(), bytes);
      taken += bytes;
      PayloadCame(sink, bytes);
      continue;
    }
    if (input.size() < kFrameHeaderBytes) break;
    const Result<FrameHeader> header = DecodeFrameHeader(input.first<kFrameHeaderBytes>());
    if (!header.ok()) return header.error();
    const std::size_t head_bytes = kFrameHeaderBytes + header.value().body_bytes;
    if (input.size() < head_bytes) {
      wanted = std::max(wanted, head_bytes);
      break;
    }
    payload_left_ = header.value().payload_bytes;
    const std::span<const std::byte> body =
        input.subspan(kFrameHeaderBytes, header.value().body_bytes);
    if (Status status = sink.Head(header.value(), body); !status.ok()) return status;
    taken += head_bytes;
    if (payload_left_ == 0) sink.End();
  }
  KeepInput(taken, wanted);
  return {};
}

// What was not taken comes to the front, and there is room for `wanted` bytes.
void FrameStream::KeepInput(std::size_t taken, std::size_t wanted) {
  std::copy(input_.begin() + static_cast<std::ptrdiff_t>(taken),
            input_.begin() + static_cast<std::ptrdiff_t>(input_bytes_), input_.begin());
  input_bytes_ -= taken;
  if (input_.size() == wanted) return;
  input_.resize(wanted);
  input_.shrink_to_fit();
}

void FrameStream::SetWakeUp(int fd) {
  const bool large = payload_left_ >= kLargeBytes || (payload_left_ > 0 && wakes_at_ > 1);
  const std::size_t wakes_at = large ? std::min<std::size_t>(payload_left_, kWakeBytes) : 1;
  if (wakes_at == wakes_at_) return;
  wakes_at_ = wakes_at;
  const int value = static_cast<int>(wakes_at);
  // Saves wake-ups only.
  [[maybe_unused]] const int result = setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value);
}

}  // namespace forebay
