#include "mount/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "base/log.h"
#include "io/end_signals.h"

namespace forebay {
namespace {

// How long a poll takes at most.
constexpr std::chrono::milliseconds kStep{500};
constexpr std::chrono::milliseconds kPauseMin{100};
constexpr std::chrono::milliseconds kPauseMax{5'000};

// Before a child that comes after so many that died at once.
std::chrono::milliseconds PauseAfter(int short_lives) {
  if (short_lives < 2) return {};
  constexpr int kDoublingsMax = 6;
  return std::min(kPauseMax, kPauseMin * (1 << std::min(short_lives - 2, kDoublingsMax)));
}

int Milliseconds(std::chrono::milliseconds duration) {
  return static_cast<int>(duration.count());
}

void LogDeath(std::string_view what, int status, int short_lives) {
  const bool was_killed = WIFSIGNALED(status);
  Log(Level::kError, std::string(what) + " died, and is replaced",
      {{was_killed ? "signal" : "exit_code", was_killed ? WTERMSIG(status) : WEXITSTATUS(status)},
       {"at_once", short_lives}});
}

}  // namespace

Supervisor::Supervisor() : signals_(BlockEndSignals()) {}

std::optional<Supervisor::Child> Supervisor::Start(const Body& body) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return std::nullopt;
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return std::nullopt;
  if (pid > 0) return Child{pid, std::move(read_end)};
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);
  read_end.Reset();
  signals_.Reset();
  _exit(body(write_end.get()));
}

void Supervisor::TakeSignal(const Child& child) {
  signalfd_siginfo signal = {};
  if (read(signals_.get(), &signal, sizeof(signal)) != sizeof(signal)) return;
  if (!end_until_) end_until_ = Clock::now() + kEndTimeout;
  kill(child.pid, SIGTERM);
}

int Supervisor::Await(const Child& child, const Watch& watch) {
  std::array<pollfd, 2> waited = {{{.fd = child.beats.get(), .events = POLLIN, .revents = 0},
                                   {.fd = signals_.get(), .events = POLLIN, .revents = 0}}};
  Deadline heard = Clock::now();
  Deadline looked = heard;
  while (true) {
    const int ready = poll(waited.data(), waited.size(), Milliseconds(kStep));
    const Deadline now = Clock::now();
    // This process did not run, and so the child may not have, either.
    if (now - looked > 2 * kStep) heard = now;
    looked = now;
    if (ready > 0 && waited[1].revents != 0) TakeSignal(child);
    if (ready > 0 && waited[0].revents != 0) {
      std::array<char, 64> bytes{};
      const ssize_t size = read(child.beats.get(), bytes.data(), bytes.size());
      if (size == 0) break;  // It is dead: nobody else has the other end.
      if (size > 0) heard = now;
      if (size > 0 && !has_beaten_ && watch.on_first_beat) {
        has_beaten_ = true;
        watch.on_first_beat();
      }
    }
    const bool is_silent = watch.limits_silence && now - heard > kSilenceMax;
    if (!is_silent && !(end_until_ && now > *end_until_)) continue;
    Log(Level::kError, std::string(watch.what) + " hangs, and is killed", {{"pid", child.pid}});
    kill(child.pid, SIGKILL);
    heard = now;
    if (end_until_) end_until_ = now + kEndTimeout;
  }
  int status = 0;
  while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

std::optional<int> Supervisor::RunOnce(const Body& body) {
  const std::optional<Child> child = Start(body);
  if (!child) return std::nullopt;
  const int status = Await(*child, {});
  if (!WIFEXITED(status)) return std::nullopt;
  return WEXITSTATUS(status);
}

bool Supervisor::Pause(std::chrono::milliseconds duration) {
  pollfd waited = {.fd = signals_.get(), .events = POLLIN, .revents = 0};
  return poll(&waited, 1, Milliseconds(duration)) <= 0;
}

Supervisor::Ending Supervisor::Keep(const Care& care) {
  const Watch watch{.what = care.what, .limits_silence = true, .on_first_beat = care.on_first_beat};
  for (int short_lives = 0; !end_until_;) {
    const Deadline began = Clock::now();
    int status = 0;
    if (const std::optional<Child> child = Start(care.body)) {
      status = Await(*child, watch);
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Ending::kInOrder;
      if (end_until_) break;
      LogDeath(care.what, status, short_lives);
    } else {
      Log(Level::kError, "no process for " + care.what);
    }
    short_lives = Clock::now() - began < kShortLife ? short_lives + 1 : 0;
    if (short_lives >= kShortLivesMax) {
      Log(Level::kError, care.what + " dies at once: given up", {{"times", short_lives}});
      return Ending::kGaveUp;
    }
    if (!Pause(PauseAfter(short_lives))) break;
    care.on_death();
  }
  return Ending::kAsked;
}

}  // namespace forebay
