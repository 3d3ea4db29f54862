#include "core/group_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

namespace forebay {
namespace {

constexpr std::chrono::seconds kDelayMax{30};

// The digits at the end of a name, without leading zeros: longer is greater.
std::string_view Ordinal(std::string_view name) {
  const std::size_t last = name.find_last_not_of("0123456789");
  std::string_view digits = last == std::string_view::npos ? name : name.substr(last + 1);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  return digits;
}

bool OrdinalBefore(const std::string& a, const std::string& b) {
  const std::string_view x = Ordinal(a);
  const std::string_view y = Ordinal(b);
  if (x.size() != y.size()) return x.size() < y.size();
  return x != y ? x < y : a < b;
}

}  // namespace

std::vector<std::string> WorkerNames(const std::string& group, std::uint32_t count) {
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < count; ++i) names.push_back(group + "-" + std::to_string(i));
  return names;
}

std::uint32_t RestartsInARow(const ObservedProcess& process) {
  if (!process.exited_at || *process.exited_at - process.started_at >= kHealthyAfter) return 0;
  return process.restarts + 1;
}

std::chrono::milliseconds RestartDelay(const ObservedProcess& process) {
  const std::uint32_t restarts = RestartsInARow(process);
  if (restarts <= 1) return std::chrono::milliseconds(0);
  constexpr std::uint32_t kDoublings = 5;
  return std::min(kDelayMax, std::chrono::seconds(1u << std::min(restarts - 2, kDoublings)));
}

GroupPlan PlanGroup(const std::vector<std::string>& desired,
                    const std::vector<ObservedProcess>& observed, Clock::time_point now) {
  const std::set<std::string> wanted(desired.begin(), desired.end());
  std::map<std::string, const ObservedProcess*> seen;
  GroupPlan plan;
  for (const ObservedProcess& process : observed) {
    seen[process.name] = &process;
    if (process.running && !wanted.contains(process.name)) plan.stop.push_back(process.name);
  }
  for (const std::string& name : wanted) {
    const auto found = seen.find(name);
    if (found != seen.end() && found->second->running) continue;
    Clock::time_point due = now;
    if (found != seen.end() && found->second->exited_at) {
      due = std::min(*found->second->exited_at, now) + RestartDelay(*found->second);
    }
    if (due <= now) {
      plan.start.push_back(name);
    } else {
      plan.next = std::min(due, plan.next.value_or(due));
    }
  }
  std::sort(plan.start.begin(), plan.start.end(), OrdinalBefore);
  std::sort(plan.stop.rbegin(), plan.stop.rend(), OrdinalBefore);
  return plan;
}

}  // namespace forebay
