// SharedLookups: one question for all who ask, and no answer older than the asker's bound.
#include "worker/lookups.h"

#include <gtest/gtest.h>

#include <poll.h>

namespace forebay {
namespace {

using namespace std::chrono_literals;

// Counts what it is asked, and answers only while its gate is open.
class GatedUpstream : public Upstream {
 public:
  bool ProvenWhileStreaming(const std::string&) const override { return true; }

  Result<Attributes> Stat(const std::string& path, Deadline deadline, std::stop_token) override {
    MutexLock lock(mutex_);
    ++stats_;
    changed_.NotifyAll();
    while (!open_ && !Passed(deadline)) changed_.WaitUntil(mutex_, deadline);
    if (path.ends_with("missing")) return Error(Code::kNotFound, "no such key");
    return Attributes{.size = path.size(), .version = "v" + std::to_string(stats_)};
  }
  Result<ListPage> List(const std::string& directory, const std::string&, Deadline,
                        std::stop_token) override {
    MutexLock lock(mutex_);
    ++lists_;
    ListPage page;
    for (int i = 0; i < 100; ++i) {
      page.entries.push_back({"f" + std::to_string(i), {.size = directory.size(), .version = "l"}});
    }
    return page;
  }
  Result<ReadOutcome> Read(const ReadRange&, ByteSink&, Deadline, std::stop_token) override {
    return Error(Code::kInternal, "not read here");
  }

  void SetOpen(bool open) {
    MutexLock lock(mutex_);
    open_ = open;
    changed_.NotifyAll();
  }
  bool AwaitStats(int count) {
    const Deadline deadline = Clock::now() + 10s;
    MutexLock lock(mutex_);
    while (stats_ < count && !Passed(deadline)) changed_.WaitUntil(mutex_, deadline);
    return stats_ >= count;
  }
  int stats() {
    MutexLock lock(mutex_);
    return stats_;
  }
  int lists() {
    MutexLock lock(mutex_);
    return lists_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool open_ GUARDED_BY(mutex_) = true;
  int stats_ GUARDED_BY(mutex_) = 0;
  int lists_ GUARDED_BY(mutex_) = 0;
};

class LookupsTest : public testing::Test {
 protected:
  LookupsTest() {
    auto upstream = std::make_unique<GatedUpstream>();
    upstream_ = upstream.get();
    auto store = std::make_shared<ServedStore>();
    store->upstream = std::move(upstream);
    store->dataset = "test";
    store_ = std::move(store);
    lookups_ = std::make_unique<SharedLookups>(LookupOptions{});
  }

  struct Asked {
    std::shared_ptr<Waker> waker;
    std::unique_ptr<Reply> reply;
  };
  Asked Stat(const std::string& path, std::chrono::milliseconds max_age,
             std::uint64_t refreshed = 0) {
    Asked asked{std::make_shared<Waker>(), nullptr};
    RequestContext context;
    context.waker = asked.waker;
    asked.reply = lookups_->Stat({store_, path}, context, {max_age, refreshed});
    return asked;
  }
  // The frame that the reply ends with.
  static ReplyFrame Await(Asked& asked) {
    const Deadline deadline = Clock::now() + 10s;
    while (!asked.reply->Ready()) {
      pollfd entry{asked.waker->fd(), POLLIN, 0};
      CHECK(poll(&entry, 1, MillisecondsUntil(deadline)) > 0);
      asked.waker->Clear();
    }
    return *asked.reply->Next();
  }
  static std::string VersionOf(const ReplyFrame& frame) {
    const Result<LookupReply> reply = DecodeLookupReply(frame.body);
    return reply.ok() && !reply.value().entries.empty()
               ? reply.value().entries[0].attributes.version
               : "";
  }

  std::shared_ptr<const ServedStore> store_;
  GatedUpstream* upstream_ = nullptr;
  std::unique_ptr<SharedLookups> lookups_;  // Last: its threads use the store.
};

TEST_F(LookupsTest, ManyWhoAskAtOnceAskTheStoreOnce) {
  upstream_->SetOpen(false);
  std::vector<Asked> all;
  for (int i = 0; i < 50; ++i) all.push_back(Stat("a", 60s));
  ASSERT_TRUE(upstream_->AwaitStats(1));
  upstream_->SetOpen(true);
  for (Asked& asked : all) EXPECT_EQ(VersionOf(Await(asked)), "v1");
  EXPECT_EQ(upstream_->stats(), 1);
  Asked later = Stat("a", 60s);
  EXPECT_EQ(VersionOf(Await(later)), "v1") << "kept within the bound";
  EXPECT_EQ(upstream_->stats(), 1);
}

// Bound 0: the answer must come from a check that was sent after the question.
TEST_F(LookupsTest, BoundZeroDoesNotJoinACheckThatWasSent) {
  upstream_->SetOpen(false);
  Asked first = Stat("a", 0ms);
  ASSERT_TRUE(upstream_->AwaitStats(1));  // Sent.
  Asked second = Stat("a", 0ms);
  ASSERT_TRUE(upstream_->AwaitStats(2));
  upstream_->SetOpen(true);
  Await(first);
  Await(second);
  EXPECT_EQ(upstream_->stats(), 2);
  Asked third = Stat("a", 0ms);
  Await(third);
  EXPECT_EQ(upstream_->stats(), 3) << "what is kept is older than the question";
}

// A refresh makes what was asked before it useless, however old an answer may be.
TEST_F(LookupsTest, ARefreshAsksAgainAndAPinnedNameOnlyThen) {
  const auto pinned = std::chrono::milliseconds::max();
  Asked first = Stat("a", pinned);
  EXPECT_EQ(VersionOf(Await(first)), "v1");
  Asked second = Stat("a", pinned);
  EXPECT_EQ(VersionOf(Await(second)), "v1");
  Asked refreshed = Stat("a", pinned, 1);
  EXPECT_EQ(VersionOf(Await(refreshed)), "v2");
  Asked kept = Stat("a", pinned, 1);
  EXPECT_EQ(VersionOf(Await(kept)), "v2");
  EXPECT_EQ(upstream_->stats(), 2);
}

TEST_F(LookupsTest, ErrorsReachAllAndMissingIsBelievedForAMoment) {
  Asked first = Stat("missing", 60s);
  EXPECT_EQ(Await(first).code, static_cast<std::uint16_t>(Code::kNotFound));
  Asked second = Stat("missing", 60s);
  EXPECT_EQ(Await(second).code, static_cast<std::uint16_t>(Code::kNotFound));
  EXPECT_EQ(upstream_->stats(), 1);
}

TEST_F(LookupsTest, After32NamesOfADirectoryItsListingAnswers) {
  for (int i = 0; i < 100; ++i) {
    Asked asked = Stat("dir/f" + std::to_string(i), 60s);
    EXPECT_EQ(Await(asked).type, FrameType::kStatReply);
  }
  EXPECT_EQ(upstream_->lists(), 1);
  EXPECT_LE(upstream_->stats(), 32);
}

}  // namespace
}  // namespace forebay
