#include "mount/refresh_watch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;

class RefreshWatchTest : public ::testing::Test {
 protected:
  RefreshWatch::Care Care() {
    return {.ask = [this](Deadline, const std::stop_token&) -> Result<std::uint64_t> {
              ++asked_;
              const int now = answer_;
              if (now == kNobody) return Error(Code::kUnavailable, "nobody answers");
              if (now == kGone) return Error(Code::kNotFound, "gone");
              return static_cast<std::uint64_t>(now);
            },
            .is_idle = [this] { return idle_.load(); },
            .forget = [this] { ++forgotten_; }};
  }
  // Until it was asked twice more: what was asked before has had its consequences.
  void Await() {
    const int before = asked_;
    while (asked_ < before + 2) std::this_thread::yield();
  }

  // Longer than some steps.
  static void AwaitPause() {
    const Deadline until = Clock::now() + 20ms;
    while (Clock::now() < until) std::this_thread::yield();
  }

  static constexpr int kNobody = -1;
  static constexpr int kGone = -2;
  std::atomic<int> answer_ = 7;
  std::atomic<bool> idle_ = false;
  std::atomic<int> asked_ = 0;
  std::atomic<int> forgotten_ = 0;
};

TEST_F(RefreshWatchTest, ForgetsOnceForEachChange) {
  const RefreshWatch watch(Care(), 1ms);
  Await();
  EXPECT_EQ(forgotten_, 1);  // The first answer.
  answer_ = 8;
  Await();
  EXPECT_EQ(forgotten_, 2);
  answer_ = kGone;
  Await();
  EXPECT_EQ(forgotten_, 3);
  answer_ = 9;
  Await();
  EXPECT_EQ(forgotten_, 4);
}

TEST_F(RefreshWatchTest, NoAnswerIsNoChange) {
  const RefreshWatch watch(Care(), 1ms);
  Await();
  EXPECT_EQ(forgotten_, 1);
  answer_ = kNobody;
  Await();
  answer_ = 7;
  Await();
  EXPECT_EQ(forgotten_, 1);
}

TEST_F(RefreshWatchTest, WhatWasKnownBeforeTheFirstAnswerIsForgotten) {
  answer_ = kNobody;
  const RefreshWatch watch(Care(), 1ms);
  Await();
  EXPECT_EQ(forgotten_, 0);
  answer_ = 7;
  Await();
  EXPECT_EQ(forgotten_, 1);
}

TEST_F(RefreshWatchTest, NobodyIsAskedWhileTheKernelKnowsNothing) {
  idle_ = true;
  {
    const RefreshWatch watch(Care(), 1ms);
    while (asked_ < 1) std::this_thread::yield();
    AwaitPause();
    EXPECT_EQ(asked_, 1);  // Only for what it is to begin with.
  }
  EXPECT_EQ(forgotten_, 0);
}

}  // namespace
}  // namespace forebay
