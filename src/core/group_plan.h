// Group plan: which worker processes to start and to stop now.
//
// Level-triggered: it compares what is wanted with what is seen, and would mend any state: missing
// workers are started, unknown ones stopped, whatever happened before.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.h"

namespace forebay {

// The names of a group's `count` local workers: GROUP-0, GROUP-1, ...
std::vector<std::string> WorkerNames(const std::string& group, std::uint32_t count);

// A process as the launcher sees it: one for each name it ever started and has not forgotten.
struct ObservedProcess {
  std::string name;
  bool running = false;
  Clock::time_point started_at;  // The last time.
  // When it was seen to have ended; only if it does not run. None: it was never started.
  std::optional<Clock::time_point> exited_at;
  std::uint32_t restarts = 0;  // In a row, as RestartsInARow has it.
};

// A process that ran for this long was healthy.
inline constexpr std::chrono::seconds kHealthyAfter{60};

// What to count for a process that is started (again) now: 0 for the first start and for one after
// a healthy run.
std::uint32_t RestartsInARow(const ObservedProcess& process);

// How long after its exit a process waits for its restart: 0 the first time, then 1, 2, 4, ... 30
// s.
std::chrono::milliseconds RestartDelay(const ObservedProcess& process);

struct GroupPlan {
  std::vector<std::string> start;  // Lowest ordinals first.
  std::vector<std::string> stop;   // Highest ordinals first.
  // When the next restart is due, if one waits; ask again by then.
  std::optional<Clock::time_point> next;
};

// What to do at `now` about the processes of the launcher so that those called `desired`, and no
// others, run. A process whose `exited_at` or `started_at` is in the future (the clock of another
// boot) is treated as if it were now.
GroupPlan PlanGroup(const std::vector<std::string>& desired,
                    const std::vector<ObservedProcess>& observed, Clock::time_point now);

}  // namespace forebay
