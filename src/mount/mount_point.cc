#include "mount/mount_point.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "mount/fusermount.h"

namespace forebay {
namespace {

// Source: Linux, Documentation/admin-guide/devices.txt.
constexpr unsigned kFuseMajor = 10;
constexpr unsigned kFuseMinor = 229;

Error SystemError(int code, const std::string& message) {
  switch (code) {
    case ENOENT: return {Code::kNotFound, message};
    case ENOTDIR:
    case EINVAL: return {Code::kInvalidArgument, message};
    case EACCES:
    case EPERM: return {Code::kDenied, message};
    case EBUSY: return {Code::kOverloaded, message};
    default: return {Code::kUnavailable, message};
  }
}

Error SystemError(const std::string& what) {
  const int code = errno;
  return SystemError(code, fmt::format("{}: {}", what, std::strerror(code)));
}

// The next word of `line`, which is then cut off.
std::string_view NextWord(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

// mountinfo writes blanks, tabs, newlines and backslashes as \OOO.
std::string Unescaped(std::string_view text) {
  constexpr std::size_t kDigits = 3;
  constexpr int kOctal = 8;
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned char value = 0;
    const std::string_view digits = text.substr(std::min(i + 1, text.size()), kDigits);
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value, kOctal);
    if (text[i] == '\\' && digits.size() == kDigits && error == std::errc() &&
        end == digits.end()) {
      plain += static_cast<char>(value);
      i += kDigits;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::optional<MountedAt> ParseLine(std::string_view line) {
  // ID PARENT MAJOR:MINOR ROOT DIRECTORY OPTIONS [OPTIONAL...] - TYPE SOURCE OPTIONS
  NextWord(line);
  NextWord(line);
  MountedAt mounted;
  mounted.device = NextWord(line);
  NextWord(line);
  mounted.directory = Unescaped(NextWord(line));
  constexpr std::string_view kSeparator = " - ";
  const std::size_t separator = line.find(kSeparator);
  if (separator == std::string_view::npos || mounted.directory.empty()) return std::nullopt;
  line.remove_prefix(separator + kSeparator.size());
  mounted.type = Unescaped(NextWord(line));
  mounted.source = Unescaped(NextWord(line));
  return mounted;
}

Result<std::string> ReadSmallFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return SystemError(path);
  std::string text;
  std::array<char, 16384> buffer{};
  while (true) {
    const ssize_t size = read(fd.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return SystemError(path);
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

Result<UniqueFd> OpenFuse() {
  UniqueFd device(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  struct stat status = {};
  std::string trouble;
  if (!device || fstat(device.get(), &status) != 0) {
    trouble = std::strerror(errno);
  } else if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(kFuseMajor, kFuseMinor)) {
    trouble = "another device lies over it";  // Containers hide files so.
  } else {
    return device;
  }
  return Error(Code::kUnavailable,
               fmt::format("/dev/fuse: {}; load the module fuse (modprobe fuse), and in a "
                           "container give it the device",
                           trouble));
}

Result<UniqueFd> MountAsRoot(const MountOptions& options) {
  Result<UniqueFd> device = OpenFuse();
  if (!device.ok()) return device;
  const std::string data = fmt::format(
      "fd={},rootmode={:o},user_id={},group_id={},default_permissions{}", device.value().get(),
      S_IFDIR | options.root_mode, geteuid(), getegid(), options.allow_other ? ",allow_other" : "");
  unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV;  // NOLINT: as mount(2) has it.
  if (options.no_exec) flags |= MS_NOEXEC;
  if (mount(options.source.c_str(), options.directory.c_str(), std::string(kMountType).c_str(),
            flags, data.c_str()) != 0) {
    return SystemError(fmt::format("\"{}\": mount", options.directory));
  }
  return device;
}

// Root in a namespace may lack the right; then fusermount3 may have it.
bool MayMountItself() {
  return geteuid() == 0;
}

}  // namespace

std::string EscapedOption(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == ',' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::vector<MountedAt> ParseMountInfo(std::string_view text) {
  std::vector<MountedAt> mounts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (auto mounted = ParseLine(text.substr(0, end))) mounts.push_back(*std::move(mounted));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return mounts;
}

std::optional<MountedAt> FindMount(const std::string& directory) {
  const Result<std::string> text = ReadSmallFile("/proc/self/mountinfo");
  if (!text.ok()) return std::nullopt;
  std::vector<MountedAt> mounts = ParseMountInfo(text.value());
  const auto last = std::find_if(mounts.rbegin(), mounts.rend(), [&](const MountedAt& mounted) {
    return mounted.directory == directory;
  });
  if (last == mounts.rend()) return std::nullopt;
  return *std::move(last);
}

Result<std::string> MountPath(const std::string& directory) {
  std::string path = directory;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  std::size_t slash = path.rfind('/');
  std::string above = slash == std::string::npos ? "." : path.substr(0, slash);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (above.empty()) above = "/";
  if (name == "." || name == ".." || name.empty()) {
    above = path;
    name.clear();
  }
  const std::unique_ptr<char, decltype(&std::free)> resolved(realpath(above.c_str(), nullptr),
                                                             &std::free);
  if (!resolved) return SystemError(fmt::format("\"{}\"", directory));
  std::string result = resolved.get();
  if (name.empty()) return result;
  if (!result.ends_with('/')) result += '/';
  return result + name;
}

Result<UniqueFd> Mount(const MountOptions& options) {
  return MayMountItself() ? MountAsRoot(options) : MountByFusermount(options);
}

Status Unmount(const std::string& directory, Unmounting how) {
  if (!MayMountItself()) return UnmountByFusermount(directory, how);
  int flags = UMOUNT_NOFOLLOW;
  if (how != Unmounting::kNow) flags |= MNT_DETACH;
  if (how == Unmounting::kAbort) flags |= MNT_FORCE;
  if (umount2(directory.c_str(), flags) == 0) return {};
  if (errno == EINVAL) {
    return Error(Code::kNotFound, fmt::format("\"{}\": nothing is mounted there", directory));
  }
  return SystemError(fmt::format("\"{}\"", directory));
}

Status SetReadAhead(const std::string& device, std::uint32_t bytes) {
  constexpr std::uint32_t kKibibyte = 1024;
  const std::string path = fmt::format("/sys/class/bdi/{}/read_ahead_kb", device);
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return SystemError(path);
  const std::string text = fmt::format("{}", bytes / kKibibyte);
  if (write(fd.get(), text.data(), text.size()) < 0) return SystemError(path);
  return {};
}

}  // namespace forebay
