// TaskGroup, BoundedQueue and CondVar: what starts, hands over and ends work.
#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <set>
#include <thread>

#include "base/bounded_queue.h"
#include "base/task_group.h"

namespace forebay {
namespace {

TEST(BoundedQueue, RefusesWhenFullOrClosedAndKeepsOrder) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_TRUE(queue.TryPush(2));
  EXPECT_FALSE(queue.TryPush(3));
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_TRUE(queue.TryPush(4));
  queue.Close();
  EXPECT_FALSE(queue.TryPush(5));
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), 4);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueue, CloseWakesEveryWaiter) {
  BoundedQueue<int> queue(1);
  std::atomic<int> ended = 0;
  TaskGroup group;
  for (int i = 0; i < 4; ++i) {
    group.Run("waiter", [&](std::stop_token) { ended += queue.Pop().has_value() ? 0 : 1; });
  }
  queue.Close();
  group.StopAndJoin();
  EXPECT_EQ(ended, 4);
}

TEST(BoundedQueue, EveryItemArrivesOnce) {
  constexpr int kItems = 1'000;
  BoundedQueue<int> queue(16);
  std::atomic<int> sum = 0;
  TaskGroup group;
  for (int i = 0; i < 3; ++i) {
    group.Run("consumer", [&](std::stop_token) {
      while (const std::optional<int> item = queue.Pop()) sum += *item;
    });
  }
  for (int i = 1; i <= kItems; ++i) {
    while (!queue.TryPush(i)) std::this_thread::yield();
  }
  queue.Close();
  group.StopAndJoin();
  EXPECT_EQ(sum, kItems * (kItems + 1) / 2);
}

// Waits, without a clock, until `token` is stopped.
void AwaitStop(const std::stop_token& token) {
  std::atomic<bool> stopped = false;
  const std::stop_callback callback(token, [&] {
    stopped = true;
    stopped.notify_all();
  });
  stopped.wait(false);
}

TEST(TaskGroup, TheScopeStopsAndJoinsWhatItStarted) {
  std::atomic<int> ended = 0;
  {
    TaskGroup group;
    for (int i = 0; i < 8; ++i) {
      group.Run("task-with-a-very-long-name", [&](std::stop_token stop) {
        AwaitStop(stop);
        ++ended;
      });
    }
    EXPECT_EQ(group.running(), 8u);
    EXPECT_FALSE(group.stop_token().stop_requested());
  }
  EXPECT_EQ(ended, 8);
}

TEST(TaskGroup, WhatATaskCapturedGoesBeforeItCountsAsDone) {
  TaskGroup group;
  auto held = std::make_shared<int>(7);
  std::weak_ptr<int> watch = held;  // Weak, because whether it went is the question.
  group.Run("holder", [held = std::move(held)](std::stop_token) { EXPECT_EQ(*held, 7); });
  while (group.running() > 0) std::this_thread::yield();
  EXPECT_TRUE(watch.expired());
  group.StopAndJoin();
  group.StopAndJoin();  // Idempotent.
}

TEST(TaskGroup, AThreadThatIsKeptTakesTheNextTask) {
  TaskGroup group(TaskGroupOptions{.kept_for = std::chrono::hours(1)});
  std::set<std::thread::id> threads;
  for (int i = 0; i < 20; ++i) {
    std::atomic<bool> ran = false;
    group.Run(i % 2 == 0 ? "even" : "odd", [&](std::stop_token) {
      threads.insert(std::this_thread::get_id());
      std::array<char, 16> name{};
      EXPECT_EQ(pthread_getname_np(pthread_self(), name.data(), name.size()), 0);
      EXPECT_STREQ(name.data(), i % 2 == 0 ? "even" : "odd");
      ran = true;
    });
    while (!ran || group.running() > 0) std::this_thread::yield();
  }
  EXPECT_EQ(threads.size(), 1u);
  // Two at once need two; and for an idle third nobody waits an hour at the end.
  group.Run("waits", AwaitStop);
  group.Run("waits", AwaitStop);
  EXPECT_EQ(group.running(), 2u);
  group.Run("idle", [](std::stop_token) {});
  while (group.running() > 2) std::this_thread::yield();
}

TEST(TaskGroup, AThreadEndsWhenItWasKeptForLongEnough) {
  TaskGroup group(TaskGroupOptions{.kept_for = std::chrono::milliseconds(1)});
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                         std::filesystem::directory_iterator());
  };
  const auto before = threads();
  for (int i = 0; i < 4; ++i) group.Run("short", [](std::stop_token) {});
  while (threads() > before) std::this_thread::yield();
  EXPECT_EQ(group.running(), 0u);
}

TEST(TaskGroup, TasksOfAllKindsOfThreadsAreRunOnce) {
  std::atomic<int> ran = 0;
  {
    TaskGroup group(TaskGroupOptions{.kept_for = std::chrono::milliseconds(1)});
    for (int i = 0; i < 2000; ++i) {
      group.Run("counts", [&](std::stop_token) { ++ran; });
      if (i % 16 == 0) std::this_thread::yield();
    }
  }
  EXPECT_EQ(ran, 2000);
}

}  // namespace
}  // namespace forebay
