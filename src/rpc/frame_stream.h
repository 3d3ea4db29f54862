// FrameStream: cuts what arrives on a connection into frames, as far as it is there, and puts their
// payloads where they belong. Never waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "wire/frame.h"

namespace forebay {

// Where the frames go. For each frame: Head; Space and Filled in turns as its payload comes; End.
class FrameSink {
 public:
  virtual ~FrameSink() = default;

  // `body` is valid during the call. Errors end the stream.
  virtual Status Head(const FrameHeader& header, std::span<const std::byte> body) = 0;
  // Memory for what comes next of the payload, at most `left` bytes. Empty: it is dropped.
  virtual std::span<std::byte> Space(std::uint32_t left) = 0;
  // The first `bytes` of the last Space have come.
  virtual void Filled(std::size_t bytes) = 0;
  // The payload is complete, or there was none.
  virtual void End() = 0;
};

// Thread safety: one thread at a time. Memory: 512 bytes, a frame's body while it arrives, and 64
// KiB while a payload is dropped.
class FrameStream {
 public:
  // Hands on what there is to read from `fd`, about a MiB at most. While a payload is expected, the
  // descriptor becomes readable (poll(2), epoll(7)) only for 256 KiB of it or its rest.
  // Cost: a system call for a payload and the head after it, if all is there; a memcpy(2) of what
  // came with a head.
  // Errors: kUnavailable (the peer closed or reset), those of DecodeFrameHeader and Head. The
  // stream is of no use any more then.
  Status Receive(int fd, FrameSink& sink);

 private:
  std::span<std::byte> PayloadSpace(FrameSink& sink);
  void PayloadCame(FrameSink& sink, std::size_t bytes);
  Status TakeInput(FrameSink& sink);
  void KeepInput(std::size_t taken, std::size_t wanted);
  void SetWakeUp(int fd);

  std::vector<std::byte> input_;  // Heads, and what came with them.
  std::size_t input_bytes_ = 0;
  std::uint32_t payload_left_ = 0;
  std::vector<std::byte> dropped_;  // Memory for what nobody wants.
  bool dropping_ = false;           // The last PayloadSpace was of it.
  std::size_t wakes_at_ = 1;        // Bytes.
};

}  // namespace forebay
