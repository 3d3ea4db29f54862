#include "store/slot_header.h"

#include <gtest/gtest.h>

#include <string>

#include "base/crc32c.h"
#include "base/rng.h"

namespace forebay {
namespace {

SlotHeader Example() {
  SlotHeader header;
  header.key.file.domain.value = 0x1122334455667788;
  for (std::uint8_t i = 0; i < 16; ++i) {
    header.key.file.dataset.value.bytes[i] = i;
    header.key.file.path.bytes[i] = static_cast<std::uint8_t>(0x20 + i);
    header.key.file.version.bytes[i] = static_cast<std::uint8_t>(0x40 + i);
  }
  header.key.index = 0x0a0b0c0d;
  header.block_bytes = 4u << 20;
  header.length = kGranuleBytes + 1;
  header.checksums = {0xdeadbeef, 0x01020304};
  return header;
}

struct Entry {
  alignas(4) std::array<std::byte, kSlotHeaderBytes + 8> bytes{};
};

Entry Encoded() {
  Entry entry;
  WriteSlotHeader(Example(), entry.bytes);
  return entry;
}

std::string HexOf(std::span<const std::byte> bytes) {
  return Hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

// Pinned: segments outlive the process that wrote them.
TEST(SlotHeader, BytesAreTheSameForEver) {
  EXPECT_EQ(HexOf(Encoded().bytes),
            "46425348"
            "02000000"
            "01000100"
            "02000000"
            "0d0c0b0a"
            "00004000"
            "8877665544332211"
            "000102030405060708090a0b0c0d0e0f"
            "202122232425262728292a2b2c2d2e2f"
            "404142434445464748494a4b4c4d4e4f"
            "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "02038148"
            "434d4954"
            "efbeadde"
            "04030201");
}

TEST(SlotHeader, RoundTrip) {
  const Result<SlotHeader> decoded = DecodeSlotHeader(Encoded().bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded.value().key, Example().key);
  EXPECT_EQ(decoded.value().block_bytes, Example().block_bytes);
  EXPECT_EQ(decoded.value().length, Example().length);
  EXPECT_EQ(decoded.value().checksums, Example().checksums);
}

TEST(SlotHeader, AnErasedOneIsNotThere) {
  Entry entry = Encoded();
  EraseSlotHeader(entry.bytes);
  EXPECT_EQ(DecodeSlotHeader(entry.bytes).error().code(), Code::kNotHere);
  EXPECT_EQ(DecodeSlotHeader(Entry().bytes).error().code(), Code::kNotHere);
}

TEST(SlotHeader, AnotherVersionIsNotDamage) {
  Entry entry = Encoded();
  entry.bytes[4] = std::byte{1};
  EXPECT_EQ(DecodeSlotHeader(entry.bytes).error().code(), Code::kInvalidArgument);
}

// Property, over every bit: a flipped one is noticed.
TEST(SlotHeader, AnyFlippedBitIsNoticed) {
  for (std::size_t bit = 0; bit < 8 * Entry().bytes.size(); ++bit) {
    Entry entry = Encoded();
    entry.bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(DecodeSlotHeader(entry.bytes).ok()) << "bit " << bit;
  }
}

// Property, over every length: what is cut off is noticed.
TEST(SlotHeader, ACutOneIsNoticed) {
  const Entry entry = Encoded();
  for (std::size_t length = 0; length < entry.bytes.size(); ++length) {
    EXPECT_FALSE(DecodeSlotHeader(std::span(entry.bytes).first(length)).ok()) << length;
  }
}

TEST(SlotHeader, AnImpossibleLengthIsNotBelieved) {
  for (const std::uint32_t length : {0u, kHeaderLengthMax + 1, ~0u}) {
    Entry entry = Encoded();
    for (std::size_t i = 0; i < 4; ++i) {
      entry.bytes[8 + i] = static_cast<std::byte>(length >> (8 * i));
    }
    EXPECT_EQ(DecodeSlotHeader(entry.bytes).error().message(), "slot header: impossible length");
  }
}

}  // namespace
}  // namespace forebay
