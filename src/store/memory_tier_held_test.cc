// What a census and an eviction that was asked for need of the tier, and what a waiting reader may
// rely on.
#include <gtest/gtest.h>

#include "store/tier_fixture.h"

namespace forebay {
namespace {

constexpr std::uint32_t kBlock = 1u << 20;

// Of a dataset, so that there are several.
BlockKey KeyIn(std::uint8_t dataset, std::uint8_t path, std::uint32_t index) {
  BlockKey key;
  key.file.dataset.value.bytes[0] = dataset;
  key.file.path.bytes[0] = path;
  key.index = index;
  return key;
}

class HeldTest : public testing::Test {
 protected:
  bool FillOne(const BlockKey& key, std::uint32_t length = 1000) {
    return Fill(*tier_, key, length, key.index).ok();
  }

  TestDirectory directory_;
  std::unique_ptr<MemoryTier> tier_ = MemoryTier::Create(SmallTier(directory_)).value();
};

TEST_F(HeldTest, OnlyCompleteBlocksOfThatVersionAreHeld) {
  ASSERT_TRUE(FillOne(KeyIn(1, 1, 0)) && FillOne(KeyIn(1, 1, 3)) && FillOne(KeyIn(1, 2, 1)));
  BlockKey other_version = KeyIn(1, 1, 2);
  other_version.file.version.bytes[0] = 1;
  ASSERT_TRUE(FillOne(other_version));
  const MemoryTier::Admission filling = tier_->FindOrBegin(KeyIn(1, 1, 4), 1000).value();
  const FileKey file = KeyIn(1, 1, 0).file;
  EXPECT_EQ(tier_->Held(file, 6), (std::vector<bool>{true, false, false, true, false, false}));
  EXPECT_EQ(tier_->Held(file, 3), (std::vector<bool>{true, false, false}));
  EXPECT_TRUE(tier_->Held(file, 0).empty());
  EXPECT_EQ(tier_->Held(KeyIn(9, 9, 0).file, 2), (std::vector<bool>{false, false}));
}

// More blocks than are looked at under one lock.
TEST(Held, ALongFileIsReadInParts) {
  TestDirectory directory;
  TierOptions options = SmallTier(directory);
  options.block_bytes = 64u << 10;
  options.quota_bytes = 60u << 20;
  const auto tier = MemoryTier::Create(options).value();
  for (std::uint32_t i = 0; i < 700; ++i) {
    ASSERT_TRUE(Fill(*tier, KeyIn(1, 1, i * 2), 10, i).ok());
  }
  const std::vector<bool> held = tier->Held(KeyIn(1, 1, 0).file, 1400);
  for (std::uint32_t i = 0; i < 1400; ++i) EXPECT_EQ(held[i], i % 2 == 0) << i;
  EXPECT_EQ(tier->DropIf([](const BlockKey& key) { return key.index >= 100; }), 650u * 10);
  EXPECT_EQ(tier->usage().blocks, 50u);
  EXPECT_EQ(tier->Usage().begin()->second.blocks, 50u);
}

TEST_F(HeldTest, UsageIsByDatasetAndSaysWhatChanged) {
  EXPECT_TRUE(tier_->Usage().empty());
  const BlockKey first = KeyIn(1, 1, 0);
  ASSERT_TRUE(FillOne(first, 1000) && FillOne(KeyIn(1, 1, 1), 500) && FillOne(KeyIn(2, 1, 0), 7));
  const std::map<DatasetUid, DatasetUsage> before = tier_->Usage();
  ASSERT_EQ(before.size(), 2u);
  const DatasetUsage& one = before.at(first.file.dataset);
  EXPECT_EQ(one.bytes, 1500u);
  EXPECT_EQ(one.blocks, 2u);
  EXPECT_LT(one.changes, std::uint64_t{1} << 53);

  EXPECT_EQ(tier_->Usage().at(first.file.dataset).changes, one.changes);
  ASSERT_TRUE(FillOne(first)) << "a read changes nothing";
  EXPECT_EQ(tier_->Usage().at(first.file.dataset).changes, one.changes);
  Drop(*tier_, first);
  const DatasetUsage after = tier_->Usage().at(first.file.dataset);
  EXPECT_EQ(after.bytes, 500u);
  EXPECT_GT(after.changes, one.changes);
  const DatasetUid two = KeyIn(2, 1, 0).file.dataset;
  EXPECT_EQ(tier_->Usage().at(two).changes, before.at(two).changes);

  Drop(*tier_, KeyIn(1, 1, 1));
  EXPECT_FALSE(tier_->Usage().contains(first.file.dataset));
  ASSERT_TRUE(FillOne(first));
  EXPECT_GT(tier_->Usage().at(first.file.dataset).changes, after.changes) << "it came back";
}

TEST(Held, ChangesGrowAcrossARestart) {
  TestDirectory directory;
  std::uint64_t before = 0;
  {
    const auto tier = MemoryTier::Create(SmallTier(directory)).value();
    for (std::uint32_t i = 0; i < 8; ++i) ASSERT_TRUE(Fill(*tier, KeyIn(1, 1, i), 10, i).ok());
    before = tier->Usage().begin()->second.changes;
  }
  const auto tier = MemoryTier::Create(SmallTier(directory)).value();
  ASSERT_TRUE(Fill(*tier, KeyIn(1, 1, 0), 10, 0).ok());
  EXPECT_GT(tier->Usage().begin()->second.changes, before);
}

TEST_F(HeldTest, DropIfForgetsWhatMatchesAndNothingElse) {
  for (std::uint8_t dataset = 1; dataset <= 3; ++dataset) {
    for (std::uint8_t path = 1; path <= 3; ++path) {
      ASSERT_TRUE(FillOne(KeyIn(dataset, path, 0), 1000));
    }
  }
  MemoryTier::Admission filling = tier_->FindOrBegin(KeyIn(2, 9, 0), 1000).value();
  const DatasetUid two = KeyIn(2, 0, 0).file.dataset;
  EXPECT_EQ(tier_->DropIf([&](const BlockKey& key) { return key.file.dataset == two; }), 3000u);
  EXPECT_EQ(tier_->usage().blocks, 6u);
  EXPECT_FALSE(tier_->Usage().contains(two));
  filling.writer->Advance(1000, true);
  filling.writer->Complete(true);
  EXPECT_EQ(tier_->usage().blocks, 6u) << "what was being filled is forgotten too";
  EXPECT_EQ(filling.handle.Lease(0, 1000).value().length(), 1000u);
  const FileKey file = KeyIn(3, 2, 0).file;
  EXPECT_EQ(tier_->DropIf([&](const BlockKey& key) { return key.file == file; }), 1000u);
  EXPECT_EQ(tier_->DropIf([&](const BlockKey& key) { return key.file == file; }), 0u);
}

// ---- Those who wait ----

void CompleteBlock(MemoryTier::Admission& admission, std::uint64_t seed) {
  FillBytes(admission.writer->bytes(), seed);
  admission.writer->Advance(kBlock, true);
  admission.writer->Complete(true);
}

TEST_F(HeldTest, ABlockStaysFromItsCompletionUntilWhoWaitedHasIt) {
  MemoryTier::Admission first = tier_->FindOrBegin(KeyOf(0), kBlock).value();
  auto second = std::make_unique<BlockHandle>(tier_->FindOrBegin(KeyOf(0), kBlock).value().handle);
  CompleteBlock(first, 0);
  const auto flush = [this] {
    for (std::uint64_t i = 1; i < 30; ++i) EXPECT_TRUE(Fill(*tier_, KeyOf(i), kBlock, i).ok());
  };
  flush();
  EXPECT_EQ(ReadBlock(first.handle), BytesOf(0, kBlock));
  flush();
  EXPECT_EQ(first.handle.Lease(0, kGranuleBytes).value().length(), kGranuleBytes) << "the second";
  second.reset();
  flush();
  EXPECT_EQ(first.handle.Lease(0, kBlock).error().code(), Code::kNotHere);
}

TEST_F(HeldTest, OnlyTheLastByteOrTheEndOfTheHandleEndsTheWait) {
  std::optional<MemoryTier::Admission> first = tier_->FindOrBegin(KeyOf(0), kBlock).value();
  CompleteBlock(*first, 0);
  first->handle.Lease(0, kGranuleBytes).value().Acknowledge();
  const BlockHandle copy = first->handle;
  first.reset();
  for (std::uint64_t i = 1; i < 30; ++i) ASSERT_TRUE(Fill(*tier_, KeyOf(i), kBlock, i).ok());
  EXPECT_EQ(ReadBlock(copy), BytesOf(0, kBlock));
}

TEST_F(HeldTest, WaitingHandlesKeepHalfOfTheTierAtMost) {
  std::vector<MemoryTier::Admission> waiting;
  for (std::uint64_t i = 0; i < 8; ++i) {
    waiting.push_back(tier_->FindOrBegin(KeyOf(i), kBlock).value());
    CompleteBlock(waiting.back(), i);
  }
  std::vector<BlockWriter> writers;
  std::uint64_t next = 8;
  for (; next < 20; ++next) {
    Result<MemoryTier::Admission> more = tier_->FindOrBegin(KeyOf(next), kBlock);
    if (!more.ok()) break;
    writers.push_back(*std::move(more.value().writer));
  }
  EXPECT_EQ(next, 12u);
  writers.clear();
  Drop(*tier_, KeyOf(0));  // Also while it is kept.
  waiting.clear();
  for (std::uint64_t i = 50; i < 70; ++i) ASSERT_TRUE(Fill(*tier_, KeyOf(i), kBlock, i).ok());
  EXPECT_EQ(tier_->usage().blocks, 8u);
}

}  // namespace
}  // namespace forebay
