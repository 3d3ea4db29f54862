#include "wire/frame.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crc32c.h"

namespace forebay {
namespace {

constexpr std::uint32_t kMagic = 0x31594246;  // "FBY1", little-endian.
constexpr std::size_t kChecksumOffset = 60;

template <typename T>
void Put(FrameHeaderBytes& bytes, std::size_t offset, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes[offset + i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i));
  }
}

template <typename T>
T Get(std::span<const std::byte, kFrameHeaderBytes> bytes, std::size_t offset) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= std::to_integer<std::uint64_t>(bytes[offset + i]) << (8 * i);
  }
  return static_cast<T>(value);
}

}  // namespace

FrameHeaderBytes EncodeFrameHeader(const FrameHeader& header) {
  FrameHeaderBytes bytes{};
  Put(bytes, 0, kMagic);
  Put(bytes, 4, header.version);
  Put(bytes, 5, static_cast<std::uint8_t>(header.type));
  Put(bytes, 6, header.flags);
  Put(bytes, 8, header.body_bytes);
  Put(bytes, 12, header.payload_bytes);
  Put(bytes, 16, header.request_id);
  Put(bytes, 24, header.epoch);
  Put(bytes, 32, header.acked);
  Put(bytes, 40, header.domain.value);
  Put(bytes, 48, header.queue_depth);
  Put(bytes, 52, header.deadline_ms);
  Put(bytes, 56, header.holders);
  Put(bytes, 58, header.code);
  Put(bytes, kChecksumOffset, Crc32c(std::span(bytes).first<kChecksumOffset>()));
  return bytes;
}

Result<FrameHeader> DecodeFrameHeader(std::span<const std::byte, kFrameHeaderBytes> bytes) {
  if (Get<std::uint32_t>(bytes, 0) != kMagic) {
    return Error(Code::kInvalidArgument, "not a Forebay peer: the frame has another magic number");
  }
  if (Get<std::uint32_t>(bytes, kChecksumOffset) != Crc32c(bytes.first<kChecksumOffset>())) {
    return Error(Code::kCorrupt, "frame header does not match its checksum");
  }
  FrameHeader header;
  header.version = Get<std::uint8_t>(bytes, 4);
  const auto type = Get<std::uint8_t>(bytes, 5);
  header.type = static_cast<FrameType>(type);
  header.flags = Get<std::uint16_t>(bytes, 6);
  header.body_bytes = Get<std::uint32_t>(bytes, 8);
  header.payload_bytes = Get<std::uint32_t>(bytes, 12);
  header.request_id = Get<std::uint64_t>(bytes, 16);
  header.epoch = Get<std::uint64_t>(bytes, 24);
  header.acked = Get<std::uint64_t>(bytes, 32);
  header.domain.value = Get<std::uint64_t>(bytes, 40);
  header.queue_depth = Get<std::uint32_t>(bytes, 48);
  header.deadline_ms = Get<std::uint32_t>(bytes, 52);
  header.holders = Get<std::uint16_t>(bytes, 56);
  header.code = Get<std::uint16_t>(bytes, 58);
  if (header.version < kProtocolVersionMin || header.version > kProtocolVersion) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("protocol version {}: this build speaks {} to {}; upgrade the older side",
                    header.version, kProtocolVersionMin, kProtocolVersion));
  }
  if (type < static_cast<std::uint8_t>(FrameType::kHello) ||
      type > static_cast<std::uint8_t>(FrameType::kStale)) {
    return Error(Code::kInvalidArgument, fmt::format("frame type {} is unknown", type));
  }
  if (header.body_bytes > kFrameBodyBytesMax || header.payload_bytes > kFramePayloadBytesMax) {
    return Error(Code::kInvalidArgument, fmt::format("frame of {} + {} bytes is over the limit",
                                                     header.body_bytes, header.payload_bytes));
  }
  return header;
}

}  // namespace forebay
