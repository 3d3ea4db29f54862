#include "client/open_file.h"

#include <gtest/gtest.h>

#include "client/fake_pool.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

constexpr std::uint64_t kSize = 20 * kFakeBlockBytes + 1000;

struct OpenFileTest : testing::Test {
  OpenFile Open(const std::string& path) {
    const auto version = pool.Put(path, "v1", kSize);
    return OpenFile(pool.backends, pool.lookups, Place{version->store, path}, version->attributes,
                    OpenFile::Binding::kFirstBytes);
  }
  // What comes of reading `length` bytes at `offset`.
  static Result<std::vector<std::byte>> Read(OpenFile& file, std::uint64_t offset,
                                             std::uint64_t length) {
    std::vector<std::byte> bytes(length);
    const Result<std::size_t> read = file.Read(offset, bytes, Clock::now() + 10s, {});
    if (!read.ok()) return read.error();
    bytes.resize(read.value());
    return bytes;
  }
  static void ExpectRead(OpenFile& file, std::uint64_t offset, std::uint64_t length) {
    const Result<std::vector<std::byte>> read = Read(file, offset, length);
    ASSERT_TRUE(read.ok()) << read.error().message();
    const std::uint64_t expected = offset >= kSize ? 0 : std::min(length, kSize - offset);
    EXPECT_EQ(read.value(), BytesOf("a", "v1", offset, expected)) << offset << " + " << length;
  }

  FakePool pool{3};
};

TEST_F(OpenFileTest, AnyRangeIsRight) {
  for (FakeWorker* worker : pool.workers) worker->StartPump(1);
  OpenFile file = Open("a");
  Rng rng(1);
  for (int i = 0; i < 60; ++i) {
    const std::uint64_t length = rng.Chance(1, 2) ? rng.Below(5000) : rng.Below(kSize);
    ExpectRead(file, rng.Below(kSize + 5000), length);
  }
  ExpectRead(file, 0, kSize + 1);
  ExpectRead(file, kSize, 1);
}

// Runs of reads in order, of odd sizes, with jumps: all bytes right, whatever was read ahead.
TEST_F(OpenFileTest, ReadsInOrderAreRight) {
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    FakePool own(3);
    for (FakeWorker* worker : own.workers) worker->StartPump(seed);
    const auto version = own.Put("a", "v1", kSize);
    OpenFile file(own.backends, own.lookups, Place{version->store, "a"}, version->attributes,
                  OpenFile::Binding::kFirstBytes);
    Rng rng(seed);
    std::uint64_t at = 0;
    for (int i = 0; i < 150; ++i) {
      const std::uint64_t length = 1 + rng.Below(rng.Chance(1, 10) ? 400'000 : 30'000);
      ExpectRead(file, at, length);
      at = rng.Chance(1, 20) || at > kSize ? rng.Below(kSize) : at + length;
    }
  }
}

// 64 bytes at a time or a whole file at once: each byte is fetched about once.
TEST_F(OpenFileTest, SmallReadsInOrderFetchOnce) {
  OpenFile file = Open("a");
  for (std::uint64_t at = 0; at < kSize; at += 4096) ExpectRead(file, at, 4096);
  std::uint64_t bytes = 0;
  for (const FakeWorker* worker : pool.workers) {
    for (const BlockCall& call : worker->calls()) bytes += call.block.length;
  }
  EXPECT_EQ(bytes, kSize);
  EXPECT_LE(pool.calls(), 25u);
}

TEST_F(OpenFileTest, RandomReadsFetchNoMoreThanTheirGranules) {
  OpenFile file = Open("a");
  for (const std::uint64_t block : {7u, 3u, 15u, 1u})
    ExpectRead(file, block * kFakeBlockBytes + 10, 50);
  for (const FakeWorker* worker : pool.workers) {
    for (const BlockCall& call : worker->calls()) EXPECT_EQ(call.block.length, 50u);
  }
  EXPECT_EQ(pool.calls(), 4u);
}

TEST_F(OpenFileTest, AFaultWhileReadingAheadIsInvisible) {
  for (int nth = 0; nth < 12; ++nth) {
    FakePool own(2);
    own.store.FailReads(nth, nth + 1, Code::kUnavailable);
    for (FakeWorker* worker : own.workers) worker->Play(nth, nth + 3, Trick::kBreak);
    const auto version = own.Put("a", "v1", kSize);
    OpenFile file(own.backends, own.lookups, Place{version->store, "a"}, version->attributes,
                  OpenFile::Binding::kFirstBytes);
    for (std::uint64_t at = 0; at < kSize; at += 50'000) ExpectRead(file, at, 50'000);
  }
}

TEST_F(OpenFileTest, AChangeBeforeTheFirstByteIsFollowed) {
  OpenFile file = Open("a");
  const Attributes& before = file.attributes();
  pool.store.Put("a", "version 2", 5000);
  for (FakeWorker* worker : pool.workers) worker->Replace("a", "version 2");
  const Result<std::vector<std::byte>> read = Read(file, 1000, 10'000);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value(), BytesOf("a", "version 2", 1000, 4000));
  EXPECT_EQ(file.attributes().version, "version 2");
  EXPECT_EQ(before.version, "v1");  // Who has looked at it may go on looking.
}

TEST_F(OpenFileTest, AChangeAfterTheFirstByteIsSurfaced) {
  OpenFile file = Open("a");
  ExpectRead(file, 0, 10);
  pool.store.Put("a", "version 2", kSize);
  for (FakeWorker* worker : pool.workers) worker->Replace("a", "version 2");
  const Result<std::vector<std::byte>> read = Read(file, 10 * kFakeBlockBytes, 10);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::kChanged);
  EXPECT_EQ(file.attributes().version, "v1");
}

TEST_F(OpenFileTest, AReadAloneFetchesNoMore) {
  OpenFile file = Open("a");
  std::vector<std::byte> bytes(5000);
  ASSERT_TRUE(file.ReadAlone(0, bytes, Clock::now() + 10s, {}).ok());
  EXPECT_EQ(bytes, BytesOf("a", "v1", 0, bytes.size()));
  ASSERT_EQ(pool.calls(), 1u);
  for (const FakeWorker* worker : pool.workers) {
    for (const BlockCall& call : worker->calls()) EXPECT_EQ(call.block.length, bytes.size());
  }
}

// Who asked for this version gets no other, even before the first byte.
TEST(OpenFile, OneThatIsBoundAtOnceNeverMoves) {
  FakePool pool(1);
  const auto version = pool.Put("a", "v1", kSize);
  OpenFile file(pool.backends, pool.lookups, Place{version->store, "a"}, version->attributes,
                OpenFile::Binding::kOpened);
  pool.store.Put("a", "version 2", kSize);
  for (FakeWorker* worker : pool.workers) worker->Replace("a", "version 2");
  std::vector<std::byte> bytes(100);
  const auto read = file.Read(0, bytes, Clock::now() + 10s, {});
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::kChanged);
}

// Many threads read while the file is replaced: all that succeed see the same version.
TEST(OpenFile, ManyThreadsSeeOneVersion) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    FakePool pool(2);
    for (FakeWorker* worker : pool.workers) worker->StartPump(seed);
    const auto version = pool.Put("a", "v1", kSize);
    OpenFile file(pool.backends, pool.lookups, Place{version->store, "a"}, version->attributes,
                  OpenFile::Binding::kFirstBytes);
    std::atomic<int> of_version[2] = {0, 0};
    TaskGroup readers;
    std::atomic<int> running = 4;
    for (std::uint64_t reader = 0; reader < 4; ++reader) {
      readers.Run("reader", [&, reader](std::stop_token) {
        Rng rng(seed * 10 + reader);
        for (int i = 0; i < 10; ++i) {
          std::vector<std::byte> bytes(1 + rng.Below(300'000));
          const std::uint64_t offset = rng.Below(10 * kFakeBlockBytes);
          const auto read = file.Read(offset, bytes, Clock::now() + 10s, {});
          if (!read.ok()) {
            EXPECT_EQ(read.error().code(), Code::kChanged);
            continue;
          }
          bytes.resize(read.value());
          if (bytes == BytesOf("a", "v1", offset, bytes.size())) {
            ++of_version[0];
          } else if (bytes == BytesOf("a", "version 2", offset, bytes.size())) {
            ++of_version[1];
          } else {
            ADD_FAILURE() << "a mix at " << offset;
          }
        }
        --running;
      });
    }
    pool.store.Put("a", "version 2", kSize);
    for (FakeWorker* worker : pool.workers) worker->Replace("a", "version 2");
    readers.StopAndJoin();
    EXPECT_EQ(running, 0);
    EXPECT_TRUE(of_version[0] == 0 || of_version[1] == 0)
        << of_version[0] << " and " << of_version[1];
  }
}

TEST(OpenFile, AStopIsObeyed) {
  FakePool pool(1);
  pool.workers[0]->Play(0, 1000, Trick::kStop);
  const auto version = pool.Put("a", "v1", kSize);
  OpenFile file(pool.backends, pool.lookups, Place{version->store, "a"}, version->attributes,
                OpenFile::Binding::kFirstBytes);
  std::stop_source stop;
  TaskGroup other;
  other.Run("stopper", [&](std::stop_token) {
    while (pool.calls() == 0) continue;
    stop.request_stop();
  });
  std::vector<std::byte> bytes(3 * kFakeBlockBytes);
  const auto read = file.Read(0, bytes, Clock::now() + 100s, stop.get_token());
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace forebay
