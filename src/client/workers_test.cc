#include "client/workers.h"

#include <gtest/gtest.h>

#include <array>

#include "base/task_group.h"
#include "client/block_reads.h"
#include "client/fake_pool.h"
#include "cluster/group_json.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr std::uint64_t kBlocks = 12;
constexpr std::uint64_t kSize = kBlocks * kFakeBlockBytes;

// Reads block by block, calling `between` once half of them are on their way.
Status Read(FakePool& pool, const std::shared_ptr<const FileVersion>& file,
            const std::function<void()>& between = {}) {
  std::vector<std::byte> bytes(file->attributes.size);
  BlockReads reads(pool.backends);
  for (std::uint64_t at = 0; at < bytes.size(); at += kFakeBlockBytes) {
    if (at == bytes.size() / 2 && between) between();
    reads.Start(
        BlockWant{file, at, std::span(bytes).subspan(at, kFakeBlockBytes), Clock::now() + 10s});
  }
  for (std::uint64_t block = 0; block < kBlocks; ++block) {
    const auto ended = reads.Next(Clock::now() + 20s, {});
    if (!ended) return Error(Code::kInternal, "nothing ended");
    if (!ended->status.ok()) return ended->status;
  }
  EXPECT_EQ(bytes, BytesOf(file->path, file->attributes.version, 0, bytes.size()));
  return {};
}

std::string MapJson(std::uint64_t epoch, std::size_t members) {
  return ToJson(FakePool::FakeMap(epoch, FakePool::Names(members)));
}

TEST(Workers, AStaleAnswerBringsTheMapAndTheReadGoesOnByIt) {
  FakePool pool(3);
  for (FakeWorker* worker : pool.workers) worker->SetEpoch(2, MapJson(2, 4), true);
  ASSERT_TRUE(Read(pool, pool.Put("a", "v1", kSize)).ok());
  EXPECT_EQ(pool.backends.workers.epoch(), 2u);
  EXPECT_EQ(pool.store.reads(), 0);
  ASSERT_EQ(pool.workers.size(), 4u);    // The three kept their links.
  EXPECT_EQ(pool.calls(), 2 * kBlocks);  // Each was refused once.
  for (const FakeWorker* worker : pool.workers) EXPECT_EQ(worker->asked_epoch(), 2u);
}

TEST(Workers, WhoRefusedForTheOldMapIsAskedByTheNewer) {
  FakePool pool(1);
  pool.workers[0]->SetEpoch(2, MapJson(2, 1), true);
  ASSERT_TRUE(Read(pool, pool.Put("a", "v1", kSize)).ok());
  EXPECT_EQ(pool.store.reads(), 0);
  EXPECT_EQ(pool.calls(), 2 * kBlocks);
}

TEST(Workers, ALookupFollowsAStaleAnswerToo) {
  FakePool pool(3);
  pool.Put("d/a", "v1", 7);
  for (FakeWorker* worker : pool.workers) worker->SetEpoch(2, MapJson(2, 3), true);
  const Place place = pool.backends.stores.Find("s3://b/d/a").value();
  ASSERT_TRUE(pool.lookups.Stat(place, Clock::now() + 10s, {}).ok());
  int lookups = 0;
  for (const FakeWorker* worker : pool.workers) lookups += worker->lookups();
  EXPECT_EQ(lookups, 2);
  EXPECT_EQ(pool.backends.workers.epoch(), 2u);
}

// A worker that refuses for ever and has nothing to offer is stepped over like any other trouble.
TEST(Workers, AStaleAnswerWithoutANewerMapIsSteppedOver) {
  for (const std::string& map : {std::string("no map"), MapJson(1, 3)}) {
    FakePool pool(3);
    for (FakeWorker* worker : pool.workers) worker->SetEpoch(2, map, true);
    ASSERT_TRUE(Read(pool, pool.Put("a", "v1", kSize)).ok());
    EXPECT_EQ(pool.backends.workers.epoch(), 1u);
    EXPECT_EQ(pool.store.reads(), static_cast<int>(kBlocks));
  }
}

TEST(Workers, AnOlderMapIsIgnored) {
  FakePool pool(3);
  ASSERT_TRUE(pool.backends.workers.Adopt(FakePool::FakeMap(5, FakePool::Names(4))).ok());
  ASSERT_TRUE(pool.backends.workers.Adopt(FakePool::FakeMap(4, FakePool::Names(1))).ok());
  EXPECT_EQ(pool.backends.workers.epoch(), 5u);
  EXPECT_EQ(pool.backends.workers.Living().size(), 4u);
}

TEST(Workers, TheMaskedAreNotAsked) {
  FakePool pool(3);
  ASSERT_TRUE(pool.backends.workers.Adopt(FakePool::FakeMap(2, FakePool::Names(3), "w-1")).ok());
  ASSERT_TRUE(Read(pool, pool.Put("a", "v1", kSize)).ok());
  ASSERT_TRUE(
      pool.lookups.Stat(pool.backends.stores.Find("s3://b/a").value(), Clock::now() + 10s, {})
          .ok());
  EXPECT_TRUE(pool.workers[1]->calls().empty());
  EXPECT_EQ(pool.workers[1]->lookups(), 0);
  EXPECT_EQ(pool.store.reads(), 0);
}

TEST(Workers, ANewAddressIsAnotherWorker) {
  FakePool pool(2);
  GroupMap map = FakePool::FakeMap(2, FakePool::Names(2));
  map.members[0].address = "elsewhere";
  const WorkerRef before = pool.backends.workers.roster()->members[0];
  const WorkerRef kept = pool.backends.workers.roster()->members[1];
  ASSERT_TRUE(pool.backends.workers.Adopt(map).ok());
  const std::shared_ptr<const Roster> roster = pool.backends.workers.roster();
  EXPECT_NE(roster->members[0]->number, before->number);
  EXPECT_EQ(roster->members[1], kept);
  EXPECT_EQ(before->name, "w-0");  // Whoever reads from it still may.
}

TEST(Workers, ReadsUnderWayGoOnWithTheWorkersTheyHave) {
  FakePool pool(3);
  for (FakeWorker* worker : pool.workers) worker->StartPump(1, 1);
  const auto file = pool.Put("a", "v1", kSize);
  const Status read = Read(pool, file, [&pool] {
    const std::vector<std::string> others = {"x-0", "x-1"};
    ASSERT_TRUE(pool.backends.workers.Adopt(FakePool::FakeMap(2, others)).ok());
  });
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(pool.store.reads(), 0);
  EXPECT_EQ(pool.backends.peer_bytes, kSize);
}

// The epoch alone was told: the map is asked for in the background, once.
TEST(Workers, WordOfANewerEpochFetchesTheMap) {
  FakePool pool(1);
  const GroupAnswer answer{.map = FakePool::FakeMap(2, FakePool::Names(3)), .dataset = {}};
  pool.workers[0]->SetGroup(ToJson(answer, WithSecrets::kNo));
  pool.workers[0]->SetEpoch(2, "", false);
  FakeWorker* const worker = pool.workers[0];
  ASSERT_TRUE(Read(pool, pool.Put("a", "v1", kSize)).ok());
  const Deadline patience = Clock::now() + 10s;
  while (pool.backends.workers.epoch() < 2 && !Passed(patience)) std::this_thread::yield();
  EXPECT_EQ(pool.backends.workers.epoch(), 2u);
  EXPECT_EQ(worker->group_questions(), 1);
}

TEST(Workers, AnAddressThatIsNoneMakesItsMemberAbsent) {
  int made = 0;
  Workers workers(
      [&made](const std::string& address,
              const Workers::OnNewer&) -> Result<std::unique_ptr<WorkerLink>> {
        ++made;
        return Error(Code::kInvalidArgument, address);
      },
      1);
  const Status adopted = workers.Adopt(FakePool::FakeMap(2, {"w-0"}));
  ASSERT_FALSE(adopted.ok());
  EXPECT_EQ(adopted.error().message(), "member w-0: w-0");
  EXPECT_EQ(made, 1);
  EXPECT_EQ(workers.epoch(), 2u);
  EXPECT_TRUE(workers.Living().empty());
}

TEST(Workers, HoldersAreAsManyAsRepliesSaid) {
  FakePool pool(4);
  Workers& workers = pool.backends.workers;
  const auto file = pool.Put("a", "v1", kSize);
  const BlockKey block{file->key, 0};
  const auto tell = [&](std::uint16_t holders) {
    workers.Answered(workers.Ask(workers.Living()), file->key,
                     {.queue_depth = 0, .holders = holders});
  };
  EXPECT_EQ(workers.Holders(block, 1), workers.FirstHolders(block, 1));
  tell(3);
  EXPECT_EQ(workers.Holders(block, 1), workers.FirstHolders(block, 3));
  EXPECT_EQ(workers.Holders(block, 4).size(), 4u);
  tell(0);  // Says nothing.
  EXPECT_EQ(workers.Holders(block, 1).size(), 3u);
}

// Workers are at the newer map; half of the clients still hold the previous one.
TEST(Workers, TwentyClientsHalfWithThePreviousMapReadRightBytes) {
  constexpr std::size_t kClients = 20;
  std::array<std::unique_ptr<FakePool>, kClients> pools;
  for (std::size_t i = 0; i < kClients; ++i) {
    pools[i] = std::make_unique<FakePool>(4);
    if (i % 2 == 0) {
      ASSERT_TRUE(pools[i]->backends.workers.Adopt(FakePool::FakeMap(2, FakePool::Names(5))).ok());
    }
    for (FakeWorker* worker : pools[i]->workers) {
      worker->SetEpoch(2, MapJson(2, 5), true);
      worker->StartPump(i);
    }
  }
  std::atomic<int> right = 0;
  std::atomic<int> ended = 0;
  {
    TaskGroup clients;
    for (auto& pool : pools) {
      clients.Run("client", [&right, &ended, &pool](std::stop_token) {
        right += Read(*pool, pool->Put("a", "v1", kSize)).ok() ? 1 : 0;
        ++ended;
        ended.notify_all();
      });
    }
    for (int now = ended; now < int{kClients}; now = ended) ended.wait(now);
  }
  EXPECT_EQ(right, int{kClients});
  for (const auto& pool : pools) {
    EXPECT_EQ(pool->store.reads(), 0);
    EXPECT_EQ(pool->backends.workers.epoch(), 2u);
  }
}

}  // namespace
}  // namespace forebay
