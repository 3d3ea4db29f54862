// Frames and bodies as a hostile peer may send them.
#include <cstdint>
#include <span>
#include <vector>

#include "base/crc32c.h"
#include "wire/frame.h"
#include "wire/messages.h"

namespace {

// What decodes must encode again.
template <typename T>
void RoundTrip(const forebay::Result<T>& decoded) {
  if (decoded.ok()) CHECK(!forebay::Encode(decoded.value()).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  if (size >= forebay::kFrameHeaderBytes) {
    const auto header = forebay::DecodeFrameHeader(bytes.first<forebay::kFrameHeaderBytes>());
    if (header.ok()) CHECK(forebay::EncodeFrameHeader(header.value()).size() == 64);
  }
  // A hostile sender computes checksums too.
  std::vector<std::byte> body(bytes.begin(), bytes.end());
  const std::uint32_t checksum = forebay::Crc32c(bytes);
  for (int shift = 0; shift < 32; shift += 8)
    body.push_back(static_cast<std::byte>(checksum >> shift));
  RoundTrip(forebay::DecodeHello(body));
  RoundTrip(forebay::DecodeWelcome(body));
  RoundTrip(forebay::DecodeReadBlock(body));
  RoundTrip(forebay::DecodeBlockData(body));
  RoundTrip(forebay::DecodeLookup(body));
  RoundTrip(forebay::DecodeLookupReply(body));
  RoundTrip(forebay::DecodeGroupQuestion(body));
  RoundTrip(forebay::DecodeHave(body));
  RoundTrip(forebay::DecodeHaveReply(body));
  RoundTrip(forebay::DecodeDrop(body));
  RoundTrip(forebay::DecodeDropReply(body));
  RoundTrip(forebay::DecodeTextReply(body));
  CHECK(forebay::DecodeError(1, body).code() == forebay::Code::kNotHere);
  return 0;
}
