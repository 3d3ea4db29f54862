#include "client/pool_questions.h"

#include <gtest/gtest.h>

#include "client/fake_pool.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

struct PoolQuestionsTest : testing::Test {
  PoolQuestionsTest() {
    files = {pool.Put("a", "v1", 9 * kFakeBlockBytes + 1), pool.Put("empty", "v1", 0),
             pool.Put("b", "v1", 1)};
  }
  PoolCensus Count(std::chrono::milliseconds timeout = 10s, bool verify = false) {
    return PoolQuestions(pool.backends.workers)
        .Count(files, verify, Clock::now() + timeout, {})
        .value();
  }

  FakePool pool{3};
  std::vector<std::shared_ptr<const FileVersion>> files;
};

using Counts = std::vector<std::vector<std::uint8_t>>;

TEST_F(PoolQuestionsTest, ABlockCountsForEachWhoHoldsIt) {
  pool.workers[0]->Hold(files[0]->key, {0b1000'0001, 0b01});
  pool.workers[1]->Hold(files[0]->key, {0b0000'0001, 0b10});
  pool.workers[2]->Hold(files[2]->key, {1});
  const PoolCensus census = Count();
  EXPECT_EQ(census.holders, (Counts{{2, 0, 0, 0, 0, 0, 0, 1, 1, 1}, {}, {1}}));
  EXPECT_TRUE(census.silent.empty());
  EXPECT_FALSE(pool.workers[0]->verified());
}

TEST_F(PoolQuestionsTest, WhoDoesNotAnswerHoldsNothing) {
  for (FakeWorker* worker : pool.workers) worker->Hold(files[2]->key, {1});
  pool.workers[1]->Stop();
  const PoolCensus census = Count(50ms, true);
  EXPECT_EQ(census.holders[2], (std::vector<std::uint8_t>{2}));
  EXPECT_EQ(census.silent, (std::vector<std::string>{"w-1"}));
  EXPECT_TRUE(pool.workers[0]->verified());
}

TEST_F(PoolQuestionsTest, TheMaskedAreNotAsked) {
  for (FakeWorker* worker : pool.workers) worker->Hold(files[2]->key, {1});
  ASSERT_TRUE(pool.backends.workers.Adopt(FakePool::FakeMap(2, FakePool::Names(3), "w-2")).ok());
  EXPECT_EQ(Count().holders[2], (std::vector<std::uint8_t>{2}));
}

// More files than one frame takes.
TEST_F(PoolQuestionsTest, ManyFilesAreAskedForInBatches) {
  const auto last = files[2];
  files.assign(kHaveFilesMax, files[1]);
  files.push_back(last);
  pool.workers[0]->Hold(last->key, {1});
  const PoolCensus census = Count();
  ASSERT_EQ(census.holders.size(), kHaveFilesMax + 1);
  EXPECT_EQ(census.holders.back(), (std::vector<std::uint8_t>{1}));
}

TEST_F(PoolQuestionsTest, AStopEndsIt) {
  std::stop_source stop;
  stop.request_stop();
  const Result<PoolCensus> census = PoolQuestions(pool.backends.workers)
                                        .Count(files, false, Clock::now() + 10s, stop.get_token());
  ASSERT_FALSE(census.ok());
  EXPECT_EQ(census.error().code(), Code::kCancelled);
}

TEST_F(PoolQuestionsTest, AllWorkersForgetAndAreSummedUp) {
  const std::vector<std::string> paths = {"a", "b"};
  const DropReport report = PoolQuestions(pool.backends.workers)
                                .Forget(files[0]->store, paths, Clock::now() + 10s, {})
                                .value();
  EXPECT_EQ(report.bytes, 300u);
  for (const FakeWorker* worker : pool.workers) {
    ASSERT_EQ(worker->dropped().size(), 1u);
    EXPECT_EQ(worker->dropped()[0].dataset, files[0]->key.dataset);
    ASSERT_EQ(worker->dropped()[0].paths.size(), 2u);
    EXPECT_EQ(worker->dropped()[0].paths[1], DigestOf("b"));
  }
}

TEST_F(PoolQuestionsTest, MetricsComeByName) {
  const std::vector<WorkerText> texts =
      PoolQuestions(pool.backends.workers).Metrics(Clock::now() + 10s, {}).value();
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_EQ(texts[0].worker, "w-0");
  EXPECT_EQ(texts[2].text, "up 1\n");
}

}  // namespace
}  // namespace forebay
