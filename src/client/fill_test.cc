#include "client/fill.h"

#include <gtest/gtest.h>

#include "client/fake_pool.h"

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
  Result<std::uint64_t> Fill(std::chrono::milliseconds timeout = 10s) {
    return FillRun(pool.backends, pool.lookups, timeout)
        .Run(requests, [this](std::uint64_t done) { last_progress = done; }, {});
  }

  FakePool pool{3};
  std::vector<FileToRead> requests;
  std::uint64_t last_progress = 0;
};

TEST_F(FillTest, EveryBlockIsAskedOfItsHomeOnce) {
  for (FakeWorker* worker : pool.workers) worker->StartPump(1);
  const Result<std::uint64_t> filled = Fill();
  ASSERT_TRUE(filled.ok()) << filled.error().message();
  EXPECT_EQ(filled.value(), kSize);
  EXPECT_EQ(last_progress, kSize);
  const auto file = pool.Put("d/0", "v1", kSize);
  std::size_t calls = 0;
  for (MemberIndex member = 0; member < 3; ++member) {
    for (const BlockCall& call : pool.workers[member]->calls()) {
      EXPECT_TRUE(call.fill_only);
      EXPECT_EQ(pool.backends.workers.Home(BlockKey{file->key, call.block.index}), member);
      ++calls;
    }
    EXPECT_LE(pool.workers[member]->most_outstanding_bytes(), 4 * kFakeBlockBytes);
  }
  EXPECT_EQ(calls, 31u);
}

TEST_F(FillTest, AFullHomeIsAskedAgain) {
  for (FakeWorker* worker : pool.workers) worker->Play(2, 5, Trick::kFail, Code::kOverloaded);
  const Result<std::uint64_t> filled = Fill();
  ASSERT_TRUE(filled.ok()) << filled.error().message();
  EXPECT_EQ(filled.value(), kSize);
}

TEST_F(FillTest, AHomeThatCannotIsNamed) {
  pool.workers[1]->Play(0, 1000, Trick::kFail, Code::kUnavailable);
  const Result<std::uint64_t> filled = Fill();
  ASSERT_FALSE(filled.ok());
  EXPECT_EQ(filled.error().code(), Code::kUnavailable);
  EXPECT_NE(filled.error().message().find("worker w-1"), std::string::npos)
      << filled.error().message();
}

TEST_F(FillTest, ASilentHomeIsNamedAtTheDeadline) {
  pool.workers[1]->Play(0, 1000, Trick::kStop);
  const Result<std::uint64_t> filled = Fill(50ms);
  ASSERT_FALSE(filled.ok());
  EXPECT_EQ(filled.error().code(), Code::kDeadlineExceeded);
  EXPECT_NE(filled.error().message().find("worker w-1"), std::string::npos);
}

TEST(Fill, NeedsWorkers) {
  FakePool pool(0);
  const Result<std::uint64_t> filled =
      FillRun(pool.backends, pool.lookups, 10s).Run({}, [](std::uint64_t) {}, {});
  ASSERT_FALSE(filled.ok());
  EXPECT_EQ(filled.error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace forebay
