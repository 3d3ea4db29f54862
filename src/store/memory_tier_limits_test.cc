// What the tier does when the machine gives it less than it was promised, or finds more than it
// left.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/deadline.h"
#include "core/quota.h"
#include "io/unique_fd.h"
#include "store/fake_tier_files.h"
#include "store/tier_fixture.h"

namespace forebay {
namespace {

constexpr std::uint32_t kBlock = 1u << 20;
constexpr std::uint64_t kMiB = 1u << 20;

// st_blocks of all files of a directory, as du(1) counts them.
std::uint64_t AllocatedIn(const std::string& path) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    struct stat status = {};
    if (stat(entry.path().c_str(), &status) == 0) {
      bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
  }
  return bytes;
}

void MountTmpfs(const std::string& path, std::uint64_t bytes, const char* source = "test") {
  ASSERT_TRUE(std::filesystem::create_directories(path));
  const std::string data = "size=" + std::to_string(bytes);
  ASSERT_EQ(mount(source, path.c_str(), "tmpfs", 0, data.c_str()), 0);
}

// Waits, without a sleep, for what the background does on its own.
template <typename Condition>
bool Eventually(const Condition& holds) {
  const Deadline deadline = Clock::now() + std::chrono::seconds(60);
  while (!Passed(deadline)) {
    if (holds()) return true;
    std::this_thread::yield();
  }
  return false;
}

std::size_t OpenFds() {
  const std::filesystem::directory_iterator fds("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
}

TEST(MemoryTierLimits, AQuotaBelowOneBlockIsRefusedWithTheLeastThatWouldDo) {
  TestDirectory directory;
  TierOptions options = SmallTier(directory);
  options.block_bytes = 4u << 20;
  options.quota_bytes = QuotaMin(options.block_bytes) - 1;
  const auto refused = MemoryTier::Create(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_NE(refused.error().message().find(std::to_string(QuotaMin(options.block_bytes))),
            std::string::npos);
  EXPECT_FALSE(directory.exists());

  ++options.quota_bytes;
  const auto tier = MemoryTier::Create(options);
  ASSERT_TRUE(tier.ok());
  EXPECT_TRUE(Fill(*tier.value(), KeyOf(1), options.block_bytes, 1).ok());
  EXPECT_LE(AllocatedIn(directory.path()), options.quota_bytes);
}

TEST(MemoryTierLimits, OptionsThatCannotBeAreRefused) {
  TestDirectory directory;
  const auto code = [&directory](auto change) {
    TierOptions options = SmallTier(directory);
    change(options);
    const auto tier = MemoryTier::Create(options);
    return tier.ok() ? Code::kInternal : tier.error().code();
  };
  EXPECT_EQ(code([](TierOptions& o) { o.block_bytes = 3u << 20; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](TierOptions& o) { o.block_bytes = 4096; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](TierOptions& o) { o.high = 0.5; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](TierOptions& o) { o.directory = "relative"; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](TierOptions& o) { o.directory = "/proc/version/x"; }), Code::kInvalidArgument);
  EXPECT_FALSE(directory.exists());
}

TEST(MemoryTierLimits, ATmpfsSmallerThanTheQuotaMakesASmallerTier) {
  TestDirectory place;
  MountTmpfs(place.path(), 7 * kMiB);
  TierOptions options = SmallTier(place);
  options.directory += "/tier";
  options.quota_bytes = 64 * kMiB;
  auto tier = MemoryTier::Create(options).value();
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(Fill(*tier, KeyOf(i), kBlock, i).ok()) << i;
    ASSERT_EQ(ReadBlock(*Find(*tier, KeyOf(i))), BytesOf(i, kBlock)) << i;
  }
  EXPECT_LE(tier->usage().capacity_bytes, 7 * kMiB);
  EXPECT_GE(tier->usage().blocks, 4u);
}

TEST(MemoryTierLimits, ATmpfsWithoutRoomForABlockIsRefused) {
  TestDirectory place;
  MountTmpfs(place.path(), 1 * kMiB);
  TierOptions options = SmallTier(place);
  options.directory += "/tier";
  const auto tier = MemoryTier::Create(options);
  ASSERT_FALSE(tier.ok());
  EXPECT_EQ(tier.error().code(), Code::kUnavailable);
  EXPECT_TRUE(std::filesystem::is_empty(place.path()));
}

// Fills `path` until there is no room.
void Hog(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const Bytes page(4096);
  while (write(fd.get(), page.data(), page.size()) > 0) continue;
}

TEST(MemoryTierLimits, ATmpfsFilledBySomebodyElseIsSurvivedAndRegained) {
  TestDirectory place;
  MountTmpfs(place.path(), 20 * kMiB);
  TierOptions options = SmallTier(place);
  options.directory += "/tier";
  options.quota_bytes = 64 * kMiB;  // Grows until there is no room.
  auto tier = MemoryTier::Create(options).value();
  ASSERT_TRUE(Eventually([&] { return tier->usage().capacity_bytes < 20 * kMiB; }));
  Hog(place.path() + "/hog");
  const std::uint64_t capacity = tier->usage().capacity_bytes;
  std::vector<SendLease> unread;
  for (std::uint64_t i = 0; i < 60; ++i) {  // Never acknowledged, so chunks are punched.
    const Result<BlockHandle> handle = Fill(*tier, KeyOf(i), kBlock, i);
    ASSERT_TRUE(handle.ok()) << i;
    ASSERT_EQ(ReadBlock(handle.value()), BytesOf(i, kBlock)) << i;
    unread.push_back(handle.value().Lease(0, kBlock).value());
    unread.back().Sent();
  }
  EXPECT_LE(tier->usage().capacity_bytes, capacity + 2 * kMiB);

  std::filesystem::remove(place.path() + "/hog");
  ASSERT_EQ(mount("test", place.path().c_str(), "tmpfs", MS_REMOUNT, "size=40m"), 0);
  for (std::uint64_t i = 100; i < 160; ++i) ASSERT_TRUE(Fill(*tier, KeyOf(i), kBlock, i).ok());
  EXPECT_GT(tier->usage().capacity_bytes, capacity + 2 * kMiB);
}

// The pages that were punched out are taken by somebody else before they are back.
TEST(MemoryTierLimits, AChunkThatGetsNoNewPagesIsRetired) {
  TestDirectory directory;
  std::atomic<bool> full = false;
  const auto files = std::make_shared<FaultyTierFiles>(
      Code::kUnavailable,
      [&full](std::string_view method, int) { return full && method == "Allocate"; });
  auto tier = MemoryTier::Create(SmallTier(directory), files).value();
  ASSERT_TRUE(Eventually([&] { return tier->usage().allocated_bytes > 8 * kMiB; }));
  full = true;
  std::vector<SendLease> unread;
  for (std::uint64_t i = 0; i < 8; ++i) {
    const BlockHandle handle = Fill(*tier, KeyOf(i), kBlock, i).value();
    unread.push_back(handle.Lease(0, kBlock).value());
    unread.back().Sent();
  }
  EXPECT_EQ(tier->usage().capacity_bytes, SmallTier(directory).quota_bytes);
  EXPECT_EQ(tier->FindOrBegin(KeyOf(100), kBlock).error().code(), Code::kOverloaded);
  EXPECT_EQ(tier->usage().capacity_bytes, 0u);
}

// The mountinfo(5) line of what is mounted on `path`.
std::string MountLine(const std::string& path) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(' ' + path + ' ') != std::string::npos) return line;
  }
  return "";
}

TEST(MemoryTierLimits, TheOwnMountIsPrivateBoundedAndHugeWhereBlocksAre) {
  for (const std::uint32_t block_bytes : {kBlock, 4u << 20}) {
    TestDirectory directory;
    TierOptions options = SmallTier(directory, true);
    options.block_bytes = block_bytes;
    const auto tier = MemoryTier::Create(options).value();
    const std::string line = MountLine(directory.path());
    for (const char* part : {"nosuid", "nodev", "noexec", "size=10240k", "mode=700"}) {
      EXPECT_NE(line.find(part), std::string::npos) << part << " in " << line;
    }
    EXPECT_EQ(line.find("huge=within_size") != std::string::npos, block_bytes > kBlock) << line;
  }
}

TEST(MemoryTierLimits, WithoutPermissionToMountTheDirectoryIsUsed) {
  TestDirectory directory;
  const auto files = std::make_shared<FaultyTierFiles>(
      Code::kDenied, [](std::string_view method, int) { return method == "Mount"; });
  auto tier = MemoryTier::Create(SmallTier(directory, true), files).value();
  ASSERT_TRUE(files->fired());
  EXPECT_TRUE(Fill(*tier, KeyOf(1), kBlock, 1).ok());
  struct stat status = {};
  ASSERT_EQ(stat(directory.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  tier.reset();
  EXPECT_FALSE(directory.exists());
}

TEST(MemoryTierLimits, WhatACrashedPredecessorLeftIsTakenOver) {
  for (const bool mounted : {false, true}) {
    TestDirectory directory;
    if (mounted) {
      MountTmpfs(directory.path(), 8 * kMiB, kTierMountSource);
    } else {
      std::filesystem::create_directories(directory.path());
    }
    for (const char* name : {"/seg-0000.data", "/seg-0000.index", "/seg-10000.data"}) {
      std::ofstream(directory.path() + name) << "stale";
    }
    auto tier = MemoryTier::Create(SmallTier(directory, mounted)).value();
    EXPECT_TRUE(Fill(*tier, KeyOf(1), kBlock, 1).ok());
    EXPECT_FALSE(std::filesystem::exists(directory.path() + "/seg-10000.data"));
    tier.reset();
    // The directory was there before, so it stays, and nothing is in it or on it.
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
    EXPECT_NE(umount2(directory.path().c_str(), 0), 0);
  }
}

TEST(MemoryTierLimits, WhatIsNotATiersIsNotTouched) {
  TestDirectory directory;
  std::filesystem::create_directories(directory.path());
  std::ofstream(directory.path() + "/seg-0000.data") << "may be anybody's";
  std::ofstream(directory.path() + "/thesis.tex") << "not ours";
  const auto tier = MemoryTier::Create(SmallTier(directory, true));
  ASSERT_FALSE(tier.ok());
  EXPECT_EQ(tier.error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(std::filesystem::exists(directory.path() + "/thesis.tex"));
  EXPECT_TRUE(std::filesystem::exists(directory.path() + "/seg-0000.data"));
}

TEST(MemoryTierLimits, AVolumeMountedByOthersIsUsedAsItIs) {
  TestDirectory directory;
  MountTmpfs(directory.path(), 20 * kMiB);
  auto tier = MemoryTier::Create(SmallTier(directory, true)).value();
  EXPECT_TRUE(Fill(*tier, KeyOf(1), kBlock, 1).ok());
  tier.reset();
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  EXPECT_EQ(umount2(directory.path().c_str(), 0), 0);  // Ours, and the only one.
  EXPECT_NE(umount2(directory.path().c_str(), 0), 0);
}

TEST(MemoryTierLimits, SomebodyInsideDoesNotKeepTheMountInTheTree) {
  TestDirectory directory;
  auto tier = MemoryTier::Create(SmallTier(directory, true)).value();
  const UniqueFd inside(open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  tier.reset();
  EXPECT_FALSE(directory.exists());
}

TEST(MemoryTierLimits, MemoryGrowsAheadOfDemandUpToTheQuota) {
  TestDirectory directory;
  TierOptions options = SmallTier(directory);
  const auto tier = MemoryTier::Create(options).value();
  // The two are read one after the other: they agree once the tier has stopped growing.
  ASSERT_TRUE(Eventually([&] {
    const std::uint64_t allocated = tier->usage().allocated_bytes;
    return allocated > 8 * kMiB && allocated == AllocatedIn(directory.path());
  }));
  EXPECT_LE(tier->usage().allocated_bytes, options.quota_bytes);
}

TEST(MemoryTierLimits, EvictionStartsAboveTheHighMarkAndEndsAtTheLow) {
  TestDirectory directory;
  TierOptions options = SmallTier(directory);
  options.high = 0.75;  // Six of eight blocks.
  options.low = 0.5;
  const auto tier = MemoryTier::Create(options).value();
  for (std::uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(Fill(*tier, KeyOf(i), kBlock, i).ok());
  EXPECT_EQ(tier->usage().blocks, 6u);
  ASSERT_TRUE(Fill(*tier, KeyOf(6), kBlock, 6).ok());
  EXPECT_TRUE(Eventually([&] { return tier->usage().blocks == 4u; })) << tier->usage().blocks;
}

// Fills, sends without acknowledgement (so that chunks are punched) and destroys.
void Exercise(MemoryTier& tier) {
  std::vector<SendLease> unread;
  for (std::uint64_t i = 0; i < 6; ++i) {
    const Result<BlockHandle> handle = Fill(tier, KeyOf(i), kBlock, i);
    if (!handle.ok()) {
      EXPECT_EQ(handle.error().code(), Code::kOverloaded);
      continue;
    }
    EXPECT_EQ(ReadBlock(handle.value()), BytesOf(i, kBlock));
    unread.push_back(handle.value().Lease(0, kBlock).value());
    unread.back().Sent();
  }
}

// Every system call, failing once: an error or a smaller tier, and nothing left.
TEST(MemoryTierLimits, AnyOneFailureIsSurvivedAndLeavesNothing) {
  for (const bool own_mount : {false, true}) {
    bool fired = true;
    for (int nth = 0; fired; ++nth) {
      SCOPED_TRACE("failing call " + std::to_string(nth));
      ASSERT_LT(nth, 200);
      TestDirectory directory;
      const std::size_t fds = OpenFds();
      const auto files = std::make_shared<FaultyTierFiles>(
          Code::kUnavailable, [nth](std::string_view, int call) { return call == nth; });
      TierOptions options = SmallTier(directory, own_mount);
      options.quota_bytes = 5 * kMiB;  // Four blocks.
      if (auto tier = MemoryTier::Create(options, files); tier.ok()) {
        Exercise(*tier.value());
      } else {
        EXPECT_EQ(tier.error().code(), Code::kUnavailable);
        EXPECT_TRUE(files->fired());
      }
      fired = files->fired();
      EXPECT_FALSE(directory.exists());
      EXPECT_EQ(OpenFds(), fds);
    }
  }
}

}  // namespace
}  // namespace forebay
