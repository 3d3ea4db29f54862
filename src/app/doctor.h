// What `doctor` finds out about this machine, and how it judges that.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace forebay {

enum class Health : unsigned char { kOk, kWarn, kFail };
std::string_view HealthName(Health health);  // "ok", "warn", "fail".

struct Finding {
  std::string check;  // "kernel", "fuse", ...
  Health health = Health::kOk;
  std::string found;
  std::string remedy = {};  // Empty if it is ok.
};

// The judgements; pure. `release` as uname(2) has it.
Finding JudgeKernel(std::string_view release);
// Of RLIMIT_NOFILE and RLIMIT_MEMLOCK; nothing: unlimited.
Finding JudgeDescriptors(std::optional<std::uint64_t> hard_limit);
Finding JudgeLockedMemory(std::optional<std::uint64_t> hard_limit);
// `available` of /proc/meminfo; `bound` of the cgroup, if there is one.
Finding JudgeMemory(std::uint64_t total, std::uint64_t available,
                    std::optional<std::uint64_t> bound);

// Looks at the machine: kernel, FUSE, tmpfs, memory, limits, network and clock. Reads files of
// /proc and /sys, and changes nothing.
std::vector<Finding> CheckMachine();
// The directory that sockets and records live in: whether it, or what will hold it, can be written.
Finding CheckStateDirectory(const std::string& path);

// "CHECK  LEVEL  FOUND" lines, the remedy below its finding; `columns` wide.
std::string FindingsText(const std::vector<Finding>& findings, std::size_t columns);
// [{"check","status","detail","remedy"}].
std::string FindingsJson(const std::vector<Finding>& findings);

// The least memory.max from this process's control group (version 2) up to the root, in bytes.
std::optional<std::uint64_t> ControlGroupBound();

}  // namespace forebay
