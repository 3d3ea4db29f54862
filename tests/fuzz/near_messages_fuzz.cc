// What comes over a near worker's socket.
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/crc32c.h"
#include "wire/near_messages.h"

namespace {

// As a peer sends it that computes checksums, too.
std::vector<std::byte> WithChecksum(std::span<const std::byte> bytes) {
  std::vector<std::byte> message(bytes.begin(), bytes.end());
  const std::uint32_t checksum = forebay::Crc32c(bytes);
  for (int shift = 0; shift < 32; shift += 8) {
    message.push_back(static_cast<std::byte>(checksum >> shift));
  }
  return message;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::byte> message = WithChecksum(std::as_bytes(std::span(data, size)));
  const auto question = forebay::DecodeNearQuestion(message);
  if (question.ok()) {
    const forebay::NearQuestion& asked = question.value();
    if (asked.kind == forebay::NearQuestionKind::kFill) {
      CHECK(asked.offset < asked.size && asked.length <= asked.size - asked.offset);
    }
    CHECK(forebay::DecodeNearQuestion(forebay::Encode(asked)).ok());
  }
  const auto answer = forebay::DecodeNearAnswer(message);
  if (answer.ok()) CHECK(forebay::DecodeNearAnswer(forebay::Encode(answer.value())).ok());
  return 0;
}
