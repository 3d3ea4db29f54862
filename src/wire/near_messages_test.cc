#include "wire/near_messages.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string_view>

#include "base/crc32c.h"

namespace forebay {
namespace {

std::string HexOf(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const std::byte byte : bytes) {
    hex += kDigits[std::to_integer<std::size_t>(byte >> 4)];
    hex += kDigits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return hex;
}

NearQuestion SomeFill() {
  return {.kind = NearQuestionKind::kFill,
          .url = "s3://b/k",
          .version = "\"e\"",
          .size = 300,
          .mtime_ns = -7,
          .timeout_ms = 30'000,
          .incarnation = 5,
          .offset = 100,
          .length = 200};
}

// Pinned: these bytes are what another release sends and expects.
TEST(NearMessages, BytesAreTheSameForEver) {
  EXPECT_EQ(HexOf(Encode(SomeFill())),
            "0102080000007333"
            "3a2f2f622f6b030000002265222c01000000000000f9ffffffffffffff3075000005000000000000006400"
            "000000000000c80000002abe69f8");
  EXPECT_EQ(HexOf(Encode(NearAnswer{.kind = NearAnswerKind::kDone,
                                    .incarnation = 5,
                                    .whole = true,
                                    .first_chunk = 1,
                                    .chunks = 2})),
            "01010500000000000000010100000002000000ad723f24");
}

TEST(NearMessages, DecodesWhatItEncodes) {
  const Result<NearQuestion> question = DecodeNearQuestion(Encode(SomeFill()));
  ASSERT_TRUE(question.ok()) << question.error().message();
  EXPECT_EQ(question.value().kind, NearQuestionKind::kFill);
  EXPECT_EQ(question.value().url, "s3://b/k");
  EXPECT_EQ(question.value().version, "\"e\"");
  EXPECT_EQ(question.value().mtime_ns, -7);
  EXPECT_EQ(question.value().incarnation, 5u);
  EXPECT_EQ(question.value().offset, 100u);
  EXPECT_EQ(question.value().length, 200u);
  const Result<NearAnswer> answer = DecodeNearAnswer(Encode(
      NearAnswer{.kind = NearAnswerKind::kWorking, .whole = false, .first_chunk = 3, .chunks = 9}));
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_EQ(answer.value().kind, NearAnswerKind::kWorking);
  EXPECT_EQ(answer.value().first_chunk, 3u);
  EXPECT_EQ(answer.value().chunks, 9u);
}

TEST(NearMessages, RefusesRangesThatTheFileDoesNotHave) {
  for (const auto& [offset, length] : {std::pair{300u, 1u}, {100u, 201u}, {100u, 0u}, {0u, ~0u}}) {
    NearQuestion question = SomeFill();
    question.offset = offset;
    question.length = length;
    EXPECT_FALSE(DecodeNearQuestion(Encode(question)).ok()) << offset << " " << length;
  }
}

TEST(NearMessages, EveryFlippedBitIsRefused) {
  const std::vector<std::byte> good = Encode(SomeFill());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::vector<std::byte> bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_FALSE(DecodeNearQuestion(bad).ok()) << "bit " << bit;
  }
}

TEST(NearMessages, AnotherVersionIsNamed) {
  std::vector<std::byte> other = Encode(NearAnswer{});
  other[0] = std::byte{9};
  const std::size_t end = other.size() - sizeof(std::uint32_t);
  const std::uint32_t checksum = Crc32c(std::span(other).first(end));
  std::memcpy(&other[end], &checksum, sizeof(checksum));
  const Result<NearAnswer> answer = DecodeNearAnswer(other);
  ASSERT_FALSE(answer.ok());
  EXPECT_NE(answer.error().message().find("version 9"), std::string::npos);
}

}  // namespace
}  // namespace forebay
