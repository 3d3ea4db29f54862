// Supervisor: one process that sees to it that another one serves. See docs/decisions/0005.
//
// Invariant: it waits for signals and for its child, and for nothing else: no store, no file, no
// mount of ours.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "io/unique_fd.h"

namespace forebay {

// Thread safety: none. While this process has one thread: children are forked. From its
// construction on, SIGINT, SIGTERM and SIGHUP (unless that was ignored) are blocked, here and in
// children, which get them as the parent gets them, and SIGTERM if the parent dies.
//
// Memory: nothing is allocated in Keep but the line of the log that tells of a death.
class Supervisor {
 public:
  // Of a child: writes a byte into `beats`, now and then, while it does its work. Its exit code.
  using Body = std::function<int(int beats)>;

  // A child that is silent for so long hangs. Many times kBeat, as machines are busy.
  static constexpr std::chrono::milliseconds kSilenceMax{5'000};
  static constexpr std::chrono::milliseconds kBeat{500};
  // A child that died earlier died at once.
  static constexpr std::chrono::milliseconds kShortLife{1'000};
  static constexpr int kShortLivesMax = 10;  // One after the other: 21 s with the pauses.
  // From a signal to the end of a child, which serves open files for 10 s.
  static constexpr std::chrono::milliseconds kEndTimeout{15'000};

  Supervisor();

  // Runs `body` in a child, however long it takes: its exit code, or nothing if a signal killed it.
  std::optional<int> RunOnce(const Body& body);

  enum class Ending : unsigned char {
    kInOrder,  // The child's exit code was 0.
    kAsked,    // By a signal, and the child did not end in order.
    kGaveUp,
  };
  struct Care {
    std::string what;  // The child, in messages: "the mount's daemon".
    Body body;
    std::function<void()> on_first_beat;  // Once.
    std::function<void()> on_death;       // Before it is replaced. Does not block.
  };
  // Runs `care.body` in one child after the other.
  Ending Keep(const Care& care);

 private:
  struct Child {
    pid_t pid = -1;
    UniqueFd beats;
  };
  // When the child is watched, and what for.
  struct Watch {
    std::string_view what;
    bool limits_silence = false;
    std::function<void()> on_first_beat;
  };

  std::optional<Child> Start(const Body& body);
  // Waits for the end of the child: as of waitpid(2).
  int Await(const Child& child, const Watch& watch);
  // Passes a signal on.
  void TakeSignal(const Child& child);
  // Whether to go on; false: a signal came.
  bool Pause(std::chrono::milliseconds duration);

  UniqueFd signals_;
  bool has_beaten_ = false;
  std::optional<Deadline> end_until_;  // A signal came.
};

}  // namespace forebay
