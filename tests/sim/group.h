// Group: the simulation of a control that is restarted, of workers that die, hang, leave and
// return, and of heartbeats and maps that are late; and what must hold of every map that is
// published.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "core/membership.h"

namespace forebay::sim {

class Group {
 public:
  explicit Group(std::uint64_t seed);
  ~Group();

  // What was violated; empty: nothing.
  std::string Run();
  std::uint64_t maps() const { return maps_; }
  std::uint64_t rings() const { return rings_; }

 private:
  struct Worker {
    std::string name;
    bool local = false;  // The launcher's.
    bool running = false;
    bool leaving = false;
    std::uint32_t instance = 0;
    Clock::time_point paused_until;
    Clock::time_point cut_until;  // Control does not hear it, nor it control.
    GroupMap known;
  };
  struct Beat {
    MemberReport report;
    GroupMap map;
  };

  void Later(std::chrono::milliseconds delay, std::function<void()> run);
  std::chrono::milliseconds Delay();
  void Tick();
  void BeatAll();
  void Deliver(const Beat& beat, std::size_t worker);
  void Mischief();
  void End(Worker& worker);
  void Start(Worker& worker);
  void Leave(Worker& worker);
  void StartControl();
  void Heal();
  void Expect();
  void CheckMap(bool changed);
  void CheckAdopted(const GroupMap& map);
  void CheckHomes(const GroupMap& map, const Placement& placement);
  void CheckRing(const GroupMap& map);
  void CheckQuiet();
  void Violate(const std::string& what);

  const MembershipOptions options_;
  Rng rng_;
  Clock::time_point now_{std::chrono::hours(1)};
  std::multimap<Clock::time_point, std::function<void()>> later_;
  std::vector<Worker> workers_;
  std::unique_ptr<Membership> control_;
  Clock::time_point control_returns_;
  std::uint32_t generation_ = 0;
  GroupMap heard_;  // The newest that this control heard of while learning.
  bool healed_ = false;
  Clock::time_point settled_at_ = Clock::time_point::max();

  GroupMap last_;  // The last published, by any control.
  Placement last_placement_;
  std::optional<Clock::time_point> ring_made_at_;  // By this control.
  std::set<std::string> ever_left_;                // That it may know of.
  std::uint64_t maps_ = 0;
  std::uint64_t rings_ = 0;
  std::string violation_;
};

}  // namespace forebay::sim
