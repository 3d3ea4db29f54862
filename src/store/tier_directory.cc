#include "store/tier_directory.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <ranges>
#include <sstream>

#include "base/log.h"
#include "store/memory_tier.h"

namespace forebay {
namespace {

// Mounts of crashed predecessors that may lie on one another. More is not our doing.
constexpr int kMountsMax = 8;

// mountinfo(5) writes space, tab, newline and backslash in octal.
std::string Unescaped(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// The source of what is mounted on `path`, topmost; nothing if it is no mount point.
std::optional<std::string> MountSource(const std::string& path) {
  std::ifstream mounts("/proc/self/mountinfo");
  std::optional<std::string> source;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, point, field;
    fields >> id >> parent >> device >> root >> point;
    while (fields >> field && field != "-") continue;
    std::string type, from;
    fields >> type >> from;
    if (Unescaped(point) == path) source = Unescaped(from);
  }
  return source;
}

Result<std::vector<std::string>> NamesIn(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
  if (!directory) return Error(Code::kDenied, fmt::format("list {}: not permitted", path));
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

// The lock of what lies topmost on `path`. What was opened may have been unmounted or removed
// before it was locked; then another owner is leaving or coming.
Result<UniqueFd> LockTopmost(TierFiles& files, const std::string& path) {
  Result<UniqueFd> fd = files.OpenDirectory(path);
  if (!fd.ok()) return fd;
  struct stat locked = {};
  struct stat topmost = {};
  Status status = files.Lock(fd.value().get());
  if (status.ok() && (fstat(fd.value().get(), &locked) != 0 || stat(path.c_str(), &topmost) != 0 ||
                      locked.st_dev != topmost.st_dev || locked.st_ino != topmost.st_ino)) {
    status = Error(Code::kUnavailable, "changed while it was locked");
  }
  if (status.ok()) return fd;
  if (status.error().code() != Code::kUnavailable) return std::move(status).error();
  return Error(Code::kUnavailable, "another worker is using it; give each worker its own");
}

// Unmounts what the caller has locked by `root`. Lazily, so that the lock is held until it has left
// the tree: somebody may be looking into it (a shell's working directory), and its memory is freed
// when they leave.
Status UnmountLocked(TierFiles& files, const std::string& path, UniqueFd root) {
  if (files.Unmount(path, true).ok()) return {};
  root.Reset();
  return files.Unmount(path, false);
}

}  // namespace

bool IsSegmentName(std::string_view name) {
  if (!name.starts_with("seg-")) return false;
  name.remove_prefix(4);
  const std::size_t digits = name.find_first_not_of("0123456789");
  if (digits == std::string_view::npos || digits < 4) return false;
  return name.substr(digits) == ".data" || name.substr(digits) == ".index";
}

bool IsWholeFileName(std::string_view name) {
  constexpr std::string_view kPrefix = "whole-";
  constexpr std::size_t kDigits = 16;
  return name.starts_with(kPrefix) && name.size() == kPrefix.size() + kDigits &&
         name.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

Result<std::unique_ptr<TierDirectory>> TierDirectory::Open(TierFiles& files,
                                                           const Options& options) {
  if (!options.path.starts_with('/') || options.path.ends_with('/')) {
    return Error(Code::kInvalidArgument,
                 fmt::format("tier directory '{}': must be absolute, without a slash at its end",
                             options.path));
  }
  // On any failure below its destructor takes back what was done.
  std::unique_ptr<TierDirectory> directory(new TierDirectory(files, options.path));
  Status opened = directory->MakeDirectories();
  if (opened.ok()) opened = directory->LockDirectory();
  if (opened.ok()) opened = directory->FindFiles(directory->mounted_, options.is_tier_name);
  const bool covered = MountSource(options.path).has_value();
  if (opened.ok() && options.own_mount && !covered) opened = directory->Mount(options.tmpfs);
  if (!opened.ok()) return std::move(opened).error().Within("tier directory " + options.path);
  return directory;
}

Status TierDirectory::MakeDirectories() {
  for (std::size_t end = path_.find('/', 1);; end = path_.find('/', end + 1)) {
    const std::string part = path_.substr(0, end);
    const Result<bool> made = files_.MakeDirectory(part);
    if (!made.ok()) return made.error();
    if (made.value()) made_.push_back(part);
    if (end == std::string::npos) return {};
  }
}

// Whoever holds the lock of a mount's root owns the mount: the lock beneath cannot be reached.
Status TierDirectory::LockDirectory() {
  Result<UniqueFd> fd = LockTopmost(files_, path_);
  if (!fd.ok()) return std::move(fd).error();
  mounted_ = adopted_mount_ = MountSource(path_) == kTierMountSource;
  (mounted_ ? mount_lock_ : lock_) = std::move(fd).value();
  return {};
}

Status TierDirectory::FindFiles(bool own, bool (*is_tier_name)(std::string_view)) {
  Result<std::vector<std::string>> names = NamesIn(path_);
  if (!names.ok()) return std::move(names).error();
  for (const std::string& name : names.value()) {
    if (is_tier_name(name)) {
      found_files_.insert(name);
      continue;
    }
    std::error_code failed;
    if (own && std::filesystem::remove(path_ + '/' + name, failed)) {
      Log(Level::kWarning, "tier: removed what is not a tier's from its mount",
          {{"directory", path_}, {"name", name}});
      continue;
    }
    return Error(Code::kInvalidArgument,
                 fmt::format("holds '{}', which is not a tier's; name an empty one", name));
  }
  return {};
}

Status TierDirectory::Mount(const TmpfsOptions& options) {
  Status mounted = files_.Mount(path_, options);
  if (!mounted.ok() && options.huge && mounted.error().code() == Code::kInvalidArgument) {
    // A kernel built without huge pages does not know the option.
    mounted = files_.Mount(path_, {.size_bytes = options.size_bytes, .huge = false});
  }
  if (!mounted.ok() && mounted.error().code() == Code::kDenied) {
    Log(Level::kInfo, "tier: no own mount permitted, using the directory", {{"path", path_}});
    return {};
  }
  if (!mounted.ok()) return mounted;
  Result<UniqueFd> root = LockTopmost(files_, path_);
  if (!root.ok()) {
    // A starter that came between has locked it, and keeps it. Else nobody has, and this succeeds.
    [[maybe_unused]] const Status unmounted = files_.Unmount(path_, false);
    return std::move(root).error();
  }
  mount_lock_ = std::move(root).value();
  mounted_ = true;
  // Left beneath by a predecessor that was not permitted to mount.
  for (const std::string& name : found_files_) TierFiles::RemoveFileAt(lock_.get(), name);
  found_files_.clear();
  return {};
}

Status TierDirectory::Resize(const TmpfsOptions& options) {
  if (!adopted_mount_) return {};
  Status resized = files_.Remount(path_, options);
  if (!resized.ok() && options.huge && resized.error().code() == Code::kInvalidArgument) {
    resized = files_.Remount(path_, {.size_bytes = options.size_bytes, .huge = false});
  }
  return resized;
}

TierDirectory::~TierDirectory() {
  if (mounted_) {
    const Status unmounted = UnmountLocked(files_, path_, std::move(mount_lock_));
    if (!unmounted.ok()) {
      Log(Level::kError, "tier: mount left behind", {{"error", unmounted.error().message()}});
    }
  }
  for (const std::string& path : made_ | std::views::reverse) TierFiles::RemoveDirectory(path);
}

Status RemoveTier(const std::string& directory) {
  const std::shared_ptr<TierFiles> files = SystemTierFiles();
  for (int i = 0; i <= kMountsMax; ++i) {
    struct stat status = {};
    if (lstat(directory.c_str(), &status) != 0 && errno == ENOENT) return {};
    Result<UniqueFd> lock = LockTopmost(*files, directory);
    if (!lock.ok()) return std::move(lock).error().Within("remove tier " + directory);
    const Result<std::vector<std::string>> names = NamesIn(directory);
    if (!names.ok()) return names.error();
    for (const std::string& name : names.value()) {
      if (IsSegmentName(name) || IsWholeFileName(name)) {
        TierFiles::RemoveFileAt(lock.value().get(), name);
      }
    }
    if (MountSource(directory) != kTierMountSource) {
      TierFiles::RemoveDirectory(directory);
      return {};
    }
    Status unmounted = UnmountLocked(*files, directory, std::move(lock).value());
    if (!unmounted.ok()) return std::move(unmounted).error().Within("remove tier " + directory);
  }
  return Error(Code::kUnavailable, "remove tier " + directory + ": too many mounts lie on it");
}

}  // namespace forebay
