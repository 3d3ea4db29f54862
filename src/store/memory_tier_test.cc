#include "store/memory_tier.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <fstream>

#include "base/crc32c.h"
#include "store/slot_header.h"
#include "store/tier_fixture.h"

namespace forebay {
namespace {

constexpr std::uint32_t kBlock = 1u << 20;

std::unique_ptr<MemoryTier> Create(const TierOptions& options) {
  Result<std::unique_ptr<MemoryTier>> tier = MemoryTier::Create(options);
  EXPECT_TRUE(tier.ok()) << (tier.ok() ? "" : tier.error().message());
  return std::move(tier).value();
}

bool IsReadable(const Waker& waker) {
  pollfd poller = {.fd = waker.fd(), .events = POLLIN, .revents = 0};
  return poll(&poller, 1, 0) == 1;
}

class MemoryTierTest : public testing::TestWithParam<bool> {
 protected:
  TestDirectory directory_;
  std::unique_ptr<MemoryTier> tier_ = Create(SmallTier(directory_, GetParam()));
};
INSTANTIATE_TEST_SUITE_P(OwnMount, MemoryTierTest, testing::Bool());

TEST_P(MemoryTierTest, WhatWasFilledIsLeasedWithItsChecksums) {
  const Result<BlockHandle> filled = Fill(*tier_, KeyOf(1), kBlock - 1000, 1);
  ASSERT_TRUE(filled.ok());
  const std::optional<BlockHandle> found = Find(*tier_, KeyOf(1));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->state(), BlockHandle::State::kComplete);
  EXPECT_EQ(found->ready_bytes(), kBlock - 1000);

  const Bytes expected = BytesOf(1, kBlock - 1000);
  EXPECT_EQ(ReadBlock(*found), expected);
  const std::uint32_t offset = 3 * kGranuleBytes;
  Result<SendLease> lease = found->Lease(offset, kBlock - 1000 - offset);
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(ReadLease(lease.value()), Bytes(expected.begin() + offset, expected.end()));
  EXPECT_EQ(lease.value().checksums(), ChecksumsOf(std::span(expected).subspan(offset)));
  EXPECT_EQ(tier_->usage().used_bytes, kBlock - 1000);
  EXPECT_EQ(tier_->usage().blocks, 1u);
  EXPECT_FALSE(Find(*tier_, KeyOf(2)).has_value());
}

TEST_P(MemoryTierTest, GranulesAreShownWhenPublishedAndNoSooner) {
  MemoryTier::Admission admission = tier_->FindOrBegin(KeyOf(1), kBlock).value();
  const BlockHandle& handle = admission.handle;
  const auto waker = std::make_shared<Waker>();
  handle.Subscribe(waker);
  FillBytes(admission.writer->bytes(), 1);

  admission.writer->Advance(kGranuleBytes + 1, false);
  EXPECT_EQ(handle.ready_bytes(), 0u);
  EXPECT_FALSE(IsReadable(*waker));
  admission.writer->Advance(2 * kGranuleBytes + 1, true);
  EXPECT_EQ(handle.ready_bytes(), 2 * kGranuleBytes);
  EXPECT_TRUE(IsReadable(*waker));
  EXPECT_EQ(handle.state(), BlockHandle::State::kFilling);

  Result<SendLease> lease = handle.Lease(kGranuleBytes, kGranuleBytes);
  ASSERT_TRUE(lease.ok());
  const Bytes all = BytesOf(1, kBlock);
  EXPECT_EQ(lease.value().checksums(),
            ChecksumsOf(std::span(all).subspan(kGranuleBytes, kGranuleBytes)));
  lease.value().Acknowledge();

  waker->Clear();
  admission.writer->Advance(kBlock, false);
  admission.writer->Complete(true);
  EXPECT_TRUE(IsReadable(*waker));
  EXPECT_EQ(handle.state(), BlockHandle::State::kComplete);
  EXPECT_EQ(ReadBlock(handle), all);
  waker->Clear();
  handle.Unsubscribe(waker);
}

TEST_P(MemoryTierTest, ChecksumsOfAPeerAreTakenAsTheyAre) {
  MemoryTier::Admission admission = tier_->FindOrBegin(KeyOf(1), kGranuleBytes + 5).value();
  FillBytes(admission.writer->bytes(), 1);
  const std::vector<std::uint32_t> checksums = GranuleChecksums(admission.writer->bytes());
  admission.writer->AdvanceVerified(std::span(checksums).first(1));
  EXPECT_EQ(admission.handle.ready_bytes(), kGranuleBytes);
  admission.writer->AdvanceVerified(std::span(checksums).subspan(1));
  EXPECT_EQ(admission.handle.ready_bytes(), kGranuleBytes + 5);
  admission.writer->Complete(true);
  EXPECT_TRUE(tier_->Recheck(KeyOf(1)).ok());
}

TEST_P(MemoryTierTest, OneOfTwoCallersFills) {
  MemoryTier::Admission first = tier_->FindOrBegin(KeyOf(1), kBlock).value();
  MemoryTier::Admission second = tier_->FindOrBegin(KeyOf(1), kBlock).value();
  EXPECT_TRUE(first.writer.has_value());
  EXPECT_FALSE(second.writer.has_value());
  FillBytes(first.writer->bytes(), 1);
  first.writer->Advance(kBlock, true);
  EXPECT_EQ(second.handle.ready_bytes(), kBlock);
}

TEST_P(MemoryTierTest, AWriterThatGoesFailsItsBlockAndTheNextBeginsAnew) {
  std::optional<MemoryTier::Admission> first = tier_->FindOrBegin(KeyOf(1), kBlock).value();
  const BlockHandle handle = first->handle;
  first.reset();
  EXPECT_EQ(handle.state(), BlockHandle::State::kFailed);
  EXPECT_EQ(handle.error().code(), Code::kUnavailable);
  EXPECT_FALSE(Find(*tier_, KeyOf(1)).has_value());

  MemoryTier::Admission second = tier_->FindOrBegin(KeyOf(1), kBlock).value();
  ASSERT_TRUE(second.writer.has_value());
  second.writer->Fail(Error(Code::kNotFound, "gone"));
  EXPECT_EQ(second.handle.error().code(), Code::kNotFound);
  EXPECT_EQ(second.handle.Lease(0, kGranuleBytes).error().code(), Code::kNotFound);
}

TEST_P(MemoryTierTest, AnUncacheableBlockLivesByItsHandles) {
  for (std::uint64_t round = 0; round < 20; ++round) {  // More than fit, were one kept.
    MemoryTier::Admission admission = tier_->FindOrBegin(KeyOf(1), kBlock).value();
    ASSERT_TRUE(admission.writer.has_value()) << "round " << round;
    FillBytes(admission.writer->bytes(), round);
    admission.writer->Advance(kBlock, true);
    admission.writer->Complete(false);
    EXPECT_FALSE(Find(*tier_, KeyOf(1)).has_value());
    ASSERT_TRUE(Fill(*tier_, KeyOf(100 + round), kBlock, round).ok());
    EXPECT_EQ(ReadBlock(admission.handle), BytesOf(round, kBlock));
  }
}

TEST_P(MemoryTierTest, ADroppedBlockIsNotFoundButWhatIsLeasedStays) {
  const BlockHandle handle = Fill(*tier_, KeyOf(1), kBlock, 1).value();
  Result<SendLease> lease = handle.Lease(0, kBlock);
  Drop(*tier_, KeyOf(1));
  EXPECT_FALSE(Find(*tier_, KeyOf(1)).has_value());
  EXPECT_EQ(handle.Lease(0, kBlock).error().code(), Code::kNotHere);
  for (std::uint64_t other = 2; other < 30; ++other) {
    ASSERT_TRUE(Fill(*tier_, KeyOf(other), kBlock, other).ok());
  }
  EXPECT_EQ(ReadLease(lease.value()), BytesOf(1, kBlock));
}

TEST_P(MemoryTierTest, ABlockDroppedWhileItFillsEndsWithItsHandles) {
  std::optional<MemoryTier::Admission> first = tier_->FindOrBegin(KeyOf(1), kBlock).value();
  Drop(*tier_, KeyOf(1));
  EXPECT_TRUE(tier_->FindOrBegin(KeyOf(1), kBlock).value().writer.has_value());
  FillBytes(first->writer->bytes(), 1);
  first->writer->Advance(kBlock, true);
  first->writer->Complete(true);
  EXPECT_EQ(ReadBlock(first->handle), BytesOf(1, kBlock));
  EXPECT_EQ(tier_->usage().blocks, 0u);
}

TEST_P(MemoryTierTest, WhatIsBeingServedOrFilledIsNotEvicted) {
  std::vector<BlockWriter> writers;
  std::vector<SendLease> leases;
  for (std::uint64_t i = 0; i < 8; ++i) {
    if (i % 2 == 0) {
      writers.push_back(*std::move(tier_->FindOrBegin(KeyOf(i), kBlock).value().writer));
    } else {
      leases.push_back(Fill(*tier_, KeyOf(i), kBlock, i).value().Lease(0, kBlock).value());
    }
  }
  EXPECT_EQ(tier_->FindOrBegin(KeyOf(8), kBlock).error().code(), Code::kOverloaded);
  leases[0].Acknowledge();
  EXPECT_TRUE(Fill(*tier_, KeyOf(8), kBlock, 8).ok());
  EXPECT_FALSE(Find(*tier_, KeyOf(1)).has_value());
  for (std::uint64_t i = 3; i < 8; i += 2) EXPECT_TRUE(Find(*tier_, KeyOf(i)).has_value());
}

TEST_P(MemoryTierTest, SmallFilesTakeSmallSlots) {
  // 8 MiB of chunks: 4 MiB of 64 KiB slots are 64 small files, beside four blocks.
  for (std::uint64_t i = 0; i < 64; ++i) {
    ASSERT_TRUE(Fill(*tier_, KeyOf(i), 10'000 + static_cast<std::uint32_t>(i), i).ok());
  }
  for (std::uint64_t i = 64; i < 68; ++i) ASSERT_TRUE(Fill(*tier_, KeyOf(i), kBlock, i).ok());
  EXPECT_EQ(tier_->usage().blocks, 68u);
  for (std::uint64_t i = 0; i < 64; ++i) {
    EXPECT_EQ(ReadBlock(*Find(*tier_, KeyOf(i))), BytesOf(i, 10'000 + i));
  }
}

// A chunk of small slots is had for a large block, and the other way round.
TEST_P(MemoryTierTest, ClassesGiveWayToEachOther) {
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t i = 0; i < 200; ++i) {
      ASSERT_TRUE(Fill(*tier_, KeyOf(1000 + i), 60'000, i).ok()) << round;
    }
    EXPECT_EQ(ReadBlock(*Find(*tier_, KeyOf(1199))), BytesOf(199, 60'000));
    for (std::uint64_t i = 0; i < 12; ++i) {
      ASSERT_TRUE(Fill(*tier_, KeyOf(i), kBlock, i).ok()) << round;
    }
    EXPECT_EQ(ReadBlock(*Find(*tier_, KeyOf(11))), BytesOf(11, kBlock));
  }
}

TEST_P(MemoryTierTest, RecheckFindsAFlippedBit) {
  const BlockHandle handle = Fill(*tier_, KeyOf(1), kBlock, 1).value();
  ASSERT_TRUE(Fill(*tier_, KeyOf(2), kBlock, 2).ok());
  EXPECT_TRUE(tier_->Recheck(KeyOf(1)).ok());
  EXPECT_EQ(tier_->Recheck(KeyOf(3)).error().code(), Code::kNotHere);

  SendLease lease = handle.Lease(0, kBlock).value();
  const auto at = static_cast<off_t>(lease.file_offset() + kBlock - 1);
  lease.Acknowledge();
  const int fd = open((directory_.path() + "/seg-0000.data").c_str(), O_RDWR | O_CLOEXEC);
  std::byte last;
  ASSERT_EQ(pread(fd, &last, 1, at), 1);
  last ^= std::byte{4};
  ASSERT_EQ(pwrite(fd, &last, 1, at), 1);
  close(fd);

  EXPECT_EQ(tier_->Recheck(KeyOf(1)).error().code(), Code::kCorrupt);
  EXPECT_FALSE(Find(*tier_, KeyOf(1)).has_value());
  EXPECT_TRUE(tier_->Recheck(KeyOf(2)).ok());
  EXPECT_TRUE(Fill(*tier_, KeyOf(1), kBlock, 1).ok());
  EXPECT_TRUE(tier_->Recheck(KeyOf(1)).ok());
}

TEST_P(MemoryTierTest, NothingIsLeftAndHandlesSurvive) {
  const BlockHandle handle = Fill(*tier_, KeyOf(1), kBlock, 1).value();
  EXPECT_TRUE(directory_.exists());
  tier_.reset();
  EXPECT_FALSE(directory_.exists());
  EXPECT_EQ(handle.Lease(0, kBlock).error().code(), Code::kNotHere);
}

// What docs/formats/tier.md tells a reader of the index to do.
std::vector<SlotHeader> HeadersIn(const std::string& path, std::uint64_t index_bytes) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto bytes = std::as_bytes(std::span(text));
  std::vector<SlotHeader> headers;
  for (std::size_t chunk = 0; (chunk + 1) * index_bytes <= bytes.size(); ++chunk) {
    const auto index = bytes.subspan(chunk * index_bytes, index_bytes);
    for (std::size_t granule = 0; granule * 132 + 132 <= index_bytes; ++granule) {
      Result<SlotHeader> header = DecodeSlotHeader(index.subspan(granule * 132));
      if (header.ok()) headers.push_back(std::move(header).value());
    }
  }
  return headers;
}

TEST_P(MemoryTierTest, TheIndexNamesWhatIsHeldAndNothingElse) {
  constexpr std::uint64_t kIndexBytes = 8192;  // Of a chunk of 2 MiB.
  const std::string path = directory_.path() + "/seg-0000.index";
  ASSERT_TRUE(Fill(*tier_, KeyOf(1), kBlock, 1).ok());
  ASSERT_TRUE(Fill(*tier_, KeyOf(2), 70'000, 2).ok());
  MemoryTier::Admission filling = tier_->FindOrBegin(KeyOf(3), kBlock).value();
  MemoryTier::Admission uncacheable = tier_->FindOrBegin(KeyOf(4), 100).value();
  uncacheable.writer->Advance(100, true);
  uncacheable.writer->Complete(false);

  const std::vector<SlotHeader> headers = HeadersIn(path, kIndexBytes);
  ASSERT_EQ(headers.size(), 2u);
  EXPECT_EQ(headers[0].key, KeyOf(1));
  EXPECT_EQ(headers[0].length, kBlock);
  EXPECT_EQ(headers[0].checksums, ChecksumsOf(BytesOf(1, kBlock)));
  EXPECT_EQ(headers[1].key, KeyOf(2));
  EXPECT_EQ(headers[1].checksums, ChecksumsOf(BytesOf(2, 70'000)));

  Drop(*tier_, KeyOf(1));
  ASSERT_EQ(HeadersIn(path, kIndexBytes).size(), 1u);
  EXPECT_EQ(HeadersIn(path, kIndexBytes)[0].key, KeyOf(2));
}

TEST_P(MemoryTierTest, TwoWorkersNeverShareADirectory) {
  const Result<std::unique_ptr<MemoryTier>> second =
      MemoryTier::Create(SmallTier(directory_, GetParam()));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), Code::kUnavailable);
  EXPECT_EQ(second.error().message(), "tier directory " + directory_.path() +
                                          ": another worker is using it; give each worker its own");
  EXPECT_TRUE(Fill(*tier_, KeyOf(1), kBlock, 1).ok());
}

}  // namespace
}  // namespace forebay
