#include "client/upstream_reads.h"

#include <gtest/gtest.h>

#include <deque>

#include "client/fake_pool.h"
#include "client/mailbox.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

constexpr std::size_t kLength = 1000;

struct UpstreamReadsTest : testing::Test {
  UpstreamRead Request(Deadline deadline = Clock::now() + 10s) {
    buffers.emplace_back(kLength);
    return UpstreamRead{.file = file,
                        .offset = 0,
                        .destination = buffers.back(),
                        .deadline = deadline,
                        .done = [this](Status status) { done.Post(std::move(status)); }};
  }
  std::vector<Status> Take(std::size_t count) {
    std::vector<Status> all;
    while (all.size() < count) {
      for (Status& status : done.Take(Clock::now() + 10s, {})) all.push_back(std::move(status));
    }
    return all;
  }

  FakePool pool{0};
  std::shared_ptr<const FileVersion> file = pool.Put("a", "v1", kLength);
  std::deque<std::vector<std::byte>> buffers;
  Mailbox<Status> done;
};

TEST_F(UpstreamReadsTest, AtMostTheLimitRunsAtOnce) {
  UpstreamReads reads(AimdOptions{.start = 2, .cap = 3});
  for (int i = 0; i < 100; ++i) reads.Start(Request());
  for (const Status& status : Take(100)) EXPECT_TRUE(status.ok());
  EXPECT_LE(pool.store.most_at_once(), 3);
  for (const auto& buffer : buffers) EXPECT_EQ(buffer, BytesOf("a", "v1", 0, kLength));
}

// A store that throttles gets fewer requests; all of them still end.
TEST_F(UpstreamReadsTest, AThrottlingStoreIsSpared) {
  pool.store.FailReads(0, 20, Code::kUnavailable);
  UpstreamReads reads(AimdOptions{.start = 8, .cap = 8});
  for (int i = 0; i < 60; ++i) reads.Start(Request());
  int failed = 0;
  for (const Status& status : Take(60)) failed += status.ok() ? 0 : 1;
  EXPECT_EQ(failed, 20);
}

TEST_F(UpstreamReadsTest, AWaitingReadCanBeCancelled) {
  pool.store.Hang();
  UpstreamReads reads(AimdOptions{.start = 1, .cap = 1});
  const UpstreamReads::JobId running = reads.Start(Request());
  const UpstreamReads::JobId waiting = reads.Start(Request());
  reads.Cancel(waiting);
  reads.Cancel(running);
  reads.Cancel(running);  // It is long gone.
  EXPECT_TRUE(done.Take(Deadline::min(), {}).empty());
}

TEST_F(UpstreamReadsTest, NoTurnBeforeTheDeadlineIsAnError) {
  UpstreamReads reads(AimdOptions{.start = 1, .cap = 1});
  reads.Start(Request(Clock::now()));
  const std::vector<Status> all = Take(1);
  ASSERT_FALSE(all.front().ok());
  EXPECT_EQ(all.front().error().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(pool.store.reads(), 0);
}

}  // namespace
}  // namespace forebay
