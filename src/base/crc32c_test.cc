#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <array>

#include "base/rng.h"

namespace forebay {
namespace {

std::vector<std::byte> RandomBytes(std::size_t size, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.Below(256));
  return bytes;
}

// Source: RFC 3720, B.4.
TEST(Crc32c, Rfc3720Vectors) {
  std::array<std::byte, 32> bytes{};
  EXPECT_EQ(Crc32c(bytes), 0x8a9136aau);
  bytes.fill(std::byte{0xff});
  EXPECT_EQ(Crc32c(bytes), 0x62a8ab43u);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  EXPECT_EQ(Crc32c(bytes), 0x46dd794eu);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(31 - i);
  EXPECT_EQ(Crc32c(bytes), 0x113fdb5cu);
  EXPECT_EQ(Crc32c({}), 0u);
}

TEST(Crc32c, PartsGiveTheValueOfTheWhole) {
  const std::vector<std::byte> bytes = RandomBytes(1'000, 1);
  const std::span<const std::byte> whole(bytes);
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    ASSERT_EQ(Crc32c(whole.subspan(cut), Crc32c(whole.first(cut))), Crc32c(whole)) << cut;
  }
}

TEST(Crc32c, EveryFlippedBitShows) {
  std::vector<std::byte> bytes = RandomBytes(512, 2);
  const std::uint32_t right = Crc32c(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const auto mask = static_cast<std::byte>(1u << (bit % 8));
    bytes[bit / 8] ^= mask;
    ASSERT_NE(Crc32c(bytes), right) << "bit " << bit;
    bytes[bit / 8] ^= mask;
  }
}

TEST(Crc32c, OneChecksumAGranule) {
  const std::vector<std::byte> bytes = RandomBytes(2 * kGranuleBytes + 1, 3);
  const std::span<const std::byte> whole(bytes);
  EXPECT_EQ(GranuleChecksums(whole),
            (std::vector<std::uint32_t>{Crc32c(whole.first(kGranuleBytes)),
                                        Crc32c(whole.subspan(kGranuleBytes, kGranuleBytes)),
                                        Crc32c(whole.last(1))}));
  EXPECT_TRUE(GranuleChecksums({}).empty());
  EXPECT_EQ(GranulesOf(0), 0u);
  EXPECT_EQ(GranulesOf(kGranuleBytes), 1u);
  EXPECT_EQ(GranulesOf(kGranuleBytes + 1), 2u);
}

}  // namespace
}  // namespace forebay
