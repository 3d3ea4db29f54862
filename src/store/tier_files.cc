#include "store/tier_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace forebay {
namespace {

Error ErrorOf(const std::string& what, int number) {
  const std::string message = fmt::format("{}: {}", what, std::strerror(number));
  switch (number) {
    case ENOSPC:
    case ENOMEM:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EBUSY:
    case EAGAIN: return Error(Code::kUnavailable, message);
    case EPERM:
    case EACCES:
    case EROFS: return Error(Code::kDenied, message);
    case EEXIST:
    case EINVAL:
    case ELOOP:
    case ENAMETOOLONG:
    case ENOENT:
    case ENOTDIR:
    case EOPNOTSUPP: return Error(Code::kInvalidArgument, message);
    default: return Error(Code::kInternal, message);
  }
}

// fallocate(2) gives up on every signal; a profiler's should not make the tier smaller.
constexpr int kInterruptsMax = 100;

Status FallocateRange(int fd, int mode, FileRange range, const char* what) {
  int number = EINTR;
  for (int i = 0; i < kInterruptsMax && number == EINTR; ++i) {
    if (fallocate(fd, mode, static_cast<off_t>(range.offset), static_cast<off_t>(range.length)) ==
        0) {
      return {};
    }
    number = errno;
  }
  return ErrorOf(fmt::format("{} {} bytes at {}", what, range.length, range.offset), number);
}

Status MountTmpfs(const std::string& path, const TmpfsOptions& options, unsigned long flags) {
  const std::string data = fmt::format("size={},mode=0700,huge={}", options.size_bytes,
                                       options.huge ? "within_size" : "never");
  if (mount(kTierMountSource, path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | flags,
            data.c_str()) == 0) {
    return {};
  }
  return ErrorOf((flags == 0 ? "mount tmpfs on " : "remount tmpfs on ") + path, errno);
}

class SystemFiles final : public TierFiles {
 public:
  Result<bool> MakeDirectory(const std::string& path) override {
    if (mkdir(path.c_str(), 0700) == 0) return true;
    if (errno == EEXIST) return false;
    return ErrorOf("make directory " + path, errno);
  }

  Result<UniqueFd> OpenDirectory(const std::string& path) override {
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return ErrorOf("open directory " + path, errno);
    return fd;
  }

  Status Lock(int directory_fd) override {
    if (flock(directory_fd, LOCK_EX | LOCK_NB) == 0) return {};
    return ErrorOf("lock", errno);
  }

  Status Mount(const std::string& path, const TmpfsOptions& options) override {
    return MountTmpfs(path, options, 0);
  }
  Status Remount(const std::string& path, const TmpfsOptions& options) override {
    return MountTmpfs(path, options, MS_REMOUNT);
  }

  Status Unmount(const std::string& path, bool lazily) override {
    if (umount2(path.c_str(), UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)) == 0) return {};
    return ErrorOf("unmount " + path, errno);
  }

  Result<UniqueFd> CreateFile(const std::string& path) override {
    UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return ErrorOf("create " + path, errno);
    return fd;
  }

  Result<FoundFile> OpenFile(const std::string& path) override {
    // Not blocking: it may be a pipe.
    UniqueFd fd(open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status = {};
    if (!fd || fstat(fd.get(), &status) != 0) return ErrorOf("open " + path, errno);
    const bool own = S_ISREG(status.st_mode) && status.st_nlink == 1 &&
                     status.st_uid == geteuid() && (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
    if (!own) return Error(Code::kInvalidArgument, "open " + path + ": not a file of this user");
    return FoundFile{std::move(fd), static_cast<std::uint64_t>(status.st_size)};
  }

  Status Read(int fd, std::span<std::byte> bytes) override {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t count =
          pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return ErrorOf("read", count == 0 ? EIO : errno);
      done += static_cast<std::size_t>(count);
    }
    return {};
  }

  Status Resize(int fd, std::uint64_t bytes) override {
    if (ftruncate(fd, static_cast<off_t>(bytes)) == 0) return {};
    return ErrorOf(fmt::format("resize to {} bytes", bytes), errno);
  }

  Status Allocate(int fd, FileRange range) override {
    return FallocateRange(fd, 0, range, "allocate");
  }

  Status Punch(int fd, FileRange range) override {
    return FallocateRange(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range, "punch");
  }

  Result<std::span<std::byte>> Map(int fd, std::uint64_t bytes) override {
    void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (start == MAP_FAILED) return ErrorOf(fmt::format("map {} bytes", bytes), errno);
    return std::span<std::byte>(static_cast<std::byte*>(start), bytes);
  }

  Status MapOver(int fd, std::span<std::byte> mapping) override {
    void* start =
        mmap(mapping.data(), mapping.size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    if (start != MAP_FAILED) return {};
    return ErrorOf(fmt::format("map {} bytes again", mapping.size()), errno);
  }
};

}  // namespace

void TierFiles::Populate(std::span<std::byte> allocated) {
  if (madvise(allocated.data(), allocated.size(), MADV_POPULATE_WRITE) == 0 || errno != EINVAL) {
    return;
  }
  // A kernel before 5.14.
  constexpr std::size_t kStep = 4096;
  for (std::size_t at = 0; at < allocated.size(); at += kStep) {
    // Somebody may be writing there.
    std::atomic_ref(reinterpret_cast<unsigned char&>(allocated[at])).fetch_or(0);
  }
}
void TierFiles::Unmap(std::span<std::byte> mapping) {
  munmap(mapping.data(), mapping.size());
}
void TierFiles::RemoveFile(const std::string& path) {
  unlink(path.c_str());
}
void TierFiles::RemoveFileAt(int directory_fd, const std::string& name) {
  unlinkat(directory_fd, name.c_str(), 0);
}
void TierFiles::RemoveDirectory(const std::string& path) {
  rmdir(path.c_str());
}

std::shared_ptr<TierFiles> SystemTierFiles() {
  return std::make_shared<SystemFiles>();
}

}  // namespace forebay
