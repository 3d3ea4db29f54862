#include "mount/supervisor.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

namespace forebay {
namespace {

// What children count, too.
class Shared {
 public:
  Shared()
      : counter_(new(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                     std::atomic<int>(0)) {}
  ~Shared() { munmap(counter_, 4096); }
  std::atomic<int>& operator*() const { return *counter_; }

 private:
  std::atomic<int>* counter_;
};

// In a process of its own: a supervisor blocks signals, and needs to be its only thread.
int InAProcess(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

TEST(Supervisor, PassesOnAnExitCode) {
  EXPECT_EQ(InAProcess([] { return Supervisor().RunOnce([](int) { return 7; }).value_or(1); }), 7);
  EXPECT_EQ(InAProcess([] {
              return Supervisor().RunOnce([](int) { return raise(SIGKILL); }).has_value() ? 1 : 3;
            }),
            3);
}

TEST(Supervisor, ReplacesWhatDiesUntilItEndsInOrder) {
  const Shared started;
  const Shared died;
  const Shared beaten;
  EXPECT_EQ(InAProcess([&] {
              Supervisor supervisor;
              const auto body = [&](int beats) {
                if (++*started == 1) return 5;
                if (*started == 2) return raise(SIGSEGV);
                return write(beats, "", 1) == 1 ? 0 : 1;
              };
              return static_cast<int>(supervisor.Keep({.what = "a child",
                                                       .body = body,
                                                       .on_first_beat = [&] { ++*beaten; },
                                                       .on_death = [&] { ++*died; }}));
            }),
            static_cast<int>(Supervisor::Ending::kInOrder));
  EXPECT_EQ(*started, 3);
  EXPECT_EQ(*died, 2);
  EXPECT_EQ(*beaten, 1);
}

TEST(Supervisor, PassesSignalsOnAndReplacesNothingThen) {
  const Shared started;
  EXPECT_EQ(InAProcess([&] {
              Supervisor supervisor;
              const auto body = [&](int) {
                ++*started;
                kill(getppid(), SIGTERM);
                sigset_t set;
                sigemptyset(&set);
                sigaddset(&set, SIGTERM);
                int signal = 0;
                sigwait(&set, &signal);
                return 9;
              };
              return static_cast<int>(supervisor.Keep(
                  {.what = "a child", .body = body, .on_first_beat = [] {}, .on_death = [] {}}));
            }),
            static_cast<int>(Supervisor::Ending::kAsked));
  EXPECT_EQ(*started, 1);
}

}  // namespace
}  // namespace forebay
