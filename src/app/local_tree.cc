#include "app/local_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace forebay {
namespace {

constexpr mode_t kDirectoryMode = 0777;  // Less the umask, as cp(1).
constexpr mode_t kFileMode = 0666;
constexpr mode_t kModeBits = 07777;

Error Refused(const std::string& what, const std::string& name) {
  return {Code::kInternal, fmt::format("{} \"{}\": {}", what, name, std::strerror(errno))};
}

// Splits "a/b/c" into "a/b" and "c".
std::pair<std::string, std::string> SplitLast(const std::string& relative) {
  const std::size_t slash = relative.rfind('/');
  if (slash == std::string::npos) return {"", relative};
  return {relative.substr(0, slash), relative.substr(slash + 1)};
}

Status CheckComponent(const std::string& name) {
  if (!name.empty() && name != "." && name != ".." && name.find('\0') == std::string::npos) {
    return {};
  }
  return Error(
      Code::kInvalidArgument,
      fmt::format("\"{}\": cannot be the name of a local file; write `forebay cat URL > FILE`",
                  name));
}

}  // namespace

LocalFile::LocalFile(LocalFile&& other) noexcept {
  *this = std::move(other);
}

LocalFile& LocalFile::operator=(LocalFile&& other) noexcept {
  std::swap(directory_, other.directory_);
  std::swap(file_, other.file_);
  std::swap(temporary_, other.temporary_);
  std::swap(name_, other.name_);
  return *this;
}

LocalFile::~LocalFile() {
  if (!temporary_.empty()) unlinkat(directory_.get(), temporary_.c_str(), 0);
}

Status LocalFile::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return Refused("cannot write", name_);
    if (written > 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status LocalFile::Commit() {
  // Some file systems report a full disk only here.
  file_.Reset();
  if (renameat(directory_.get(), temporary_.c_str(), directory_.get(), name_.c_str()) != 0) {
    return Refused("cannot replace", name_);
  }
  temporary_.clear();
  return {};
}

Result<LocalTree> LocalTree::Open(const std::string& directory) {
  UniqueFd root(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": {}; name a directory", directory, std::strerror(errno)));
  }
  return LocalTree(std::move(root));
}

Result<LocalTree> LocalTree::OpenOrCreate(const std::string& directory) {
  if (mkdir(directory.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": cannot be made: {}; make its parent directory first",
                             directory, std::strerror(errno)));
  }
  return Open(directory);
}

Result<UniqueFd> LocalTree::Directory(const std::string& relative) const {
  UniqueFd directory(fcntl(root_.get(), F_DUPFD_CLOEXEC, 0));
  if (!directory) return Refused("cannot open", relative);
  if (relative.empty()) return directory;
  for (std::size_t begin = 0; begin <= relative.size();) {
    const std::size_t end = std::min(relative.find('/', begin), relative.size());
    const std::string name = relative.substr(begin, end - begin);
    const Status checked = CheckComponent(name);
    if (!checked.ok()) return checked.error();
    if (mkdirat(directory.get(), name.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
      return Refused("cannot make directory", relative);
    }
    // A link in the target could lead out of it.
    UniqueFd next(
        openat(directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return Refused("cannot enter directory", relative);
    directory = std::move(next);
    begin = end + 1;
  }
  return directory;
}

Result<LocalFile> LocalTree::Create(const std::string& relative) {
  auto [parent, name] = SplitLast(relative);
  const Status checked = CheckComponent(name);
  if (!checked.ok()) return checked.error();
  Result<UniqueFd> directory = Directory(parent);
  if (!directory.ok()) return std::move(directory).error();
  LocalFile file;
  file.directory_ = std::move(directory).value();
  struct stat existing = {};
  // A link is replaced, not followed; but one to a device (/dev/stdout) means the device.
  const bool exists = fstatat(file.directory_.get(), name.c_str(), &existing, 0) == 0;
  if (exists && !S_ISREG(existing.st_mode)) {
    return Error(
        Code::kInternal,
        fmt::format("cannot replace \"{}\" with a file: it is {}; name another target", relative,
                    S_ISDIR(existing.st_mode) ? "a directory" : "no regular file"));
  }
  std::string temporary = fmt::format(".forebay-{}-{}.part", getpid(), created_++);
  file.file_.Reset(openat(file.directory_.get(), temporary.c_str(),
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!file.file_) return Refused("cannot write", relative);
  // What was private stays private.
  if (exists && fchmod(file.file_.get(), existing.st_mode & kModeBits) != 0) {
    return Refused("cannot keep the mode of", relative);
  }
  file.temporary_ = std::move(temporary);
  file.name_ = name;
  return file;
}

Status LocalTree::CreateDirectory(const std::string& relative) {
  const Result<UniqueFd> made = Directory(relative);
  return made.ok() ? Status() : made.error();
}

}  // namespace forebay
