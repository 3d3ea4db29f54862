#include "client/fill.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "client/fake_pool.h"
#include "cluster/group_json.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr std::uint64_t kSize = 30 * kFakeBlockBytes + 17;

struct FillTest : testing::Test {
  FillTest() {
    pool.Put("d/0", "v1", kSize);
    pool.Put("d/1", "v1", 0);
    requests = {FileToRead{"s3://b/d/0", {}}, FileToRead{"s3://b/d/1", {}}};
  }
  FillReport Fill(PoolFillOptions options = {}) {
    options.progress = [this](std::uint64_t done) { last_progress = done; };
    Result<FillReport> report = FillRun(pool.backends, pool.lookups, options).Run(requests, {});
    CHECK(report.ok());
    return std::move(report).value();
  }

  FakePool pool{3};
  std::vector<FileToRead> requests;
  std::uint64_t last_progress = 0;
};

TEST_F(FillTest, EveryBlockIsAskedOfItsHomeOnce) {
  for (FakeWorker* worker : pool.workers) worker->StartPump(1);
  const FillReport filled = Fill();
  EXPECT_TRUE(filled.failures.empty());
  EXPECT_EQ(filled.bytes, kSize);
  EXPECT_EQ(last_progress, kSize);
  const auto file = pool.Put("d/0", "v1", kSize);
  std::size_t calls = 0;
  for (std::uint32_t number = 0; number < 3; ++number) {
    for (const BlockCall& call : pool.workers[number]->calls()) {
      EXPECT_TRUE(call.fill_only);
      EXPECT_EQ(call.block.block_bytes, kFakeBlockBytes);
      const BlockKey key{file->key, call.block.index};
      EXPECT_EQ(pool.backends.workers.FirstHolders(key, 1).front()->number, number);
      ++calls;
    }
    EXPECT_LE(pool.workers[number]->most_outstanding_bytes(), 4 * kFakeBlockBytes);
  }
  EXPECT_EQ(calls, 31u);
}

TEST_F(FillTest, ReplicasAreAskedForOnceTheHomeHoldsTheBlock) {
  const FillReport filled = Fill({.replicas = 2, .progress = {}});
  EXPECT_TRUE(filled.failures.empty());
  EXPECT_EQ(filled.bytes, kSize);
  std::map<std::uint32_t, std::set<std::uint32_t>> askers;  // By block.
  for (std::uint32_t number = 0; number < 3; ++number) {
    for (const BlockCall& call : pool.workers[number]->calls()) {
      EXPECT_TRUE(askers[call.block.index].insert(number).second);
    }
  }
  const auto file = pool.Put("d/0", "v1", kSize);
  for (std::uint32_t block = 0; block < 31; ++block) {
    std::set<std::uint32_t> holders;
    for (const WorkerRef& worker :
         pool.backends.workers.FirstHolders(BlockKey{file->key, block}, 2)) {
      holders.insert(worker->number);
    }
    EXPECT_EQ(askers[block], holders) << "block " << block;
  }
}

TEST_F(FillTest, MoreReplicasThanWorkersAreNamed) {
  const FillReport filled = Fill({.replicas = 4, .progress = {}});
  ASSERT_EQ(filled.failures.size(), 1u);
  EXPECT_EQ(filled.failures[0].file, 0u);
  EXPECT_EQ(filled.failures[0].blocks.size(), 31u);
  EXPECT_NE(filled.failures[0].error.message().find("only 3 workers"), std::string::npos);
}

TEST_F(FillTest, AFullHomeIsAskedAgain) {
  for (FakeWorker* worker : pool.workers) worker->Play(2, 5, Trick::kFail, Code::kOverloaded);
  const FillReport filled = Fill();
  EXPECT_TRUE(filled.failures.empty());
  EXPECT_EQ(filled.bytes, kSize);
}

TEST_F(FillTest, AHomeThatCannotIsNamedAndTheRestGoesOn) {
  pool.workers[1]->Play(0, 1000, Trick::kFail, Code::kUnavailable);
  const FillReport filled = Fill();
  ASSERT_EQ(filled.failures.size(), 1u);
  const FillReport::Failure& failure = filled.failures[0];
  EXPECT_EQ(failure.file, 0u);
  EXPECT_EQ(failure.error.code(), Code::kUnavailable);
  EXPECT_NE(failure.error.message().find("worker w-1"), std::string::npos)
      << failure.error.message();
  const auto file = pool.Put("d/0", "v1", kSize);
  std::uint64_t missing = 0;
  for (const std::uint32_t block : failure.blocks) {
    EXPECT_EQ(pool.backends.workers.FirstHolders(BlockKey{file->key, block}, 1).front()->name,
              "w-1");
    missing += std::min<std::uint64_t>(kFakeBlockBytes, kSize - block * kFakeBlockBytes);
  }
  EXPECT_GT(missing, 0u);
  EXPECT_EQ(filled.bytes + missing, kSize);
}

TEST_F(FillTest, AFileThatWasReplacedIsGivenUpAtOnce) {
  for (FakeWorker* worker : pool.workers) worker->Replace("d/0", "v2");
  const FillReport filled = Fill();
  ASSERT_EQ(filled.failures.size(), 1u);
  EXPECT_EQ(filled.failures[0].error.code(), Code::kChanged);
  EXPECT_EQ(filled.failures[0].blocks.size(), 31u);
  EXPECT_LE(pool.calls(), 3 * FillRun::kPerWorkerMax);
}

TEST_F(FillTest, ASilentHomeIsNamedAtTheDeadline) {
  pool.workers[1]->Play(0, 1000, Trick::kStop);
  const FillReport filled = Fill({.block_timeout = 50ms, .progress = {}});
  ASSERT_EQ(filled.failures.size(), 1u);
  EXPECT_EQ(filled.failures[0].error.code(), Code::kDeadlineExceeded);
  EXPECT_NE(filled.failures[0].error.message().find("worker w-1"), std::string::npos);
}

// By the fill's own clock: 4 of 31 blocks a second would take 8 s.
TEST_F(FillTest, TheThrottleIsObeyedOnlyForWhatWasNotThere) {
  const Clock::time_point started = Clock::now();
  EXPECT_EQ(Fill({.bytes_per_second = 4 * kFakeBlockBytes, .progress = {}}).bytes, kSize);
  EXPECT_LT(Clock::now() - started, 2s);  // The fake workers hold everything.
  for (FakeWorker* worker : pool.workers) worker->SetFilling();
  const Clock::time_point again = Clock::now();
  EXPECT_EQ(Fill({.bytes_per_second = 100 * kFakeBlockBytes, .progress = {}}).bytes, kSize);
  EXPECT_GE(Clock::now() - again, 290ms);
}

// Its blocks go to whoever acts as home by the newer map; none is asked for in vain.
TEST_F(FillTest, ANewerMapInTheMiddleIsFollowed) {
  const std::string newer = ToJson(FakePool::FakeMap(2, FakePool::Names(3), "w-1"));
  for (FakeWorker* worker : pool.workers) worker->SetEpoch(2, newer, true);
  pool.workers[1]->Play(0, 1000, Trick::kFail, Code::kUnavailable);
  const FillReport filled = Fill();
  EXPECT_TRUE(filled.failures.empty());
  EXPECT_EQ(filled.bytes, kSize);
  EXPECT_EQ(pool.backends.workers.epoch(), 2u);
}

TEST(Fill, WithoutWorkersEveryBlockIsNamed) {
  FakePool pool(0);
  pool.Put("a", "v1", kFakeBlockBytes);
  const PoolFillOptions options;
  const std::vector<FileToRead> files = {{"s3://b/a", {}}};
  const Result<FillReport> filled = FillRun(pool.backends, pool.lookups, options).Run(files, {});
  ASSERT_TRUE(filled.ok());
  ASSERT_EQ(filled.value().failures.size(), 1u);
  EXPECT_NE(filled.value().failures[0].error.message().find("no worker"), std::string::npos);
}

}  // namespace
}  // namespace forebay
