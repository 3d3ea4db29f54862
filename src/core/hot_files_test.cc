#include "core/hot_files.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

FileKey File(std::uint64_t number) {
  FileKey key;
  key.domain.value = number;
  return key;
}

Clock::time_point At(int milliseconds) {
  return Clock::time_point(std::chrono::hours(1)) + std::chrono::milliseconds(milliseconds);
}

std::uint32_t ReadBy(HotFiles& hot, std::uint64_t file, std::uint64_t readers, std::uint64_t bytes,
                     Clock::time_point now) {
  std::uint32_t holders = 0;
  for (std::uint64_t reader = 0; reader < readers; ++reader) {
    holders = hot.Read(File(file), reader, bytes, now);
  }
  return holders;
}

TEST(HotFiles, HoldersFollowDistinctReaders) {
  HotFiles hot({.members = 10, .capacity_bytes = 1000 * kMiB});
  EXPECT_EQ(ReadBy(hot, 1, 3, kMiB, At(0)), 1u);
  EXPECT_EQ(ReadBy(hot, 1, 4, kMiB, At(0)), 2u);
  EXPECT_EQ(ReadBy(hot, 1, 4, kMiB, At(10)), 2u) << "the same four again";
  EXPECT_EQ(ReadBy(hot, 1, 20, kMiB, At(20)), 6u);
  EXPECT_EQ(ReadBy(hot, 1, 100, kMiB, At(30)), 10u) << "no more than members";
}

TEST(HotFiles, ManyReadersGetEveryMember) {
  HotFiles hot({.members = 50, .capacity_bytes = 1000 * kMiB});
  EXPECT_EQ(ReadBy(hot, 1, HotFiles::kReadersMax, kMiB, At(0)), 50u);
}

TEST(HotFiles, HoldersDropByHalvesWhenTheReadersAreGone) {
  HotFiles hot({.members = 16, .capacity_bytes = 1000 * kMiB});
  EXPECT_EQ(ReadBy(hot, 1, 60, kMiB, At(0)), 16u);
  EXPECT_EQ(ReadBy(hot, 1, 1, kMiB, At(3'999)), 16u);
  EXPECT_EQ(ReadBy(hot, 1, 1, kMiB, At(6'000)), 8u);
  EXPECT_EQ(ReadBy(hot, 1, 1, kMiB, At(6'100)), 8u) << "once in half a window";
  EXPECT_EQ(ReadBy(hot, 1, 1, kMiB, At(8'000)), 4u);
  EXPECT_EQ(ReadBy(hot, 1, 1, kMiB, At(10'000)), 2u);
  EXPECT_EQ(ReadBy(hot, 1, 1, kMiB, At(12'000)), 1u);
  EXPECT_EQ(hot.hot_bytes(), 0u);
}

// Ten workers of 100 MiB each hold 1000 MiB. Half of that is for hot files.
TEST(HotFiles, AllHotFilesShareTheMemory) {
  HotFiles hot({.members = 10, .capacity_bytes = 100 * kMiB});
  EXPECT_EQ(ReadBy(hot, 1, 100, 50 * kMiB, At(0)), 10u);
  EXPECT_EQ(ReadBy(hot, 2, 100, 50 * kMiB, At(0)), 5u) << "500 / 100";
  EXPECT_EQ(ReadBy(hot, 1, 1, 50 * kMiB, At(0)), 5u) << "the first one, too";
  EXPECT_EQ(ReadBy(hot, 3, 100, 50 * kMiB, At(0)), 3u);
  EXPECT_EQ(ReadBy(hot, 4, 8, 50 * kMiB, At(0)), 2u);
  for (std::uint64_t file = 5; file <= 10; ++file) {
    EXPECT_EQ(ReadBy(hot, file, 100, 50 * kMiB, At(0)), 2u) << "up to 100 %";
  }
  EXPECT_EQ(ReadBy(hot, 11, 100, 50 * kMiB, At(0)), 1u);
  EXPECT_EQ(hot.hot_bytes(), 550 * kMiB);
}

// What was hot before gives its memory back without being read again.
TEST(HotFiles, FilesThatNobodyReadsAreForgotten) {
  HotFiles hot({.members = 10, .capacity_bytes = 100 * kMiB});
  for (std::uint64_t file = 0; file < 20; ++file) (void)ReadBy(hot, file, 100, 50 * kMiB, At(0));
  EXPECT_EQ(ReadBy(hot, 100, 100, 50 * kMiB, At(2'000)), 1u);
  EXPECT_EQ(ReadBy(hot, 100, 100, 50 * kMiB, At(4'000)), 10u);
  EXPECT_EQ(hot.files(), 1u);
  EXPECT_EQ(hot.hot_bytes(), 50 * kMiB);
}

TEST(HotFiles, AFileThatDoesNotFitTwiceTakesNothingFromOthers) {
  HotFiles hot({.members = 10, .capacity_bytes = 100 * kMiB});
  EXPECT_EQ(ReadBy(hot, 1, 100, 501 * kMiB, At(0)), 1u);
  EXPECT_EQ(ReadBy(hot, 2, 100, 50 * kMiB, At(0)), 10u);
  EXPECT_EQ(ReadBy(hot, 3, 100, 500 * kMiB, At(0)), 1u) << "and 50 MiB are hot already";
}

TEST(HotFiles, ASmallerRingHasFewerHolders) {
  HotFiles hot({.members = 10, .capacity_bytes = 1000 * kMiB});
  EXPECT_EQ(ReadBy(hot, 1, 100, kMiB, At(0)), 10u);
  hot.SetMembers(3);
  EXPECT_LE(hot.Read(File(1), 1, kMiB, At(1)), 3u);
}

TEST(HotFiles, OneMemberIsTheOnlyHolder) {
  HotFiles hot({.members = 1, .capacity_bytes = 1000 * kMiB});
  EXPECT_EQ(ReadBy(hot, 1, 100, kMiB, At(0)), 1u);
}

TEST(HotFiles, RemembersABoundedNumberOfFiles) {
  HotFiles hot({.members = 10, .capacity_bytes = 1000 * kMiB, .files_max = 8});
  for (std::uint64_t file = 0; file < 100; ++file) (void)ReadBy(hot, file, 8, kMiB, At(0));
  EXPECT_EQ(hot.files(), 8u);
  EXPECT_EQ(hot.hot_bytes(), 8 * kMiB);
}

TEST(HotFiles, AQueueOfSmallBlocksMayBeLonger) {
  EXPECT_EQ(QueueShort(1), 64u);
  EXPECT_EQ(QueueShort(64u << 10), 64u);
  EXPECT_EQ(QueueShort(128u << 10), 32u);
  EXPECT_EQ(QueueShort(256u << 10), 16u);
  EXPECT_EQ(QueueShort(4u << 20), 16u);
  EXPECT_EQ(QueueShort(64u << 20), 16u);
}

}  // namespace
}  // namespace forebay
