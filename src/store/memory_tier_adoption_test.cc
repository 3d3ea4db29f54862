// What a tier takes over from a predecessor that was killed, and what it refuses to believe.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "base/metrics.h"
#include "base/rng.h"
#include "io/unique_fd.h"
#include "store/fake_tier_files.h"
#include "store/slot_header.h"
#include "store/tier_fixture.h"

namespace forebay {
namespace {

constexpr std::uint32_t kBlock = 1u << 20;
constexpr std::uint64_t kMiB = 1u << 20;

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

std::uint64_t DamagedSoFar() {
  return Metrics()
      .AddCounter("forebay_checksum_failures_total", "Bytes that did not match their checksum.",
                  {{"where", "tier"}})
      .value();
}

// Flips a bit of the file at `at`.
void Flip(const std::string& path, off_t at) {
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  std::byte byte{};
  ASSERT_EQ(pread(fd.get(), &byte, 1, at), 1);
  byte ^= std::byte{0x10};
  ASSERT_EQ(pwrite(fd.get(), &byte, 1, at), 1);
}

class AdoptionTest : public testing::TestWithParam<bool> {
 protected:
  // A predecessor fills blocks 0 to `count` - 1, and is killed.
  void Leave(std::uint64_t count, std::uint32_t length = kBlock) {
    InKilledProcess([&] {
      auto tier = MemoryTier::Create(options_).value();
      for (std::uint64_t i = 0; i < count; ++i) CHECK(Fill(*tier, KeyOf(i), length, i).ok());
      CHECK(tier->usage().blocks == count);
      return tier;
    });
  }

  std::unique_ptr<MemoryTier> Adopt() { return MemoryTier::Create(options_).value(); }

  // Which of the first keys are served without a fill, with the right bytes.
  std::set<std::uint64_t> Served(MemoryTier& tier, std::uint64_t count,
                                 std::uint32_t length = kBlock) {
    std::set<std::uint64_t> served;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!tier.Held(KeyOf(i).file, KeyOf(i).index + 1)[KeyOf(i).index]) continue;
      MemoryTier::Admission admission = tier.FindOrBegin(KeyOf(i), length).value();
      if (admission.writer) continue;
      EXPECT_EQ(ReadBlock(admission.handle), BytesOf(i, length)) << i;
      served.insert(i);
    }
    return served;
  }

  std::string File(const char* name) const { return directory_.path() + '/' + name; }

  TestDirectory directory_;
  TierOptions options_ = SmallTier(directory_, GetParam());
};
INSTANTIATE_TEST_SUITE_P(OwnMount, AdoptionTest, testing::Bool());

TEST_P(AdoptionTest, BlocksOfTheKilledAreThereAndAnOrderlyEndRemovesThem) {
  Leave(8);
  auto tier = Adopt();
  EXPECT_EQ(tier->adoption().blocks, 8u);
  EXPECT_EQ(tier->adoption().bytes, 8 * kMiB);
  EXPECT_EQ(tier->usage().blocks, 8u);
  EXPECT_EQ(tier->usage().used_bytes, 8 * kMiB);
  EXPECT_EQ(tier->usage().capacity_bytes, options_.quota_bytes);
  EXPECT_EQ(tier->Held(KeyOf(0).file, 9),
            (std::vector<bool>{true, true, true, true, true, true, true, true, false}));
  EXPECT_EQ(Served(*tier, 8).size(), 8u);
  EXPECT_LE(AllocatedIn(directory_.path()), options_.quota_bytes);
  tier.reset();
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
  EXPECT_NE(umount2(directory_.path().c_str(), 0), 0) << "its mount was left";
}

TEST_P(AdoptionTest, WhatWasDroppedOrNotCompleteDoesNotComeBack) {
  InKilledProcess([&] {
    const auto tier = MemoryTier::Create(options_).value();
    for (std::uint64_t i = 0; i < 4; ++i) CHECK(Fill(*tier, KeyOf(i), kBlock, i).ok());
    Drop(*tier, KeyOf(1));
    MemoryTier::Admission filling = tier->FindOrBegin(KeyOf(5), kBlock).value();
    filling.writer->Advance(kBlock, true);
    MemoryTier::Admission uncacheable = tier->FindOrBegin(KeyOf(6), kBlock).value();
    uncacheable.writer->Advance(kBlock, true);
    uncacheable.writer->Complete(false);
    CHECK(kill(getpid(), SIGKILL) == 0);
    return 0;
  });
  const auto tier = Adopt();
  EXPECT_EQ(Served(*tier, 7), (std::set<std::uint64_t>{0, 2, 3}));
}

TEST_P(AdoptionTest, SmallBlocksKeepTheirSlotsAndTheRestIsUsable) {
  InKilledProcess([&] {
    auto tier = MemoryTier::Create(options_).value();
    for (std::uint64_t i = 0; i < 40; ++i) CHECK(Fill(*tier, KeyOf(i), 10'000, i).ok());
    for (std::uint64_t i = 40; i < 43; ++i) CHECK(Fill(*tier, KeyOf(i), kBlock - 9, i).ok());
    for (std::uint64_t i = 0; i < 40; i += 2) Drop(*tier, KeyOf(i));
    return tier;
  });
  const auto tier = Adopt();
  EXPECT_EQ(tier->adoption().blocks, 23u);
  for (std::uint64_t i = 1; i < 40; i += 2) {
    EXPECT_EQ(ReadBlock(Find(*tier, KeyOf(i)).value()), BytesOf(i, 10'000)) << i;
  }
  EXPECT_EQ(ReadBlock(Find(*tier, KeyOf(42)).value()), BytesOf(42, kBlock - 9));
  for (std::uint64_t i = 0; i < 30; ++i) {
    ASSERT_TRUE(Fill(*tier, KeyOf(1000 + i), kBlock, i).ok()) << i;
    ASSERT_EQ(ReadBlock(Find(*tier, KeyOf(1000 + i)).value()), BytesOf(i, kBlock));
    ASSERT_LE(AllocatedIn(directory_.path()), options_.quota_bytes);
  }
  tier->DropIf([](const BlockKey&) { return true; });
  for (std::uint64_t i = 0; i < 8; ++i) ASSERT_TRUE(Fill(*tier, KeyOf(i), kBlock, i).ok());
  EXPECT_EQ(tier->usage().blocks, 8u) << "all of it can be had again";
}

TEST_P(AdoptionTest, AFlippedBitIsFoundAtTheFirstServeAndHealed) {
  Leave(4);
  Flip(File("seg-0000.data"), kMiB + 77'777);
  const std::uint64_t damaged = DamagedSoFar();
  const auto tier = Adopt();
  EXPECT_EQ(tier->adoption().blocks, 4u) << "nobody has looked yet";
  EXPECT_EQ(Served(*tier, 4), (std::set<std::uint64_t>{0, 2, 3}));
  EXPECT_EQ(DamagedSoFar() - damaged, 1u);
  ASSERT_TRUE(Fill(*tier, KeyOf(1), kBlock, 1).ok());
  EXPECT_EQ(Served(*tier, 4).size(), 4u);
  EXPECT_EQ(DamagedSoFar() - damaged, 1u);
}

TEST_P(AdoptionTest, VerifyComparesEveryHeldBlock) {
  Leave(5);
  Flip(File("seg-0000.data"), 1 * kMiB);
  const std::uint64_t damaged = DamagedSoFar();
  const auto tier = Adopt();
  const Deadline later = Clock::now() + std::chrono::minutes(1);
  const Result<std::vector<bool>> intact = tier->Verify(KeyOf(0).file, 6, later, {});
  ASSERT_TRUE(intact.ok());
  EXPECT_EQ(intact.value(), (std::vector<bool>{true, false, true, true, true, false}));
  EXPECT_EQ(tier->Held(KeyOf(0).file, 6), intact.value());
  EXPECT_EQ(DamagedSoFar() - damaged, 1u);
  EXPECT_EQ(tier->Verify(KeyOf(0).file, 6, Clock::now(), {}).error().code(),
            Code::kDeadlineExceeded);
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_EQ(tier->Verify(KeyOf(0).file, 6, later, stopped.get_token()).error().code(),
            Code::kCancelled);
}

TEST_P(AdoptionTest, PagesThatWerePunchedOutAreNoticed) {
  Leave(4);
  {
    const UniqueFd fd(open(File("seg-0000.data").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * kMiB), 0);
  }
  const auto tier = Adopt();
  EXPECT_EQ(Served(*tier, 4), (std::set<std::uint64_t>{2, 3}));
}

// Bytes of the index between the headers of blocks of 1 MiB, and between chunks.
constexpr off_t kEntryBytes = 16 * 132;
constexpr off_t kIndexBytes = 8192;

std::uint64_t KeyAt(int index_fd, off_t at) {
  std::vector<std::byte> entry(kEntryBytes);
  CHECK(pread(index_fd, entry.data(), entry.size(), at) == kEntryBytes);
  return DecodeSlotHeader(entry).value().key.index;
}

TEST_P(AdoptionTest, DamagedAndDoubledHeadersCostTheirBlocksOnly) {
  Leave(8);
  std::set<std::uint64_t> expected = {0, 1, 2, 3, 4, 5, 6, 7};
  {
    const std::string index = File("seg-0000.index");
    const UniqueFd fd(open(index.c_str(), O_RDWR | O_CLOEXEC));
    expected.erase(KeyAt(fd.get(), kEntryBytes));
    Flip(index, kEntryBytes + 50);  // The second slot of the first chunk.
    const off_t doubled = 2 * kIndexBytes;
    expected.erase(KeyAt(fd.get(), doubled + kEntryBytes));
    std::vector<char> entry(kEntryBytes);  // The third chunk's second says the same as its first.
    ASSERT_EQ(pread(fd.get(), entry.data(), entry.size(), doubled), kEntryBytes);
    ASSERT_EQ(pwrite(fd.get(), entry.data(), entry.size(), doubled + kEntryBytes), kEntryBytes);
  }
  const auto tier = Adopt();
  EXPECT_EQ(tier->adoption().damaged, 1u);
  EXPECT_EQ(tier->adoption().duplicate, 1u);
  EXPECT_EQ(Served(*tier, 8), expected);
}

TEST_P(AdoptionTest, AnotherBlockSizeStartsEmptyAndLeavesNothing) {
  for (const std::uint32_t other : {2u << 20, 64u << 10, 4u << 20}) {
    options_ = SmallTier(directory_, GetParam());
    Leave(8);
    options_.block_bytes = other;
    auto tier = Adopt();
    EXPECT_EQ(tier->adoption().blocks, 0u);
    EXPECT_GT(tier->adoption().incompatible + tier->adoption().files_removed, 0u);
    EXPECT_EQ(tier->usage().blocks, 0u);
    EXPECT_TRUE(Served(*tier, 2, 1000).empty());
    EXPECT_LE(AllocatedIn(directory_.path()), options_.quota_bytes);
    tier.reset();
    EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
  }
}

TEST_P(AdoptionTest, ASmallerQuotaHoldsAtOnce) {
  Leave(8);
  options_.quota_bytes = 5 * kMiB;  // Two chunks.
  const auto tier = Adopt();
  EXPECT_LE(AllocatedIn(directory_.path()), options_.quota_bytes);
  EXPECT_EQ(tier->usage().capacity_bytes, options_.quota_bytes);
  EXPECT_EQ(Served(*tier, 8).size(), 4u);
  EXPECT_TRUE(Fill(*tier, KeyOf(99), kBlock, 99).ok());
  EXPECT_LE(AllocatedIn(directory_.path()), options_.quota_bytes);
}

TEST_P(AdoptionTest, ALargerQuotaKeepsTheBlocksAndGrows) {
  Leave(8);
  options_.quota_bytes = 33 * kMiB;
  const auto tier = Adopt();
  EXPECT_EQ(tier->adoption().blocks, 8u);
  for (std::uint64_t i = 8; i < 30; ++i) ASSERT_TRUE(Fill(*tier, KeyOf(i), kBlock, i).ok());
  EXPECT_EQ(Served(*tier, 30).size(), 30u);
  EXPECT_LE(AllocatedIn(directory_.path()), options_.quota_bytes);
}

// Segments of 128 MiB where the new quota alone would make them of 64.
TEST_P(AdoptionTest, ASmallerQuotaKeepsTheSegmentsSize) {
  options_.quota_bytes = 2048 * kMiB;
  Leave(8);
  options_.quota_bytes = 1024 * kMiB;
  const auto tier = Adopt();
  EXPECT_EQ(Served(*tier, 8).size(), 8u);
  struct stat status = {};
  ASSERT_EQ(stat(File("seg-0000.data").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, static_cast<off_t>(128 * kMiB));
}

TEST_P(AdoptionTest, FilesThatAreCutShortOrNotOursAreNotBelieved) {
  const auto data = [this] { return File("seg-0000.data"); };
  const std::vector<std::function<void()>> harms = {
      [&] { std::filesystem::resize_file(data(), 3 * kMiB); },
      [&] { std::filesystem::resize_file(File("seg-0000.index"), 4096); },
      [&] { std::filesystem::remove(File("seg-0000.index")); },
      [&] { std::filesystem::remove(data()); },
      [&] { CHECK(chmod(data().c_str(), 0644) == 0); },
      [&] { CHECK(chown(data().c_str(), 12'345, 12'345) == 0); },
      [&] {
        std::filesystem::rename(data(), File("seg-0009.data"));
        std::filesystem::create_symlink("seg-0009.data", data());
      },
  };
  for (std::size_t i = 0; i < harms.size(); ++i) {
    SCOPED_TRACE("harm " + std::to_string(i));
    Leave(4);
    harms[i]();
    auto tier = Adopt();
    EXPECT_EQ(tier->adoption().blocks, 0u);
    EXPECT_GT(tier->adoption().files_removed, 0u);
    EXPECT_TRUE(Fill(*tier, KeyOf(0), kBlock, 0).ok());
    EXPECT_LE(AllocatedIn(directory_.path()), options_.quota_bytes);
    tier.reset();
    EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
  }
}

TEST_P(AdoptionTest, AForeignFileIsRefusedInADirectoryAndRemovedFromTheOwnMount) {
  Leave(4);
  std::ofstream(File("stray")) << "whose?";
  const Result<std::unique_ptr<MemoryTier>> tier = MemoryTier::Create(options_);
  EXPECT_EQ(tier.ok(), GetParam());
  EXPECT_EQ(std::filesystem::exists(File("stray")), !GetParam());
  if (tier.ok()) {
    EXPECT_EQ(tier.value()->adoption().blocks, 4u);
  } else {
    EXPECT_EQ(tier.error().code(), Code::kInvalidArgument);
  }
}

// The recycling rule across a restart: the predecessor's readers are still reading.
TEST_P(AdoptionTest, AReaderOfTheKilledReceivesWhatItWasSent) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  UniqueFd sender(fds[0]);
  const UniqueFd receiver(fds[1]);
  constexpr std::size_t kPart = 4096;
  InKilledProcess([&] {
    const auto tier = MemoryTier::Create(options_).value();
    for (std::uint64_t i = 0; i < 8; ++i) {
      SendLease lease = Fill(*tier, KeyOf(i), kBlock, i).value().Lease(0, kBlock).value();
      auto offset = static_cast<off_t>(lease.file_offset());
      CHECK(sendfile(fds[0], lease.fd(), &offset, kPart) == kPart);
    }
    Drop(*tier, KeyOf(3));  // Its slot is nobody's after the restart.
    CHECK(kill(getpid(), SIGKILL) == 0);
    return 0;
  });
  sender.Reset();
  const auto tier = Adopt();
  EXPECT_EQ(tier->adoption().blocks, 7u);
  for (std::uint64_t i = 0; i < 40; ++i) {
    ASSERT_TRUE(Fill(*tier, KeyOf(100 + i), kBlock, 100 + i).ok());
  }
  for (std::uint64_t i = 0; i < 8; ++i) {
    Bytes bytes(kPart);
    ASSERT_EQ(recv(receiver.get(), bytes.data(), kPart, MSG_WAITALL), static_cast<ssize_t>(kPart));
    EXPECT_EQ(bytes, BytesOf(i, kPart)) << i;
  }
}

TEST_P(AdoptionTest, ALiveWorkersTierIsNotAdoptedNorRemoved) {
  Leave(2);
  const auto tier = Adopt();
  EXPECT_EQ(MemoryTier::Create(options_).error().code(), Code::kUnavailable);
  EXPECT_EQ(RemoveTier(directory_.path()).error().code(), Code::kUnavailable);
  EXPECT_EQ(Served(*tier, 2).size(), 2u);
}

TEST_P(AdoptionTest, TheTierOfOneThatIsGoneIsRemoved) {
  Leave(4);
  EXPECT_TRUE(RemoveTier(directory_.path()).ok());
  EXPECT_FALSE(directory_.exists());
  EXPECT_TRUE(RemoveTier(directory_.path()).ok()) << "nothing there is fine";

  std::filesystem::create_directories(directory_.path());
  std::ofstream(File("thesis.tex")) << "not ours, and beneath the mount";
  std::ofstream(File("seg-0000.data")) << "ours";
  if (GetParam()) {
    ASSERT_EQ(mount(kTierMountSource, directory_.path().c_str(), "tmpfs", 0, "size=1m"), 0);
  }
  std::ofstream(File("thesis.tex")) << "not ours";
  EXPECT_TRUE(RemoveTier(directory_.path()).ok());
  EXPECT_TRUE(std::filesystem::exists(File("thesis.tex")));
  EXPECT_FALSE(std::filesystem::exists(File("seg-0000.data")));
}

// Every system call of a takeover, failing once: an error and nothing left, or right bytes.
TEST_P(AdoptionTest, AnyOneFailureIsSurvived) {
  constexpr std::uint32_t kLength = 70'000;
  bool fired = true;
  for (int nth = 0; fired; ++nth) {
    SCOPED_TRACE("failing call " + std::to_string(nth));
    ASSERT_LT(nth, 200);
    Leave(6, kLength);
    const auto files = std::make_shared<FaultyTierFiles>(
        Code::kUnavailable, [nth](std::string_view, int call) { return call == nth; });
    if (auto tier = MemoryTier::Create(options_, files); tier.ok()) {
      Served(*tier.value(), 6, kLength);
      ASSERT_TRUE(Fill(*tier.value(), KeyOf(7), kLength, 7).ok());
      EXPECT_LE(AllocatedIn(directory_.path()), options_.quota_bytes);
    } else {
      EXPECT_EQ(tier.error().code(), Code::kUnavailable);
      EXPECT_TRUE(files->fired());
    }
    fired = files->fired();
    ASSERT_TRUE(RemoveTier(directory_.path()).ok());
    EXPECT_FALSE(directory_.exists());
  }
}

// What any block that is served must be.
constexpr std::uint64_t kKeys = 24;
std::uint32_t LengthOf(std::uint64_t key) {
  return static_cast<std::uint32_t>(key % 6 == 0 ? kBlock - key : 1 + key * 7919 % 200'000);
}

// One life of random fills and drops; `held` is left the list of what is held at its end, by its
// own account.
std::unique_ptr<MemoryTier> Live(const TierOptions& options, Rng& rng, const std::string& held) {
  auto tier = MemoryTier::Create(options).value();
  for (std::uint64_t step = rng.Below(50); step-- > 0;) {
    const std::uint64_t key = rng.Below(kKeys);
    if (rng.Chance(1, 5)) {
      Drop(*tier, KeyOf(key));
      CHECK(!Find(*tier, KeyOf(key)));
      continue;
    }
    const BlockHandle handle = Fill(*tier, KeyOf(key), LengthOf(key), key).value();
    CHECK(ReadBlock(handle) == BytesOf(key, LengthOf(key)));
    CHECK(AllocatedIn(options.directory) <= options.quota_bytes);
  }
  std::ofstream file(held);
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    file << Find(*tier, KeyOf(key)).has_value() << '\n';
  }
  return tier;
}

// The next life begins with exactly what the last one held.
void ExpectHeld(MemoryTier& tier, const std::string& held) {
  std::ifstream file(held);
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    bool was_held = false;
    file >> was_held;
    const std::optional<BlockHandle> found = Find(tier, KeyOf(key));
    ASSERT_EQ(found.has_value(), was_held) << key;
    if (found) {
      ASSERT_EQ(ReadBlock(*found), BytesOf(key, LengthOf(key)));
    }
  }
  EXPECT_EQ(tier.adoption().damaged + tier.adoption().duplicate, 0u);
  EXPECT_EQ(tier.adoption().incompatible + tier.adoption().files_removed, 0u);
}

TEST_P(AdoptionTest, ManyLivesAgreeWithAModel) {
  const std::string held = directory_.path() + ".held";
  options_.quota_bytes = 5 * kMiB;  // Two chunks: slots of different sizes fight for them.
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    for (int life = 0; life < 3 && !HasFailure(); ++life) {
      Rng its_own(rng.Next());
      InKilledProcess([&] { return Live(options_, its_own, held); });
      // Looked at by one that is killed too, so that the lives after it begin there.
      const auto look = [&] {
        auto tier = Adopt();
        ExpectHeld(*tier, held);
        CHECK(!HasFailure());
        return tier;
      };
      InKilledProcess(look);
    }
    ASSERT_TRUE(RemoveTier(directory_.path()).ok());
  }
  std::filesystem::remove(held);
}

}  // namespace
}  // namespace forebay
