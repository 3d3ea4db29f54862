#include "upstream/posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "base/metrics.h"
#include "base/wall_clock.h"
#include "upstream/read_range.h"

namespace forebay {
namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
// A file changed less than this long ago may change again within the clock's resolution (NFS
// servers: up to 1 s) and keep its tag.
constexpr std::int64_t kYoungNanoseconds = 2 * kNanosecondsPerSecond;
constexpr std::size_t kReadBytes = 1u << 20;
constexpr std::size_t kPageEntriesMax = 1000;

Error SystemError(int code, const std::string& path) {
  const std::string message = fmt::format("\"{}\": {}", path, std::strerror(code));
  switch (code) {
    case ENOENT:
    case ENOTDIR: return {Code::kNotFound, message};
    case EACCES:
    case EPERM: return {Code::kDenied, message};
    case EXDEV: return {Code::kDenied, fmt::format("\"{}\": a link leads out of the tree", path)};
    case ELOOP:
    case ENAMETOOLONG:
    case EINVAL:
    case EISDIR: return {Code::kInvalidArgument, message};
    case ENXIO:
    case ENODEV: return {Code::kInvalidArgument, fmt::format("\"{}\": a special file", path)};
    case ESTALE: return {Code::kChanged, message};  // The server replaced or removed it.
    default: return {Code::kUnavailable, message};
  }
}

Error Special(const std::string& path) {
  return {
      Code::kInvalidArgument,
      fmt::format("\"{}\": a fifo, socket or device; only files and directories are read", path)};
}

Status CheckTime(Deadline deadline, const std::stop_token& stop) {
  if (stop.stop_requested()) return Error(Code::kCancelled, "stopped");
  if (Passed(deadline)) return Error(Code::kDeadlineExceeded, "the file system was too slow");
  return {};
}

std::int64_t Nanoseconds(const timespec& time) {
  return time.tv_sec * kNanosecondsPerSecond + time.tv_nsec;
}

// Nothing for a special file.
std::optional<Attributes> AttributesOf(const struct stat& status) {
  Attributes attributes;
  attributes.mtime_ns = Nanoseconds(status.st_mtim);
  if (S_ISDIR(status.st_mode)) {
    attributes.type = FileType::kDirectory;
    return attributes;
  }
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  attributes.size = static_cast<std::uint64_t>(status.st_size);
  attributes.version =
      fmt::format("p:{}:{}:{}", attributes.size, attributes.mtime_ns, Nanoseconds(status.st_ctim));
  return attributes;
}

// As fstatat(2), but asks the server of a network file system, whose client may keep attributes for
// a minute: a staleness bound would be a lie. -1: see errno.
int FreshStatus(int fd, const char* name, int flags, struct stat& status) {
  struct statx fresh{};
  if (statx(fd, name, flags | AT_STATX_FORCE_SYNC,
            STATX_TYPE | STATX_SIZE | STATX_MTIME | STATX_CTIME, &fresh) != 0) {
    return -1;
  }
  status = {};
  status.st_mode = fresh.stx_mode;
  status.st_size = static_cast<off_t>(fresh.stx_size);
  status.st_mtim = {.tv_sec = fresh.stx_mtime.tv_sec, .tv_nsec = fresh.stx_mtime.tv_nsec};
  status.st_ctim = {.tv_sec = fresh.stx_ctime.tv_sec, .tv_nsec = fresh.stx_ctime.tv_nsec};
  return 0;
}

int FreshStatus(const UniqueFd& fd, struct stat& status) {
  return FreshStatus(fd.get(), "", AT_EMPTY_PATH, status);
}

Result<Attributes> AttributesOf(const UniqueFd& fd, const std::string& path) {
  struct stat status{};
  if (FreshStatus(fd, status) != 0) return SystemError(errno, path);
  const std::optional<Attributes> attributes = AttributesOf(status);
  if (!attributes) return Special(path);
  return *attributes;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

struct Names {
  std::set<std::string> names;  // The first kPageEntriesMax after the given one.
  bool more = false;
};

Result<Names> ReadNames(DIR* directory, const std::string& path, const std::string& after,
                        Deadline deadline, const std::stop_token& stop) {
  Names found;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(directory);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." || name <= after) continue;
    if (found.names.size() == kPageEntriesMax) {
      found.more = true;
      if (name > *found.names.rbegin()) continue;
      found.names.erase(std::prev(found.names.end()));
    }
    found.names.emplace(name);
    if (const Status in_time = CheckTime(deadline, stop); !in_time.ok()) return in_time.error();
  }
  if (errno != 0) return SystemError(errno, path);
  return found;
}

}  // namespace

Result<std::unique_ptr<Upstream>> PosixUpstream::Create(const std::string& root,
                                                        const Labels& store) {
  UniqueFd fd(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return SystemError(errno, root);
  return std::unique_ptr<Upstream>(new PosixUpstream(std::move(fd), root == "/", store));
}

Result<UniqueFd> PosixUpstream::Open(const std::string& path, int flags) const {
  if (path.find('\0') != std::string::npos) {
    return Error(Code::kInvalidArgument, "a path cannot hold a NUL byte");
  }
  open_how how{};
  how.flags = static_cast<__u64>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_NO_MAGICLINKS |
                static_cast<std::uint64_t>(is_whole_machine_ ? RESOLVE_IN_ROOT : RESOLVE_BENEATH);
  const std::string relative = "./" + path;
  constexpr int kTries = 8;  // EAGAIN: something was renamed while the kernel looked for "..".
  for (int i = 0; i < kTries; ++i) {
    const long fd = syscall(SYS_openat2, root_.get(), relative.c_str(), &how, sizeof(how));
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return SystemError(errno, path);
}

template <typename T>
Result<T> PosixUpstream::Counted(std::string_view method, Deadline began, Result<T> outcome) const {
  counts_.Ended(method, outcome.ok() ? "OK" : std::string(CodeName(outcome.error().code())), began);
  return outcome;
}

Result<Attributes> PosixUpstream::Stat(const std::string& path, Deadline deadline,
                                       std::stop_token stop) {
  if (const Status in_time = CheckTime(deadline, stop); !in_time.ok()) return in_time.error();
  const Deadline began = Clock::now();
  const Result<UniqueFd> fd = Open(path, O_PATH);
  if (!fd.ok()) return Counted<Attributes>("STAT", began, fd.error());
  return Counted("STAT", began, AttributesOf(fd.value(), path));
}

Result<Attributes> PosixUpstream::StatEntry(int directory_fd, const std::string& directory,
                                            const std::string& name) const {
  struct stat status{};
  if (FreshStatus(directory_fd, name.c_str(), AT_SYMLINK_NOFOLLOW, status) != 0) {
    return SystemError(errno, directory + name);
  }
  if (S_ISLNK(status.st_mode)) {  // From the root, so that "../x" may stay beneath it.
    const Result<UniqueFd> target = Open(directory + name, O_PATH);
    if (!target.ok()) return target.error();
    return AttributesOf(target.value(), directory + name);
  }
  const std::optional<Attributes> attributes = AttributesOf(status);
  if (!attributes) return Special(directory + name);
  return *attributes;
}

Result<ListPage> PosixUpstream::ListDirectory(const std::string& directory,
                                              const std::string& after, Deadline deadline,
                                              const std::stop_token& stop) const {
  if (!directory.empty() && !directory.ends_with('/')) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": a directory's path ends in '/'", directory));
  }
  const Result<UniqueFd> fd = Open(directory, O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) return fd.error();
  // The stream owns a copy of its own.
  const Directory stream(fdopendir(fcntl(fd.value().get(), F_DUPFD_CLOEXEC, 0)));
  if (stream == nullptr) return SystemError(errno, directory);
  const Result<Names> found = ReadNames(stream.get(), directory, after, deadline, stop);
  if (!found.ok()) return found.error();

  ListPage page;
  for (const std::string& name : found.value().names) {
    if (const Status in_time = CheckTime(deadline, stop); !in_time.ok()) return in_time.error();
    Result<Attributes> attributes = StatEntry(fd.value().get(), directory, name);
    if (attributes.ok()) {
      page.entries.push_back({name, std::move(attributes).value()});
    } else if (attributes.error().code() == Code::kUnavailable) {
      return std::move(attributes).error();
    } else {
      ++page.left_out;
    }
  }
  if (found.value().more) page.next = *found.value().names.rbegin();
  return page;
}

Result<ListPage> PosixUpstream::List(const std::string& directory, const std::string& after,
                                     Deadline deadline, std::stop_token stop) {
  const Deadline began = Clock::now();
  return Counted("LIST", began, ListDirectory(directory, after, deadline, stop));
}

Result<ReadOutcome> PosixUpstream::ReadFile(const ReadRange& range, ByteSink& sink,
                                            Deadline deadline, const std::stop_token& stop) const {
  const auto changed = [&range] {
    return Error(Code::kChanged,
                 fmt::format("\"{}\": no longer the version asked for", range.path));
  };
  // O_NONBLOCK: opening a fifo would wait for its writer.
  const Result<UniqueFd> fd = Open(range.path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd.ok()) return fd.error();
  const std::int64_t opened_ns = WallClockNanoseconds();
  struct stat status{};
  if (FreshStatus(fd.value(), status) != 0) return SystemError(errno, range.path);
  const std::optional<Attributes> before = AttributesOf(status);
  if (!before) return Special(range.path);
  if (before->type != FileType::kFile || before->version != range.version ||
      before->size != range.file_size) {
    return changed();
  }
  std::vector<std::byte> buffer(std::min<std::size_t>(range.length, kReadBytes));
  for (std::uint64_t done = 0; done < range.length;) {
    if (const Status in_time = CheckTime(deadline, stop); !in_time.ok()) return in_time.error();
    const std::size_t wanted = std::min<std::size_t>(buffer.size(), range.length - done);
    const ssize_t got =
        pread(fd.value().get(), buffer.data(), wanted, static_cast<off_t>(range.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(errno, range.path);
    if (got == 0) return changed();  // Cut off under us.
    const auto length = static_cast<std::size_t>(got);
    if (Status written = sink.Write({buffer.data(), length}); !written.ok()) {
      return std::move(written).error();
    }
    done += length;
  }
  const Result<Attributes> after = AttributesOf(fd.value(), range.path);
  if (!after.ok()) return after.error();
  if (after.value().version != range.version) return changed();
  return ReadOutcome{.cacheable = opened_ns - Nanoseconds(status.st_ctim) >= kYoungNanoseconds};
}

Result<ReadOutcome> PosixUpstream::Read(const ReadRange& range, ByteSink& sink, Deadline deadline,
                                        std::stop_token stop) {
  if (Status checked = CheckRange(range); !checked.ok()) return std::move(checked).error();
  const Deadline began = Clock::now();
  Result<ReadOutcome> outcome = Counted("READ", began, ReadFile(range, sink, deadline, stop));
  if (outcome.ok()) counts_.Read(range.length);
  return outcome;
}

}  // namespace forebay
