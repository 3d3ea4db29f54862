#include "store/tier_directory.h"

#include <dirent.h>
#include <fmt/format.h>

#include <fstream>
#include <optional>
#include <ranges>
#include <sstream>

#include "base/log.h"

namespace forebay {
namespace {

// Mounts of crashed predecessors that may lie on one another. More is not our doing.
constexpr int kStaleMountsMax = 8;

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

// seg-0000.data and seg-0000.index, with four or more digits.
bool IsSegmentName(std::string_view name) {
  if (!name.starts_with("seg-")) return false;
  name.remove_prefix(4);
  const std::size_t digits = name.find_first_not_of("0123456789");
  if (digits == std::string_view::npos || digits < 4) return false;
  return name.substr(digits) == ".data" || name.substr(digits) == ".index";
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

}  // namespace

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
  if (opened.ok()) opened = directory->RemoveStaleMounts();
  if (opened.ok()) opened = directory->RemoveStaleSegments();
  const bool foreign_mount = MountSource(options.path).has_value();
  if (opened.ok() && options.own_mount && !foreign_mount) opened = directory->Mount(options.tmpfs);
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

Status TierDirectory::LockDirectory() {
  Result<UniqueFd> fd = files_.OpenDirectory(path_);
  if (!fd.ok()) return std::move(fd).error();
  if (Status locked = files_.Lock(fd.value().get()); !locked.ok()) {
    if (locked.error().code() != Code::kUnavailable) return locked;
    return Error(Code::kUnavailable, "another worker is using it; give each worker its own");
  }
  lock_ = std::move(fd).value();
  return {};
}

// The lock is held on what lies topmost. It must be given up to unmount that, so another starter
// may come between; it then holds the lock beneath when this one comes to take it, or makes the
// unmount fail. Never do two get through.
Status TierDirectory::RemoveStaleMounts() {
  for (int i = 0; i < kStaleMountsMax; ++i) {
    if (MountSource(path_) != kTierMountSource) return {};
    lock_.Reset();
    if (Status unmounted = files_.Unmount(path_, false); !unmounted.ok()) return unmounted;
    if (Status locked = LockDirectory(); !locked.ok()) return locked;
  }
  return Error(Code::kUnavailable, "too many mounts lie on it");
}

Status TierDirectory::RemoveStaleSegments() {
  const Result<std::vector<std::string>> names = NamesIn(path_);
  if (!names.ok()) return names.error();
  for (const std::string& name : names.value()) {
    if (!IsSegmentName(name)) {
      return Error(Code::kInvalidArgument,
                   fmt::format("holds '{}', which is not a tier's; name an empty one", name));
    }
  }
  for (const std::string& name : names.value()) TierFiles::RemoveFile(path_ + '/' + name);
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
  mounted_ = true;
  Result<UniqueFd> root = files_.OpenDirectory(path_);
  if (!root.ok()) return std::move(root).error();
  if (Status locked = files_.Lock(root.value().get()); !locked.ok()) return locked;
  mount_lock_ = std::move(root).value();
  return {};
}

void TierDirectory::UnmountOwn() {
  mount_lock_.Reset();
  if (files_.Unmount(path_, false).ok()) return;
  // Somebody is looking into it (a shell's working directory). It leaves the tree now, and its
  // memory is freed when they leave.
  if (const Status detached = files_.Unmount(path_, true); !detached.ok()) {
    Log(Level::kError, "tier: mount left behind", {{"error", detached.error().message()}});
  }
}

TierDirectory::~TierDirectory() {
  if (mounted_) UnmountOwn();
  for (const std::string& path : made_ | std::views::reverse) TierFiles::RemoveDirectory(path);
}

}  // namespace forebay
