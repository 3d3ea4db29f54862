#include "store/whole_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "base/task_group.h"
#include "store/tier_fixture.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr std::uint64_t kChunk = 2u << 20;

FileKey FileNumber(std::uint64_t number) {
  return KeyOf(number << 8).file;
}

class WholeFilesTest : public testing::Test {
 protected:
  using Claim = WholeFiles::Claim;

  void Open(std::uint64_t quota_bytes) {
    tier_.reset();
    Result<std::unique_ptr<WholeFiles>> tier = WholeFiles::Open(
        SystemTierFiles(),
        {.directory = directory_.path(), .own_mount = true, .quota_bytes = quota_bytes});
    ASSERT_TRUE(tier.ok()) << tier.error().message();
    tier_ = std::move(tier).value();
  }

  WholeFiles::Opened OpenFile(std::uint64_t number, std::uint64_t size) {
    Result<WholeFiles::Opened> opened = tier_->OpenFile(FileNumber(number), size);
    CHECK(opened.ok());
    return std::move(opened).value();
  }

  // Fills a chunk with a byte. Whether it was there, or is there now.
  Status Fill(const WholeFiles::FileRef& file, std::uint32_t chunk, int byte) {
    Result<WholeFiles::Claimed> claimed = tier_->ClaimChunk(file, chunk);
    if (!claimed.ok()) return claimed.error();
    if (claimed.value().claim != Claim::kOurs) return {};
    std::memset(claimed.value().bytes.data(), byte, claimed.value().bytes.size());
    if (!tier_->Commit(file, chunk, Crc32c(claimed.value().bytes))) return {};
    return tier_->Seal(file);
  }

  Status FillAll(const WholeFiles::FileRef& file, int byte) {
    for (std::uint32_t chunk = 0; chunk < file->chunks; ++chunk) {
      if (Status filled = Fill(file, chunk, byte); !filled.ok()) return filled;
    }
    return {};
  }

  // What the file system has given out.
  std::uint64_t Allocated() const {
    struct statvfs status = {};
    CHECK(statvfs(directory_.path().c_str(), &status) == 0);
    return (status.f_blocks - status.f_bfree) * status.f_frsize;
  }

  TestDirectory directory_;
  std::unique_ptr<WholeFiles> tier_;
};

int ByteAt(int fd, std::uint64_t offset) {
  unsigned char byte = 0;
  return pread(fd, &byte, 1, static_cast<off_t>(offset)) == 1 ? byte : -1;
}

TEST_F(WholeFilesTest, IsWholeOnceAllChunksAreThere) {
  Open(8 * kChunk);
  const WholeFiles::Opened opened = OpenFile(1, 2 * kChunk + 5);
  ASSERT_EQ(opened.file->chunks, 3u);
  EXPECT_EQ(tier_->ChunkBytes(*opened.file, 2), 5u);
  ASSERT_TRUE(Fill(opened.file, 0, 7).ok());
  ASSERT_TRUE(Fill(opened.file, 2, 9).ok());
  EXPECT_FALSE(opened.file->is_whole());
  EXPECT_EQ(tier_->ReadyFrom(opened.file, 0), 1u);
  EXPECT_EQ(tier_->ReadyFrom(opened.file, 1), 0u);
  ASSERT_TRUE(Fill(opened.file, 1, 8).ok());
  EXPECT_TRUE(opened.file->is_whole());
  EXPECT_EQ(tier_->ReadyFrom(opened.file, 1), 2u);
  EXPECT_EQ(ByteAt(opened.reader.get(), 0), 7);
  EXPECT_EQ(ByteAt(opened.reader.get(), kChunk), 8);
  EXPECT_EQ(ByteAt(opened.reader.get(), 2 * kChunk + 4), 9);
  EXPECT_EQ(ByteAt(opened.reader.get(), 2 * kChunk + 5), -1);
  EXPECT_LE(Allocated(), tier_->figures().used_bytes);
}

TEST_F(WholeFilesTest, WhatIsHandedOutCannotBeWritten) {
  Open(4 * kChunk);
  const WholeFiles::Opened opened = OpenFile(1, 100);
  EXPECT_EQ(write(opened.reader.get(), "x", 1), -1);
  EXPECT_EQ(mmap(nullptr, 100, PROT_WRITE, MAP_SHARED, opened.reader.get(), 0), MAP_FAILED);
}

TEST_F(WholeFilesTest, WhatIsOpenIsNotEvicted) {
  Open(4 * kChunk);
  WholeFiles::Opened one = OpenFile(1, 2 * kChunk);
  ASSERT_TRUE(FillAll(one.file, 1).ok());
  WholeFiles::Opened two = OpenFile(2, 2 * kChunk);
  ASSERT_TRUE(FillAll(two.file, 2).ok());
  WholeFiles::Opened three = OpenFile(3, kChunk);
  EXPECT_EQ(Fill(three.file, 0, 3).error().code(), Code::kOverloaded);
  // A mapping counts as much as a descriptor.
  void* const mapped = mmap(nullptr, kChunk, PROT_READ, MAP_SHARED, one.reader.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  one.reader.Reset();
  EXPECT_EQ(Fill(three.file, 0, 3).error().code(), Code::kOverloaded);
  two.reader.Reset();
  two.file.reset();
  EXPECT_TRUE(Fill(three.file, 0, 3).ok());
  EXPECT_EQ(tier_->figures().evictions, 1u);
  EXPECT_EQ(*static_cast<const unsigned char*>(mapped), 1);
  munmap(mapped, kChunk);
  EXPECT_LE(Allocated(), 4 * kChunk);
}

TEST_F(WholeFilesTest, ThereAreNoMoreFilesThanDescriptorsForThem) {
  Result<std::unique_ptr<WholeFiles>> tier =
      WholeFiles::Open(SystemTierFiles(), {.directory = directory_.path(),
                                           .own_mount = true,
                                           .quota_bytes = 8 * kChunk,
                                           .files_max = 2});
  ASSERT_TRUE(tier.ok()) << tier.error().message();
  tier_ = std::move(tier).value();
  WholeFiles::Opened one = OpenFile(1, 10);
  const WholeFiles::Opened two = OpenFile(2, 10);
  EXPECT_EQ(tier_->OpenFile(FileNumber(3), 10).error().code(), Code::kOverloaded);
  EXPECT_EQ(OpenFile(2, 10).file, two.file) << "one that is there takes no room";
  one.reader.Reset();
  EXPECT_TRUE(tier_->OpenFile(FileNumber(3), 10).ok());
  EXPECT_EQ(tier_->figures().files, 2u);
  EXPECT_EQ(tier_->Find(FileNumber(1), one.file->incarnation), nullptr);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 2);
}

TEST_F(WholeFilesTest, AnEvictedFileIsAnotherWhenItComesBack) {
  Open(2 * kChunk);
  std::uint64_t incarnation = 0;
  {
    const WholeFiles::Opened one = OpenFile(1, 2 * kChunk);
    incarnation = one.file->incarnation;
    ASSERT_TRUE(FillAll(one.file, 1).ok());
    EXPECT_NE(tier_->Find(one.file->key, incarnation), nullptr);
  }
  {
    const WholeFiles::Opened two = OpenFile(2, kChunk);
    ASSERT_TRUE(FillAll(two.file, 2).ok());
  }
  const WholeFiles::Opened again = OpenFile(1, 2 * kChunk);
  EXPECT_NE(again.file->incarnation, incarnation);
  EXPECT_EQ(tier_->Find(again.file->key, incarnation), nullptr);
  EXPECT_EQ(tier_->ReadyFrom(again.file, 0), 0u);
}

TEST_F(WholeFilesTest, AnAbandonedChunkGivesItsRoomBack) {
  Open(2 * kChunk);
  const WholeFiles::Opened one = OpenFile(1, kChunk);
  const Result<WholeFiles::Claimed> claimed = tier_->ClaimChunk(one.file, 0);
  ASSERT_TRUE(claimed.ok());
  std::memset(claimed.value().bytes.data(), 1, kChunk);
  EXPECT_EQ(tier_->ClaimChunk(one.file, 0).value().claim, Claim::kFilling);
  tier_->Abandon(one.file, 0);
  EXPECT_EQ(tier_->figures().used_bytes, 0u);
  EXPECT_EQ(Allocated(), 0u);
  EXPECT_TRUE(Fill(one.file, 0, 2).ok());
  EXPECT_EQ(ByteAt(one.reader.get(), 0), 2);
}

TEST_F(WholeFilesTest, OthersWaitForAFill) {
  Open(2 * kChunk);
  const WholeFiles::Opened one = OpenFile(1, kChunk);
  const Result<WholeFiles::Claimed> claimed = tier_->ClaimChunk(one.file, 0);
  ASSERT_TRUE(claimed.ok());
  EXPECT_FALSE(tier_->AwaitChunk(one.file, 0, Clock::now() + 10ms, {}));
  TaskGroup waiter;
  waiter.Run("waiter", [&](const std::stop_token&) {
    EXPECT_TRUE(tier_->AwaitChunk(one.file, 0, Clock::now() + 10s, {}));
  });
  std::memset(claimed.value().bytes.data(), 5, kChunk);
  EXPECT_TRUE(tier_->Commit(one.file, 0, Crc32c(claimed.value().bytes)));
}

TEST_F(WholeFilesTest, BytesThatDoNotMatchAreNeverWhole) {
  Open(4 * kChunk);
  const WholeFiles::Opened one = OpenFile(1, kChunk);
  const Result<WholeFiles::Claimed> claimed = tier_->ClaimChunk(one.file, 0);
  ASSERT_TRUE(claimed.ok());
  std::memset(claimed.value().bytes.data(), 5, kChunk);
  const std::uint32_t checksum = Crc32c(claimed.value().bytes);
  claimed.value().bytes[77] ^= std::byte{1};
  ASSERT_TRUE(tier_->Commit(one.file, 0, checksum));
  EXPECT_EQ(tier_->Seal(one.file).error().code(), Code::kCorrupt);
  EXPECT_FALSE(one.file->is_whole());
  EXPECT_EQ(tier_->Find(one.file->key, one.file->incarnation), nullptr);
  EXPECT_EQ(tier_->figures().used_bytes, kChunk) << "it is still open";
}

TEST_F(WholeFilesTest, ABitThatFlipsLaterIsFound) {
  Open(4 * kChunk);
  WholeFiles::Opened one = OpenFile(1, kChunk);
  ASSERT_TRUE(FillAll(one.file, 1).ok());
  EXPECT_TRUE(tier_->Verify(one.file).ok());
  const std::string path = "/proc/self/fd/" + std::to_string(one.reader.get());
  const UniqueFd writer(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(pwrite(writer.get(), "x", 1, 1000), 1);
  EXPECT_EQ(tier_->Verify(one.file).error().code(), Code::kCorrupt);
  EXPECT_TRUE(tier_->Files().empty());
}

TEST_F(WholeFilesTest, WhatDoesNotFitIsRefused) {
  Open(2 * kChunk);
  EXPECT_EQ(tier_->OpenFile(FileNumber(1), 2 * kChunk + 1).error().code(), Code::kOverloaded);
  Result<std::unique_ptr<WholeFiles>> small = WholeFiles::Open(
      SystemTierFiles(), {.directory = directory_.path() + "-small", .quota_bytes = kChunk - 1});
  ASSERT_FALSE(small.ok());
  EXPECT_EQ(small.error().code(), Code::kInvalidArgument);
}

// As after a SIGKILL: the mount and its files are there, and somebody reads one of them.
TEST_F(WholeFilesTest, APredecessorsFilesGoButCountWhileTheyAreOpen) {
  ASSERT_EQ(mkdir(directory_.path().c_str(), 0700), 0);
  ASSERT_EQ(mount("forebay-tier", directory_.path().c_str(), "tmpfs", 0, nullptr), 0);
  const std::string path = directory_.path() + "/whole-0123456789abcdef";
  UniqueFd reader;
  {
    const UniqueFd made(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const std::vector<char> bytes(kChunk, 'x');
    ASSERT_EQ(write(made.get(), bytes.data(), kChunk), kChunk);
    reader.Reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  Open(2 * kChunk);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(tier_->figures().used_bytes, kChunk);
  const WholeFiles::Opened two = OpenFile(2, 2 * kChunk);
  EXPECT_TRUE(Fill(two.file, 0, 1).ok());
  EXPECT_EQ(Fill(two.file, 1, 1).error().code(), Code::kOverloaded);
  EXPECT_EQ(ByteAt(reader.get(), 0), 'x');
  reader.Reset();
  EXPECT_TRUE(Fill(two.file, 1, 1).ok());
}

TEST_F(WholeFilesTest, NothingIsLeft) {
  Open(2 * kChunk);
  const WholeFiles::Opened one = OpenFile(1, kChunk);
  ASSERT_TRUE(FillAll(one.file, 1).ok());
  tier_.reset();
  EXPECT_FALSE(directory_.exists());
  EXPECT_EQ(ByteAt(one.reader.get(), 9), 1) << "what is open is readable";
}

TEST_F(WholeFilesTest, ManyThreadsNeverExceedTheQuotaOrMixBytes) {
  constexpr std::uint64_t kQuota = 6 * kChunk;
  Open(kQuota);
  std::atomic<int> wrong = 0;
  std::atomic<bool> ended = false;
  TaskGroup sampler;
  sampler.Run("sampler", [&](const std::stop_token&) {
    while (!ended) {
      if (Allocated() > kQuota) ++wrong;
      poll(nullptr, 0, 1);
    }
  });
  {
    TaskGroup threads;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      threads.Run("reader", [&, seed](const std::stop_token&) {
        Rng rng(seed);
        for (int i = 0; i < 150; ++i) {
          const std::uint64_t number = rng.Below(8);
          const WholeFiles::Opened opened = OpenFile(number, kChunk + 4096 * (number + 1));
          for (std::uint32_t chunk = 0; chunk < opened.file->chunks; ++chunk) {
            const Status filled = Fill(opened.file, chunk, static_cast<int>(number + 1));
            if (!filled.ok() && filled.error().code() != Code::kOverloaded) ++wrong;
            if (tier_->ReadyFrom(opened.file, chunk) == 0) continue;
            const std::uint64_t begin = std::uint64_t{chunk} * kChunk;
            const int byte = ByteAt(opened.reader.get(), begin + rng.Below(4096));
            if (byte != static_cast<int>(number + 1)) ++wrong;
          }
        }
      });
    }
    threads.StopAndJoin();
  }
  ended = true;
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace forebay
