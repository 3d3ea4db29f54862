#include "wire/messages.h"

#include <fmt/format.h>

#include "base/crc32c.h"
#include "wire/codec.h"
#include "wire/frame.h"

namespace forebay {
namespace {

// The least that an encoded entry takes: bounds what a count may make us reserve.
constexpr std::size_t kEntryBytesMin = 4 + 1 + 8 + 8 + 4;

void Put(Encoder& encoder, const WireAttributes& attributes) {
  encoder.U8(attributes.type);
  encoder.U64(attributes.size);
  encoder.I64(attributes.mtime_ns);
  encoder.Text(attributes.version);
}

WireAttributes TakeAttributes(Decoder& decoder) {
  WireAttributes attributes;
  attributes.type = decoder.U8();
  attributes.size = decoder.U64();
  attributes.mtime_ns = decoder.I64();
  attributes.version = decoder.Text();
  return attributes;
}

Error TooLong(std::string_view field, std::size_t bytes) {
  return {Code::kInvalidArgument,
          fmt::format("{} of {} bytes: at most {}", field, bytes, kPathBytesMax)};
}

template <typename T>
Result<T> Finished(const Decoder& decoder, T message) {
  if (Status status = decoder.Finish(); !status.ok()) return std::move(status).error();
  return message;
}

// The greatest number stands for all greater ones; of a bound it means that there is none.
constexpr std::chrono::milliseconds kPinnedAge{0xffff'ffff};

std::uint32_t Milliseconds(std::chrono::milliseconds duration) {
  constexpr std::int64_t kMax = kPinnedAge.count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(duration.count(), 0, kMax));
}

}  // namespace

std::vector<std::byte> Encode(const Hello& message) {
  Encoder encoder;
  encoder.U8(message.version_min);
  encoder.U8(message.version_max);
  encoder.U64(message.reader_id);
  encoder.U32(message.block_bytes);
  encoder.Text(message.endpoint);
  encoder.Text(message.auth);
  return std::move(encoder).Finish();
}

Result<Hello> DecodeHello(std::span<const std::byte> body) {
  Decoder decoder(body);
  Hello message;
  message.version_min = decoder.U8();
  message.version_max = decoder.U8();
  message.reader_id = decoder.U64();
  message.block_bytes = decoder.U32();
  message.endpoint = decoder.Text();
  message.auth = decoder.Text();
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> Encode(const Welcome& message) {
  Encoder encoder;
  encoder.U8(message.version);
  encoder.Text(message.member);
  return std::move(encoder).Finish();
}

Result<Welcome> DecodeWelcome(std::span<const std::byte> body) {
  Decoder decoder(body);
  Welcome message;
  message.version = decoder.U8();
  message.member = decoder.Text();
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> Encode(const ReadBlock& message) {
  Encoder encoder;
  encoder.Text(message.store);
  encoder.Text(message.path);
  encoder.Text(message.version);
  encoder.U64(message.file_size);
  encoder.U32(message.index);
  encoder.U32(message.offset);
  encoder.U32(message.length);
  encoder.U32(message.block_bytes);
  return std::move(encoder).Finish();
}

Result<ReadBlock> DecodeReadBlock(std::span<const std::byte> body) {
  Decoder decoder(body);
  ReadBlock message;
  message.store = decoder.Text();
  message.path = decoder.Text();
  message.version = decoder.Text();
  message.file_size = decoder.U64();
  message.index = decoder.U32();
  message.offset = decoder.U32();
  message.length = decoder.U32();
  if (decoder.more()) message.block_bytes = decoder.U32();
  if (message.path.size() > kPathBytesMax) return TooLong("path", message.path.size());
  if (message.version.size() > kPathBytesMax) return TooLong("version", message.version.size());
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> Encode(const BlockData& message) {
  Encoder encoder;
  encoder.U32(message.offset);
  encoder.U32(static_cast<std::uint32_t>(message.checksums.size()));
  for (const std::uint32_t checksum : message.checksums) encoder.U32(checksum);
  return std::move(encoder).Finish();
}

Result<BlockData> DecodeBlockData(std::span<const std::byte> body) {
  Decoder decoder(body);
  BlockData message;
  message.offset = decoder.U32();
  const std::uint32_t count = decoder.U32();
  if (count > GranulesOf(kFramePayloadBytesMax)) {
    return Error(Code::kInvalidArgument, fmt::format("{} checksums in one frame", count));
  }
  message.checksums.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) message.checksums.push_back(decoder.U32());
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> Encode(const Lookup& message) {
  Encoder encoder;
  encoder.Text(message.store);
  encoder.Text(message.path);
  encoder.Text(message.after);
  encoder.U32(Milliseconds(message.max_age));
  encoder.U64(message.refreshed);
  return std::move(encoder).Finish();
}

Result<Lookup> DecodeLookup(std::span<const std::byte> body) {
  Decoder decoder(body);
  Lookup message;
  message.store = decoder.Text();
  message.path = decoder.Text();
  message.after = decoder.Text();
  message.max_age = std::chrono::milliseconds(decoder.U32());
  if (message.max_age == kPinnedAge) message.max_age = std::chrono::milliseconds::max();
  if (decoder.more()) message.refreshed = decoder.U64();
  if (message.path.size() > kPathBytesMax) return TooLong("path", message.path.size());
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> Encode(const LookupReply& message) {
  Encoder encoder;
  encoder.U32(Milliseconds(message.age));
  encoder.Text(message.next);
  encoder.U64(message.left_out);
  encoder.U32(static_cast<std::uint32_t>(message.entries.size()));
  for (const WireEntry& entry : message.entries) {
    encoder.Text(entry.name);
    Put(encoder, entry.attributes);
  }
  return std::move(encoder).Finish();
}

Result<LookupReply> DecodeLookupReply(std::span<const std::byte> body) {
  Decoder decoder(body);
  LookupReply message;
  message.age = std::chrono::milliseconds(decoder.U32());
  message.next = decoder.Text();
  message.left_out = decoder.U64();
  const std::uint32_t count = decoder.U32();
  if (count > body.size() / kEntryBytesMin) {
    return Error(Code::kInvalidArgument, fmt::format("{} entries in {} bytes", count, body.size()));
  }
  message.entries.reserve(count);
  for (std::uint32_t i = 0; i < count && !decoder.failed(); ++i) {
    std::string name = decoder.Text();
    message.entries.push_back({std::move(name), TakeAttributes(decoder)});
  }
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> EncodeErrorText(const std::string& message) {
  Encoder encoder;
  encoder.Text(message);
  return std::move(encoder).Finish();
}

Error DecodeError(std::uint16_t code, std::span<const std::byte> body) {
  Decoder decoder(body);
  std::string message = decoder.Text();
  if (decoder.failed()) message = "a peer's error message could not be read";
  const bool known = code >= static_cast<std::uint16_t>(Code::kNotHere) &&
                     code <= static_cast<std::uint16_t>(Code::kInternal);
  return {known ? static_cast<Code>(code) : Code::kInternal, std::move(message)};
}

}  // namespace forebay
