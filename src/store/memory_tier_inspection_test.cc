// What the tier does when somebody else takes pages or headers from its files while it runs.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <thread>
#include <vector>

#include "io/unique_fd.h"
#include "store/tier_fixture.h"

namespace forebay {
namespace {

constexpr std::uint64_t kBlock = 1u << 20;
constexpr std::uint32_t kSmall = 64u << 10;
constexpr std::uint64_t kBlocks = 8;  // As many as SmallTier holds.

class InspectionTest : public testing::TestWithParam<bool> {
 protected:
  InspectionTest() {
    options_ = SmallTier(directory_, GetParam());
    tier_ = MemoryTier::Create(options_).value();
    for (std::uint64_t i = 0; i < kBlocks; ++i) CHECK(Fill(*tier_, KeyOf(i), kBlock, i).ok());
    before_ = tier_->Usage().begin()->second;
    // Memory grows in the background: blocks do not lie in the order of their filling.
    for (std::uint64_t i = 0; i < kBlocks; ++i) {
      Result<SendLease> lease = Find(*tier_, KeyOf(i))->Lease(0, kBlock);
      place_.push_back(lease.value().file_offset() / kBlock);
      lease.value().Acknowledge();
    }
  }

  BlockKey KeyAt(std::uint64_t place) const {
    const auto found = std::ranges::find(place_, place);
    return KeyOf(static_cast<std::uint64_t>(found - place_.begin()));
  }

  std::string File(const std::string& suffix) const {
    return directory_.path() + "/seg-0000." + suffix;
  }
  UniqueFd Open(const std::string& suffix) const {
    return UniqueFd(open(File(suffix).c_str(), O_RDWR | O_CLOEXEC));
  }
  void Punch(const std::string& suffix, std::uint64_t offset, std::uint64_t length) const {
    ASSERT_EQ(fallocate(Open(suffix).get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        static_cast<off_t>(offset), static_cast<off_t>(length)),
              0);
  }
  std::uint64_t Allocated(const std::string& suffix) const {
    struct stat status = {};
    CHECK(stat(File(suffix).c_str(), &status) == 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  // Where the blocks that are held lay at first, in blocks, ascending.
  std::vector<std::uint64_t> Held() const {
    std::vector<std::uint64_t> places;
    const std::vector<bool> held = tier_->Held(KeyOf(0).file, kBlocks);
    for (std::uint64_t i = 0; i < kBlocks; ++i) {
      if (held[i]) places.push_back(place_[i]);
    }
    std::ranges::sort(places);
    return places;
  }
  // What is held is right, what is not can be filled again, and the quota holds.
  void ExpectSound() {
    for (std::uint64_t i = 0; i < kBlocks; ++i) {
      const Result<BlockHandle> filled = Fill(*tier_, KeyOf(i), kBlock, i);
      ASSERT_TRUE(filled.ok()) << i << ": " << filled.error().message();
      ASSERT_EQ(ReadBlock(filled.value()), BytesOf(i, kBlock)) << i;
    }
    EXPECT_EQ(tier_->usage().blocks, kBlocks);
    EXPECT_LE(Allocated("data") + Allocated("index"), options_.quota_bytes);
  }

  TestDirectory directory_;
  TierOptions options_;
  std::unique_ptr<MemoryTier> tier_;
  DatasetUsage before_;
  std::vector<std::uint64_t> place_;  // By the block's number.
};

TEST_P(InspectionTest, ExactlyTheBlocksThatLostPagesAreGivenUp) {
  tier_->Inspect();
  EXPECT_EQ(tier_->usage().blocks, kBlocks);
  EXPECT_EQ(tier_->Usage().begin()->second.changes, before_.changes);

  // The end of block 2 and the beginning of block 3; one page of block 6.
  Punch("data", 3 * kBlock - 4096, 8192);
  Punch("data", 6 * kBlock + 40960, 4096);
  tier_->Inspect();
  EXPECT_EQ(Held(), (std::vector<std::uint64_t>{0, 1, 4, 5, 7}));
  const DatasetUsage after = tier_->Usage().begin()->second;
  EXPECT_EQ(after.blocks, 5u);
  EXPECT_EQ(after.bytes, 5u * kBlock);
  EXPECT_GT(after.changes, before_.changes);
  EXPECT_EQ(Allocated("data"), kBlocks * kBlock);  // Nobody meets a hole in the mapping.
  ExpectSound();
}

TEST_P(InspectionTest, BlocksWithoutHeaderAreGivenUp) {
  const UniqueFd index = Open("index");
  // Of the second block of the first chunk; the first one of the second chunk loses its page.
  const std::vector<char> zeroes(132);
  ASSERT_EQ(pwrite(index.get(), zeroes.data(), zeroes.size(), off_t{16} * 132), 132);
  Punch("index", 8192, 1024);
  tier_->Inspect();
  EXPECT_EQ(Held(), (std::vector<std::uint64_t>{0, 3, 4, 5, 6, 7}));
  ExpectSound();
}

TEST_P(InspectionTest, FilesThatAreCutShortAreMended) {
  ASSERT_EQ(truncate(File("data").c_str(), 3 * kBlock + 4096), 0);
  ASSERT_EQ(truncate(File("index").c_str(), 8192), 0);
  tier_->Inspect();
  EXPECT_EQ(Held(), (std::vector<std::uint64_t>{0, 1}));
  EXPECT_EQ(Allocated("data"), kBlocks * kBlock);
  ExpectSound();
}

TEST_P(InspectionTest, FilesThatAreRemovedAreMadeAnew) {
  ASSERT_EQ(unlink(File("data").c_str()), 0);
  ASSERT_EQ(unlink(File("index").c_str()), 0);
  tier_->Inspect();
  EXPECT_EQ(Held(), std::vector<std::uint64_t>());
  EXPECT_TRUE(tier_->Usage().empty());
  ExpectSound();
  EXPECT_EQ(Allocated("data"), kBlocks * kBlock);
}

TEST_P(InspectionTest, WhoAsksFirstFindsNoTrapInTheMapping) {
  ASSERT_EQ(truncate(File("data").c_str(), 0), 0);
  EXPECT_EQ(tier_->Recheck(KeyOf(3)).error().code(), Code::kNotHere);
  EXPECT_EQ(Held(), std::vector<std::uint64_t>());
  ASSERT_EQ(truncate(File("data").c_str(), 0), 0);
  ExpectSound();
}

TEST_P(InspectionTest, ABlockThatLosesPagesWhileItFillsIsNotKept) {
  Drop(*tier_, KeyAt(5));
  MemoryTier::Admission admission = tier_->FindOrBegin(KeyAt(5), kBlock).value();
  FillBytes(admission.writer->bytes(), 5);
  Punch("data", 5 * kBlock, 4096);
  tier_->Inspect();
  admission.writer->Advance(kBlock, true);
  admission.writer->Complete(true);
  EXPECT_EQ(Held(), (std::vector<std::uint64_t>{0, 1, 2, 3, 4, 6, 7}));
}

TEST_P(InspectionTest, TheTierLooksOnItsOwn) {
  Punch("data", 0, kBlock);
  const Deadline deadline = Clock::now() + std::chrono::seconds(60);
  while (tier_->usage().blocks == kBlocks && !Passed(deadline)) std::this_thread::yield();
  EXPECT_EQ(Held(), (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7}));
}

TEST_P(InspectionTest, PagesOfFreeMemoryComeBackToo) {
  tier_->DropIf([](const BlockKey&) { return true; });
  ASSERT_TRUE(Fill(*tier_, KeyOf(0), kSmall, 0).ok());
  Punch("data", 0, 8 * kBlock);
  tier_->Inspect();
  EXPECT_EQ(Held(), std::vector<std::uint64_t>());
  EXPECT_EQ(Allocated("data"), kBlocks * kBlock);
  ExpectSound();
}

INSTANTIATE_TEST_SUITE_P(Places, InspectionTest, testing::Bool(),
                         [](const auto& place) { return place.param ? "mount" : "directory"; });

// Others have filled the file system meanwhile: what lost its pages is not touched again before it
// has some.
TEST(InspectionWithoutRoom, ChunksThatCannotBeRefilledAreNotUsed) {
  TestDirectory place;
  ASSERT_TRUE(std::filesystem::create_directories(place.path()));
  ASSERT_EQ(mount("test", place.path().c_str(), "tmpfs", 0, "size=9m"), 0);
  TierOptions options = SmallTier(place);
  options.directory += "/tier";
  const auto tier = MemoryTier::Create(options).value();
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(Fill(*tier, KeyOf(i), kBlock, i).ok());
  const std::uint64_t had = tier->usage().capacity_bytes;
  const auto path = options.directory + "/seg-0000.data";
  const UniqueFd data(open(path.c_str(), O_RDWR | O_CLOEXEC));
  const UniqueFd hog(open((place.path() + "/hog").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  // All chunks are there: none grows meanwhile.
  const Deadline deadline = Clock::now() + std::chrono::seconds(60);
  while (tier->usage().allocated_bytes < 8 * kBlock && !Passed(deadline)) std::this_thread::yield();
  const std::vector<char> zeroes(4096);
  // Until the others were faster than the tier's own look.
  do {
    ASSERT_EQ(
        fallocate(data.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * kBlock, 6 * kBlock),
        0);
    for (ssize_t wrote = 1; wrote > 0;) wrote = write(hog.get(), zeroes.data(), zeroes.size());
    tier->Inspect();
  } while (tier->usage().capacity_bytes == had && !Passed(deadline));
  EXPECT_LE(tier->usage().blocks, 2u);
  EXPECT_LT(tier->usage().capacity_bytes, had);
  for (std::uint64_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(Fill(*tier, KeyOf(i), kBlock, i).ok()) << i;
    ASSERT_EQ(ReadBlock(*Find(*tier, KeyOf(i))), BytesOf(i, kBlock)) << i;
  }
}

}  // namespace
}  // namespace forebay
