// Bodies of the frames with which control and clients ask workers about the group and the cache.
#include <fmt/format.h>

#include "wire/codec.h"
#include "wire/frame.h"
#include "wire/messages.h"

namespace forebay {
namespace {

constexpr std::size_t kDigestBytes = 16;
constexpr std::size_t kHaveFileBytes = 2 * kDigestBytes + 4;

static_assert(kHaveFilesMax * kHaveFileBytes + 64 <= kFrameBodyBytesMax);
static_assert(kHaveBitBytesMax + 64 <= kFrameBodyBytesMax);
static_assert(kDropPathsMax * kDigestBytes + 64 <= kFrameBodyBytesMax);

template <typename T>
Result<T> Finished(const Decoder& decoder, T message) {
  if (Status status = decoder.Finish(); !status.ok()) return std::move(status).error();
  return message;
}

Error TooMany(std::string_view what, std::size_t count, std::size_t most) {
  return {Code::kInvalidArgument, fmt::format("{} {} in one frame: at most {}", count, what, most)};
}

}  // namespace

std::vector<std::byte> Encode(const GroupQuestion& message) {
  Encoder encoder;
  encoder.Text(message.dataset);
  encoder.Text(message.name_space);
  return std::move(encoder).Finish();
}

Result<GroupQuestion> DecodeGroupQuestion(std::span<const std::byte> body) {
  Decoder decoder(body);
  GroupQuestion message;
  message.dataset = decoder.Text();
  message.name_space = decoder.Text();
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> Encode(const Have& message) {
  Encoder encoder;
  encoder.Bytes(message.dataset.value.bytes);
  encoder.U32(static_cast<std::uint32_t>(message.files.size()));
  for (const Have::File& file : message.files) {
    encoder.Bytes(file.path.bytes);
    encoder.Bytes(file.version.bytes);
    encoder.U32(file.blocks);
  }
  return std::move(encoder).Finish();
}

Result<Have> DecodeHave(std::span<const std::byte> body) {
  Decoder decoder(body);
  Have message;
  decoder.Bytes(message.dataset.value.bytes);
  const std::uint32_t count = decoder.U32();
  if (count > decoder.left() / kHaveFileBytes) {
    return TooMany("files", count, decoder.left() / kHaveFileBytes);
  }
  message.files.resize(count);
  std::size_t answer = 0;
  for (Have::File& file : message.files) {
    decoder.Bytes(file.path.bytes);
    decoder.Bytes(file.version.bytes);
    file.blocks = decoder.U32();
    answer += HeldBytes(file.blocks);
  }
  if (answer > kHaveBitBytesMax) return TooMany("bytes of an answer", answer, kHaveBitBytesMax);
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> Encode(const HaveReply& message) {
  Encoder encoder;
  encoder.U32(static_cast<std::uint32_t>(message.bits.size()));
  encoder.Bytes(message.bits);
  return std::move(encoder).Finish();
}

Result<HaveReply> DecodeHaveReply(std::span<const std::byte> body) {
  Decoder decoder(body);
  HaveReply message;
  const std::uint32_t count = decoder.U32();
  if (count > decoder.left()) return TooMany("bytes", count, decoder.left());
  message.bits.resize(count);
  decoder.Bytes(message.bits);
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> Encode(const Drop& message) {
  Encoder encoder;
  encoder.Bytes(message.dataset.value.bytes);
  encoder.U32(static_cast<std::uint32_t>(message.paths.size()));
  for (const Digest128& path : message.paths) encoder.Bytes(path.bytes);
  return std::move(encoder).Finish();
}

Result<Drop> DecodeDrop(std::span<const std::byte> body) {
  Decoder decoder(body);
  Drop message;
  decoder.Bytes(message.dataset.value.bytes);
  const std::uint32_t count = decoder.U32();
  if (count > decoder.left() / kDigestBytes) {
    return TooMany("paths", count, decoder.left() / kDigestBytes);
  }
  message.paths.resize(count);
  for (Digest128& path : message.paths) decoder.Bytes(path.bytes);
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> Encode(const DropReply& message) {
  Encoder encoder;
  encoder.U64(message.bytes);
  return std::move(encoder).Finish();
}

Result<DropReply> DecodeDropReply(std::span<const std::byte> body) {
  Decoder decoder(body);
  DropReply message;
  message.bytes = decoder.U64();
  return Finished(decoder, std::move(message));
}

std::vector<std::byte> Encode(const TextReply& message) {
  Encoder encoder;
  encoder.Text(message.text);
  return std::move(encoder).Finish();
}

Result<TextReply> DecodeTextReply(std::span<const std::byte> body) {
  Decoder decoder(body);
  TextReply message;
  message.text = decoder.Text();
  return Finished(decoder, std::move(message));
}

}  // namespace forebay
