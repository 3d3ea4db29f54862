#include "app/doctor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/output.h"
#include "app/table.h"
#include "base/units.h"

namespace forebay {
namespace {

constexpr std::uint64_t kMi = 1u << 20;
constexpr std::uint64_t kGi = 1u << 30;

// The first 64 KiB of a file of /proc or /sys, or "".
std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  constexpr std::size_t kBytesMax = 64u << 10;
  std::string text(kBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(kBytesMax));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

std::optional<std::uint64_t> NumberAt(std::string_view text) {
  const std::size_t begin = text.find_first_of("0123456789");
  if (begin == std::string_view::npos) return std::nullopt;
  std::uint64_t number = 0;
  std::from_chars(text.data() + begin, text.data() + text.size(), number);
  return number;
}

// "MemTotal" and the like of /proc/meminfo, in bytes.
std::uint64_t MemoryInfo(const std::string& info, std::string_view key) {
  constexpr std::uint64_t kKi = 1024;
  const std::size_t at = info.find(std::string(key) + ':');
  if (at == std::string::npos) return 0;
  return NumberAt(std::string_view(info).substr(at)).value_or(0) * kKi;
}

std::optional<std::uint64_t> HardLimit(int resource) {
  rlimit limit = {};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return std::nullopt;
  if (limit.rlim_max == RLIM_INFINITY) return std::nullopt;
  return limit.rlim_max;
}

bool InPath(std::string_view program) {
  for (const char* directory : {"/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"}) {
    if (access(fmt::format("{}/{}", directory, program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

Finding CheckFuse() {
  const std::string what = "only mounts need it";
  if (access("/dev/fuse", F_OK) != 0) {
    return {"fuse", Health::kWarn, "/dev/fuse is not there; " + what,
            "load the module (modprobe fuse), or give the container --device /dev/fuse"};
  }
  const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return {"fuse", Health::kWarn, "/dev/fuse may not be opened; " + what,
            "allow this user or container to use the device /dev/fuse"};
  }
  close(fd);
  if (geteuid() != 0 && !InPath("fusermount3")) {
    return {"fuse", Health::kWarn, "fusermount3 is not installed, and this user is not root",
            "install the package fuse3"};
  }
  return {"fuse", Health::kOk, "/dev/fuse can be used"};
}

Finding CheckSharedMemory() {
  struct statvfs info = {};
  if (statvfs("/dev/shm", &info) != 0) {
    return {"tmpfs", Health::kFail, "/dev/shm is not there",
            "mount -t tmpfs tmpfs /dev/shm, or give workers a --tier-dir on a tmpfs"};
  }
  const std::uint64_t free = std::uint64_t{info.f_bavail} * info.f_frsize;
  const std::string found = fmt::format("{} free in /dev/shm", FormatSize(free));
  if (geteuid() == 0) return {"tmpfs", Health::kOk, found + "; workers may mount their own"};
  if (free < kGi) {
    return {"tmpfs", Health::kWarn, found,
            "mount -o remount,size=8G /dev/shm, or give workers a --tier-dir on a larger tmpfs"};
  }
  return {"tmpfs", Health::kOk, found};
}

Finding CheckNetwork() {
  const std::string known = ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control");
  if (known.find("cubic") != std::string::npos) {
    return {"network", Health::kOk, "congestion control cubic is there"};
  }
  return {"network", Health::kWarn, "congestion control cubic is not there",
          "modprobe tcp_cubic; others were measured 2-4 times slower inside a data centre"};
}

Finding CheckClock() {
  timex state = {};
  const int synchronised = adjtimex(&state);
  const std::string source =
      ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  const std::string named = source.substr(0, source.find('\n'));
  if (synchronised == TIME_ERROR) {
    return {"clock", Health::kWarn, "not synchronised, says the kernel",
            "run chrony or systemd-timesyncd; S3 refuses requests that are 15 minutes off"};
  }
  return {"clock", Health::kOk,
          "synchronised" + (named.empty() ? "" : fmt::format(", source {}", named))};
}

}  // namespace

std::optional<std::uint64_t> ControlGroupBound() {
  const std::string own = ReadFile("/proc/self/cgroup");
  const std::size_t at = own.find("0::");
  if (at == std::string::npos) return std::nullopt;
  std::filesystem::path group = own.substr(at + 3, own.find('\n', at) - at - 3);
  std::optional<std::uint64_t> least;
  while (true) {
    const std::string text =
        ReadFile("/sys/fs/cgroup" + (group == "/" ? "" : group.string()) + "/memory.max");
    const std::optional<std::uint64_t> bound =
        text.starts_with("max") ? std::nullopt : NumberAt(text);
    if (bound && (!least || *bound < *least)) least = bound;
    if (group == "/" || group.empty()) return least;
    group = group.parent_path();
  }
}

std::string_view HealthName(Health health) {
  switch (health) {
    case Health::kOk: return "ok";
    case Health::kWarn: return "warn";
    case Health::kFail: return "fail";
  }
  return "";
}

Finding JudgeKernel(std::string_view release) {
  const std::uint64_t major = NumberAt(release).value_or(0);
  const std::size_t dot = release.find('.');
  const std::uint64_t minor =
      dot == std::string_view::npos ? 0 : NumberAt(release.substr(dot)).value_or(0);
  const std::string found = fmt::format("Linux {}", release);
  // openat2 came with 5.6.
  if (major < 5 || (major == 5 && minor < 6)) {
    return {"kernel", Health::kFail, found, "use a kernel of 5.6 or newer"};
  }
  return {"kernel", Health::kOk, found};
}

Finding JudgeDescriptors(std::optional<std::uint64_t> hard_limit) {
  constexpr std::uint64_t kWanted = 16384;  // A thousand readers, with room.
  constexpr std::uint64_t kLeast = 1024;
  const std::string found =
      hard_limit ? fmt::format("{} descriptors", *hard_limit) : "descriptors without limit";
  if (!hard_limit || *hard_limit >= kWanted) return {"nofile", Health::kOk, found};
  return {"nofile", *hard_limit < kLeast ? Health::kFail : Health::kWarn, found,
          "ulimit -Hn 65536, or LimitNOFILE=65536 in the unit"};
}

Finding JudgeLockedMemory(std::optional<std::uint64_t> hard_limit) {
  if (!hard_limit) return {"memlock", Health::kOk, "locked memory without limit"};
  const std::string found = fmt::format("{} of locked memory", FormatSize(*hard_limit));
  if (*hard_limit >= 8 * kMi) return {"memlock", Health::kOk, found};
  return {"memlock", Health::kWarn, found,
          "ulimit -Hl 65536, or LimitMEMLOCK=64M in the unit; 8 MiB is the kernel's own default"};
}

Finding JudgeMemory(std::uint64_t total, std::uint64_t available,
                    std::optional<std::uint64_t> bound) {
  std::string found = fmt::format("{} available of {}", FormatSize(available), FormatSize(total));
  if (bound && *bound < total) {
    found += fmt::format(", bounded to {} by the cgroup", FormatSize(*bound));
  }
  const std::uint64_t usable = std::min(available, bound.value_or(available));
  if (usable >= kGi) return {"memory", Health::kOk, found};
  return {"memory", Health::kWarn, found,
          "a worker's --memory must fit into what is available, beside what else runs here"};
}

std::vector<Finding> CheckMachine() {
  utsname name = {};
  uname(&name);
  const std::string memory = ReadFile("/proc/meminfo");
  return {JudgeKernel(name.release),
          CheckFuse(),
          CheckSharedMemory(),
          JudgeMemory(MemoryInfo(memory, "MemTotal"), MemoryInfo(memory, "MemAvailable"),
                      ControlGroupBound()),
          JudgeDescriptors(HardLimit(RLIMIT_NOFILE)),
          JudgeLockedMemory(HardLimit(RLIMIT_MEMLOCK)),
          CheckNetwork(),
          CheckClock()};
}

Finding CheckStateDirectory(const std::string& path) {
  std::error_code ignored;
  std::filesystem::path existing = path;
  while (!std::filesystem::exists(existing, ignored) && existing.has_parent_path() &&
         existing != existing.parent_path()) {
    existing = existing.parent_path();
  }
  const bool there = existing == path;
  if (there && !std::filesystem::is_directory(existing, ignored)) {
    return {"state-dir", Health::kFail, path + " is not a directory",
            "name another one with --state-dir"};
  }
  if (access(existing.c_str(), W_OK | X_OK) != 0) {
    return {"state-dir", Health::kFail,
            fmt::format("{} cannot be {}", path, there ? "written" : "made"),
            "name another one with --state-dir, or make it and give it to this user"};
  }
  struct statvfs info = {};
  statvfs(existing.c_str(), &info);
  const std::uint64_t free = std::uint64_t{info.f_bavail} * info.f_frsize;
  const std::string found =
      fmt::format("{}{}, {} free", path, there ? "" : " can be made", FormatSize(free));
  constexpr std::uint64_t kLeast = 100 * kMi;  // The registry, records and logs.
  if (free >= kLeast) return {"state-dir", Health::kOk, found};
  return {"state-dir", Health::kWarn, found, "make room, or name another one with --state-dir"};
}

std::string FindingsText(const std::vector<Finding>& findings, std::size_t columns) {
  constexpr std::size_t kIndent = 17;
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{:<4}  {:<9}  {}\n", HealthName(finding.health), finding.check,
                        Wrapped(OneLine(finding.found), kIndent, columns));
    if (finding.remedy.empty()) continue;
    text += fmt::format("{:{}}-> {}\n", "", kIndent,
                        Wrapped(OneLine(finding.remedy), kIndent + 3, columns));
  }
  return text;
}

std::string FindingsJson(const std::vector<Finding>& findings) {
  using Ordered = nlohmann::ordered_json;
  Ordered list = Ordered::array();
  for (const Finding& finding : findings) {
    list.push_back({{"check", finding.check},
                    {"status", HealthName(finding.health)},
                    {"detail", finding.found},
                    {"remedy", finding.remedy}});
  }
  return list.dump(-1, ' ', false, Ordered::error_handler_t::replace);
}

}  // namespace forebay
