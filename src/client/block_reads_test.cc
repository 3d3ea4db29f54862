#include "client/block_reads.h"

#include <gtest/gtest.h>

#include "client/fake_pool.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr std::uint64_t kSize = 3 * kFakeBlockBytes + 1000;

// Reads the whole file block by block, and expects the right bytes.
Status ReadWhole(FakePool& pool, const std::shared_ptr<const FileVersion>& file,
                 std::chrono::milliseconds timeout = 10s) {
  std::vector<std::byte> bytes(file->attributes.size);
  BlockReads reads(pool.backends);
  for (std::uint64_t at = 0; at < bytes.size(); at += kFakeBlockBytes) {
    const std::size_t length = std::min<std::size_t>(kFakeBlockBytes, bytes.size() - at);
    reads.Start(BlockWant{file, at, std::span(bytes).subspan(at, length), Clock::now() + timeout});
  }
  while (reads.under_way() > 0) {
    const auto ended = reads.Next(Clock::now() + 20s, {});
    if (!ended) return Error(Code::kInternal, "nothing ended");
    if (!ended->status.ok()) return ended->status;
  }
  while (const auto ended = reads.Next(Deadline::min(), {})) {
    if (!ended->status.ok()) return ended->status;
  }
  EXPECT_EQ(bytes, BytesOf(file->path, file->attributes.version, 0, bytes.size()));
  return {};
}

// Every single fault, at every place it can happen: the caller must not notice.
TEST(BlockReads, AnyOneFaultIsInvisible) {
  for (const Code code : {Code::kNotHere, Code::kUnavailable, Code::kOverloaded, Code::kCorrupt,
                          Code::kStale, Code::kCancelled, Code::kInternal}) {
    for (const Trick trick : {Trick::kFail, Trick::kBreak, Trick::kShort, Trick::kElsewhere}) {
      for (std::uint16_t holders = 1; holders <= 3; ++holders) {
        for (int nth = 0; nth < 4; ++nth) {
          FakePool pool(3);
          for (FakeWorker* worker : pool.workers) {
            worker->SetLoad({.queue_depth = 0, .holders = holders});
            worker->Play(nth, nth + 1, trick, code);
          }
          const Status read = ReadWhole(pool, pool.Put("a", "v1", kSize));
          ASSERT_TRUE(read.ok()) << CodeName(code) << " by trick " << static_cast<int>(trick)
                                 << " at call " << nth << ": " << read.error().message();
        }
      }
    }
  }
}

TEST(BlockReads, AllWorkersDeadIsTheUpstreamsTurn) {
  FakePool pool(3);
  for (FakeWorker* worker : pool.workers) worker->Play(0, 1000, Trick::kFail);
  EXPECT_TRUE(ReadWhole(pool, pool.Put("a", "v1", kSize)).ok());
  EXPECT_EQ(pool.store.reads(), 4);
  EXPECT_EQ(pool.backends.upstream_bytes, kSize);
  EXPECT_EQ(pool.backends.peer_bytes, 0u);
}

TEST(BlockReads, TheUpstreamIsLeftAloneWhileWorkersServe) {
  FakePool pool(3);
  EXPECT_TRUE(ReadWhole(pool, pool.Put("a", "v1", kSize)).ok());
  EXPECT_EQ(pool.store.reads(), 0);
  EXPECT_EQ(pool.backends.peer_bytes, kSize);
}

TEST(BlockReads, WithoutWorkersAllComesFromTheUpstream) {
  FakePool pool(0);
  EXPECT_TRUE(ReadWhole(pool, pool.Put("a", "v1", kSize)).ok());
  EXPECT_EQ(pool.store.reads(), 4);
}

TEST(BlockReads, WhatIsTrueOfTheFileIsSurfaced) {
  for (const Code code : {Code::kNotFound, Code::kInvalidArgument, Code::kChanged, Code::kDenied}) {
    FakePool pool(3);
    for (FakeWorker* worker : pool.workers) worker->Play(0, 1000, Trick::kFail, code);
    const Status read = ReadWhole(pool, pool.Put("a", "v1", kSize));
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code(), code);
    EXPECT_EQ(pool.store.reads(), 0) << CodeName(code);
  }
}

// All holders are full: one of them is insisted upon, and the upstream is spared.
TEST(BlockReads, AFullPoolIsInsistedUpon) {
  FakePool pool(2);
  for (FakeWorker* worker : pool.workers) {
    worker->SetLoad({.queue_depth = 20, .holders = 2});
    worker->Play(0, 1, Trick::kFail, Code::kOverloaded);
  }
  const auto file = pool.Put("a", "v1", kFakeBlockBytes);
  EXPECT_TRUE(ReadWhole(pool, file).ok());
  EXPECT_EQ(pool.store.reads(), 0);
  int insisted = 0;
  for (const FakeWorker* worker : pool.workers) {
    for (const BlockCall& call : worker->calls()) insisted += call.insist ? 1 : 0;
    ASSERT_FALSE(worker->calls().empty());
    EXPECT_FALSE(worker->calls().front().insist);
  }
  EXPECT_EQ(insisted, 1);
}

TEST(BlockReads, ACorruptReplyIsAskedForAgainWithRecheck) {
  FakePool pool(1);
  pool.workers[0]->Play(0, 1, Trick::kFail, Code::kCorrupt);
  EXPECT_TRUE(ReadWhole(pool, pool.Put("a", "v1", kFakeBlockBytes)).ok());
  const std::vector<BlockCall> calls = pool.workers[0]->calls();
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_FALSE(calls[0].recheck);
  EXPECT_TRUE(calls[1].recheck);
  EXPECT_EQ(pool.backends.checksum_failures, 1u);
  EXPECT_EQ(pool.store.reads(), 0);
}

TEST(BlockReads, AWorkerThatStaysCorruptIsPassedBy) {
  FakePool pool(1);
  pool.workers[0]->Play(0, 1000, Trick::kFail, Code::kCorrupt);
  EXPECT_TRUE(ReadWhole(pool, pool.Put("a", "v1", kFakeBlockBytes)).ok());
  EXPECT_EQ(pool.workers[0]->calls().size(), 2u);
  EXPECT_EQ(pool.store.reads(), 1);
}

TEST(BlockReads, AStoppedWorkerIsPingedAndGivenUp) {
  ReadLimits limits = FakePool::FakeLimits();
  limits.stall_patience = 30ms;
  FakePool pool(1, limits);
  pool.workers[0]->Play(0, 1000, Trick::kStop);
  EXPECT_TRUE(ReadWhole(pool, pool.Put("a", "v1", kFakeBlockBytes)).ok());
  EXPECT_EQ(pool.workers[0]->pings(), 1);
  EXPECT_EQ(pool.store.reads(), 1);
}

// It lives: its queue is long, or its store slow. So it gets half of the time there is.
TEST(BlockReads, ASlowWorkerIsGivenUpLate) {
  ReadLimits limits = FakePool::FakeLimits();
  limits.stall_patience = 10ms;
  FakePool pool(1, limits);
  pool.workers[0]->Play(0, 1000, Trick::kSlow);
  const Clock::time_point start = Clock::now();
  EXPECT_TRUE(ReadWhole(pool, pool.Put("a", "v1", kFakeBlockBytes), 400ms).ok());
  EXPECT_GE(Clock::now() - start, 200ms);
  EXPECT_GT(pool.workers[0]->pings(), 1);
}

// All workers stood still for a moment: what then waits for its turn at the store returns to them.
TEST(BlockReads, WaitingForTheUpstreamEndsWhenAWorkerLivesAgain) {
  constexpr std::size_t kBlocks = 24;
  ReadLimits limits = FakePool::FakeLimits();
  limits.stall_patience = 20ms;
  FakePool pool(1, limits);
  FakeWorker& worker = *pool.workers[0];
  worker.Play(0, kBlocks, Trick::kStop);
  pool.store.Hang();
  const auto file = pool.Put("a", "v1", kBlocks * kFakeBlockBytes);
  std::vector<std::byte> bytes(file->attributes.size);
  BlockReads reads(pool.backends);
  for (std::size_t i = 0; i < kBlocks; ++i) {
    reads.Start(BlockWant{file, i * kFakeBlockBytes,
                          std::span(bytes).subspan(i * kFakeBlockBytes, kFakeBlockBytes),
                          Clock::now() + 60s});
  }
  const Deadline end = Clock::now() + 50s;
  while (pool.store.reads() == 0 && !Passed(end)) (void)reads.Next(Clock::now() + 5ms, {});
  worker.Wake();
  std::size_t ended = 0;
  // At most as many as read from it at once stay with the store.
  while (ended < kBlocks - 16 && !Passed(end)) {
    if (const auto read = reads.Next(Clock::now() + 5ms, {})) {
      EXPECT_TRUE(read->status.ok());
      ++ended;
    }
  }
  EXPECT_GE(ended, kBlocks - 16);
  EXPECT_GE(pool.backends.peer_bytes, ended * kFakeBlockBytes);
}

TEST(BlockReads, NoAnswerFromAnywhereEndsAtTheDeadline) {
  FakePool pool(0);
  pool.store.Hang();
  const Status read = ReadWhole(pool, pool.Put("a", "v1", kFakeBlockBytes), 50ms);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::kDeadlineExceeded);
}

// ASan sees a reply that writes after the reads were let go of.
TEST(BlockReads, NothingWritesAfterCancelling) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    FakePool pool(3);
    for (FakeWorker* worker : pool.workers) worker->StartPump(seed);
    const auto file = pool.Put("a", "v1", kSize);
    auto buffer = std::make_unique<std::byte[]>(kFakeBlockBytes);
    auto other = std::make_unique<std::byte[]>(kFakeBlockBytes);
    const Deadline deadline = Clock::now() + 10s;
    BlockReads reads(pool.backends);
    const BlockReads::Id first =
        reads.Start(BlockWant{file, 0, {buffer.get(), kFakeBlockBytes}, deadline});
    reads.Start(BlockWant{file, kFakeBlockBytes, {other.get(), kFakeBlockBytes}, deadline});
    reads.Cancel(first);
    buffer.reset();
    const auto ended = reads.Next(deadline, {});
    ASSERT_TRUE(ended && ended->status.ok());
    EXPECT_NE(ended->id, first);
    EXPECT_FALSE(reads.Next(Deadline::min(), {}));
  }
}

TEST(BlockReads, AnUpstreamReadIsCancelledWithin100Ms) {
  FakePool pool(0);
  pool.store.Hang();
  const auto file = pool.Put("a", "v1", kFakeBlockBytes);
  std::vector<std::byte> buffer(kFakeBlockBytes);
  const Clock::time_point start = Clock::now();
  {
    BlockReads reads(pool.backends);
    reads.Start(BlockWant{file, 0, buffer, Clock::now() + 100s});
    std::stop_source stop;
    stop.request_stop();
    EXPECT_FALSE(reads.Next(Deadline::max(), stop.get_token()));
  }
  EXPECT_LT(Clock::now() - start, 100ms);
}

// Every alignment of a part of a block: only the wanted bytes change, to the right ones.
TEST(BlockReads, PartsOfGranulesComeWhole) {
  FakePool pool(2);
  const auto file = pool.Put("a", "v1", kSize);
  constexpr std::uint64_t kPlaces[] = {0, 1, 65'535, 65'536, 65'537, 100'000, 131'071};
  for (const std::uint64_t begin : kPlaces) {
    for (const std::uint64_t end : kPlaces) {
      if (begin >= end) continue;
      std::vector<std::byte> bytes(end - begin + 2, std::byte{7});
      BlockReads reads(pool.backends);
      reads.Start(BlockWant{file, kFakeBlockBytes + begin, std::span(bytes).subspan(1, end - begin),
                            Clock::now() + 10s});
      const auto ended = reads.Next(Clock::now() + 10s, {});
      ASSERT_TRUE(ended && ended->status.ok());
      EXPECT_EQ(bytes.front(), std::byte{7});
      EXPECT_EQ(bytes.back(), std::byte{7});
      bytes.pop_back();
      bytes.erase(bytes.begin());
      EXPECT_EQ(bytes, BytesOf("a", "v1", kFakeBlockBytes + begin, end - begin));
    }
  }
}

}  // namespace
}  // namespace forebay
