#include "store/slot_scan.h"

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "base/rng.h"

namespace forebay {
namespace {

constexpr std::uint32_t kBlock = 1u << 20;
constexpr std::uint64_t kChunk = 2u << 20;
constexpr std::size_t kIndexBytes = 8192;

// The index of a chunk, as a tier of blocks of 1 MiB writes it.
class Index {
 public:
  Index() : words_(kIndexBytes / 4) {}

  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(words_)); }
  std::span<std::byte> entry(std::uint64_t granule) {
    return bytes().subspan(granule * kIndexBytesPerGranule);
  }

  void Write(std::uint64_t granule, std::uint32_t key, std::uint32_t length,
             std::uint32_t block_bytes = kBlock) {
    SlotHeader header;
    header.key.index = key;
    header.block_bytes = block_bytes;
    header.length = length;
    header.checksums.assign(GranulesOf(length), key);
    WriteSlotHeader(header, entry(granule));
  }

  // The keys by slot.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> Scan() {
    lost_ = {};
    KeySet keys;
    const FoundChunk found = ScanChunk(bytes(), kBlock, kChunk, keys, lost_);
    slot_bytes_ = found.slot_bytes;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> blocks;
    for (const FoundBlock& block : found.blocks) {
      blocks.emplace_back(block.slot, block.header.key.index);
    }
    return blocks;
  }

  std::uint32_t slot_bytes() const { return slot_bytes_; }
  const Unadoptable& lost() const { return lost_; }

 private:
  std::vector<std::uint32_t> words_;
  std::uint32_t slot_bytes_ = 0;
  Unadoptable lost_;
};

using Slots = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

TEST(SlotScan, AnEmptyIndexHoldsNothing) {
  Index index;
  EXPECT_TRUE(index.Scan().empty());
  EXPECT_EQ(index.slot_bytes(), 0u);
}

TEST(SlotScan, FindsBlocksWhereTheirSlotsAre) {
  Index index;
  index.Write(0, 7, 70'000);
  index.Write(2, 8, 128u << 10);
  index.Write(30, 9, 65'537);
  EXPECT_EQ(index.Scan(), (Slots{{0, 7}, {1, 8}, {15, 9}}));
  EXPECT_EQ(index.slot_bytes(), 128u << 10);
  EXPECT_EQ(index.Scan(), (Slots{{0, 7}, {1, 8}, {15, 9}})) << "what was found was kept";
}

TEST(SlotScan, ADamagedHeaderCostsItsBlockAndNoOther) {
  Index index;
  for (std::uint32_t i = 0; i < 4; ++i) index.Write(i, i, 1000);
  index.entry(1)[40] ^= std::byte{1};
  EXPECT_EQ(index.Scan(), (Slots{{0, 0}, {2, 2}, {3, 3}}));
  EXPECT_EQ(index.lost().damaged, 1u);
  EXPECT_EQ(index.Scan().size(), 3u);
  EXPECT_EQ(index.lost().damaged, 0u) << "it was cleared";
}

TEST(SlotScan, OfTwoHeadersOfABlockOneIsKept) {
  Index index;
  index.Write(0, 5, 1000);
  index.Write(3, 5, 1000);
  EXPECT_EQ(index.Scan(), (Slots{{0, 5}}));
  EXPECT_EQ(index.lost().duplicate, 1u);
}

TEST(SlotScan, AnotherBlockSizeOrVersionIsNotRead) {
  Index index;
  index.Write(0, 1, 1000, 2u << 20);
  index.Write(1, 2, 1000);
  index.entry(1)[4] = std::byte{1};
  EXPECT_TRUE(index.Scan().empty());
  EXPECT_EQ(index.lost().incompatible, 2u);
  EXPECT_TRUE(index.Scan().empty());
  EXPECT_EQ(index.lost().incompatible, 0u);
}

TEST(SlotScan, SlotsNeitherOverlapNorDiffer) {
  Index index;
  index.Write(0, 1, kBlock);   // Granules 0 to 15.
  index.Write(8, 2, 1000);     // Inside it: left by nobody.
  index.Write(16, 3, 1000);    // Of another size.
  index.Write(17, 4, kBlock);  // Does not start where a slot does.
  EXPECT_EQ(index.Scan(), (Slots{{0, 1}}));
  EXPECT_EQ(index.lost().incompatible, 2u);
  EXPECT_EQ(index.Scan(), (Slots{{0, 1}}));
  EXPECT_EQ(DecodeSlotHeader(index.entry(8)).error().code(), Code::kNotHere);
}

TEST(SlotScan, ABlockThatIsLongerThanTheChunkIsDamage) {
  Index index;
  index.Write(31, 1, 1000);
  index.Write(24, 2, kBlock, kBlock);  // Its checksums are there, its slot would end outside.
  EXPECT_EQ(index.Scan(), (Slots{{31, 1}}));
}

// Property: whatever the index holds, slots are of one size and apart, and a second look finds the
// same without any loss.
TEST(SlotScan, AnyIndexIsReadAndMended) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    Index index;
    for (std::uint64_t i = rng.Below(20); i-- > 0;) {
      const std::uint64_t granule = rng.Below(32);
      const auto length = static_cast<std::uint32_t>(
          1 + rng.Below(std::min<std::uint64_t>(kBlock, (32 - granule) * kGranuleBytes)));
      index.Write(granule, static_cast<std::uint32_t>(rng.Below(12)), length,
                  rng.Chance(7, 8) ? kBlock : 2 * kBlock);
    }
    for (std::uint64_t i = rng.Below(10); i-- > 0;) {
      index.bytes()[rng.Below(kIndexBytes)] ^= static_cast<std::byte>(rng.Below(256));
    }
    const Slots found = index.Scan();
    const std::uint32_t slot_bytes = index.slot_bytes();
    std::set<std::uint32_t> keys;
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_TRUE(keys.insert(found[i].second).second);
      EXPECT_LE((found[i].first + std::uint64_t{1}) * slot_bytes, kChunk);
      EXPECT_TRUE(i == 0 || found[i - 1].first < found[i].first);
    }
    EXPECT_EQ(index.Scan(), found);
    EXPECT_EQ(index.lost().damaged + index.lost().incompatible + index.lost().duplicate, 0u);
  }
}

}  // namespace
}  // namespace forebay
