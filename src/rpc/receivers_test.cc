#include "rpc/receivers.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "io/unique_fd.h"

namespace forebay {
namespace {

using namespace std::chrono_literals;

// One end of a connection; `act` is what its Receive does.
class Counted : public Receiving {
 public:
  using Act = std::function<std::optional<Deadline>(bool readable)>;

  explicit Counted(Act act) : act_(std::move(act)) {
    std::array<int, 2> fds{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()), 0);
    here_ = UniqueFd(fds[0]);
    there_ = UniqueFd(fds[1]);
  }

  std::optional<Deadline> Receive(bool readable) override {
    EXPECT_FALSE(inside_.exchange(true));  // Never two at a time.
    {
      MutexLock lock(mutex_);
      threads_.insert(std::this_thread::get_id());
    }
    const std::optional<Deadline> due = act_(readable);
    inside_ = false;
    ++calls_;
    return due;
  }

  int fd() const { return here_.get(); }
  void Close() { here_.Reset(); }
  void Take() const {
    char c = 0;
    EXPECT_EQ(recv(fd(), &c, 1, 0), 1);
  }
  void Send() const { EXPECT_EQ(send(there_.get(), "x", 1, 0), 1); }
  std::size_t threads() const {
    MutexLock lock(mutex_);
    return threads_.size();
  }
  int calls() const { return calls_; }

 private:
  const Act act_;
  UniqueFd here_;
  UniqueFd there_;
  std::atomic<bool> inside_ = false;
  std::atomic<int> calls_ = 0;
  mutable Mutex mutex_;
  std::set<std::thread::id> threads_ GUARDED_BY(mutex_);
};

bool Await(const std::function<bool()>& condition) {
  const Deadline deadline = Clock::now() + 20s;
  while (!condition() && !Passed(deadline)) std::this_thread::yield();
  return condition();
}

Deadline Never() {
  return Clock::now() + 24h;
}

TEST(Receivers, OneThreadTakesWhatComesOnAllConnections) {
  Receivers receivers;
  std::vector<std::unique_ptr<Counted>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(std::make_unique<Counted>([&all, i](bool readable) {
      EXPECT_TRUE(readable);
      all[static_cast<std::size_t>(i)]->Take();
      return Never();
    }));
  }
  for (const auto& one : all) ASSERT_TRUE(receivers.Add(one->fd(), *one, Never()).ok());
  for (int round = 1; round <= 3; ++round) {
    for (const auto& one : all) one->Send();
    for (const auto& one : all) EXPECT_TRUE(Await([&] { return one->calls() == round; }));
  }
  EXPECT_EQ(receivers.threads(), 1u);
  for (const auto& one : all) receivers.Remove(*one);
}

TEST(Receivers, TheTimeThatWasNamedComes) {
  Receivers receivers;
  Counted late([](bool) { return Never(); });
  Counted soon([&soon](bool readable) {
    EXPECT_FALSE(readable);
    return soon.calls() < 2 ? Clock::now() + 1ms : Never();
  });
  ASSERT_TRUE(receivers.Add(late.fd(), late, Never()).ok());
  const Deadline due = Clock::now() + 20ms;
  ASSERT_TRUE(receivers.Add(soon.fd(), soon, due).ok());
  EXPECT_TRUE(Await([&] { return soon.calls() == 3; }));
  EXPECT_GE(Clock::now(), due);
  EXPECT_EQ(late.calls(), 0);
  receivers.Remove(late);
  receivers.Remove(soon);
}

TEST(Receivers, WhoHasEndedIsForgotten) {
  Receivers receivers;
  Counted ends([&ends](bool) -> std::optional<Deadline> {
    ends.Close();
    return std::nullopt;
  });
  ASSERT_TRUE(receivers.Add(ends.fd(), ends, Never()).ok());
  ends.Send();
  EXPECT_TRUE(Await([&] { return ends.calls() == 1; }));
  receivers.Remove(ends);  // Of no effect; and the destructor finds nobody.
}

TEST(Receivers, RemoveWaitsForACallUnderWay) {
  Receivers receivers;
  std::atomic<bool> begun = false;
  std::atomic<bool> go_on = false;
  Counted slow([&](bool) {
    slow.Take();
    begun = true;
    EXPECT_TRUE(Await([&] { return go_on.load(); }));
    return Never();
  });
  ASSERT_TRUE(receivers.Add(slow.fd(), slow, Never()).ok());
  slow.Send();
  ASSERT_TRUE(Await([&] { return begun.load(); }));
  std::atomic<bool> removed = false;
  TaskGroup others;
  others.Run("remove", [&](std::stop_token) {
    receivers.Remove(slow);
    EXPECT_EQ(slow.calls(), 1);
    removed = true;
  });
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  EXPECT_FALSE(removed);
  go_on = true;
  EXPECT_TRUE(Await([&] { return removed.load(); }));
  slow.Send();  // Nobody takes it.
  EXPECT_EQ(slow.calls(), 1);
}

// Both have always something to read, so that the only thread is busy until it hands one on.
TEST(Receivers, ABusyThreadHandsConnectionsOn) {
  Receivers receivers({.threads_max = 2, .busy_share = 0.01});
  Counted first([](bool) { return Never(); });
  Counted second([](bool) { return Never(); });
  for (Counted* one : {&first, &second}) {
    one->Send();
    ASSERT_TRUE(receivers.Add(one->fd(), *one, Never()).ok());
  }
  EXPECT_TRUE(Await([&] { return first.threads() + second.threads() == 3; }));
  EXPECT_EQ(receivers.threads(), 2u);
  receivers.Remove(first);
  receivers.Remove(second);
}

TEST(Receivers, AThreadThatMostlyWaitsKeepsThemAll) {
  Receivers receivers;
  Counted first([&first](bool readable) {
    if (readable) first.Take();
    return Clock::now() + 1ms;
  });
  Counted second([](bool) { return Never(); });
  ASSERT_TRUE(receivers.Add(first.fd(), first, Never()).ok());
  ASSERT_TRUE(receivers.Add(second.fd(), second, Never()).ok());
  first.Send();
  EXPECT_TRUE(
      Await([&] { return first.calls() >= 300; }));  // Longer than a look at how busy it is.
  EXPECT_EQ(receivers.threads(), 1u);
  receivers.Remove(first);
  receivers.Remove(second);
}

}  // namespace
}  // namespace forebay
