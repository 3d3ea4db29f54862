#include "control/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "io/unique_fd.h"

namespace forebay {
namespace {

Error SystemError(const std::string& what, int number) {
  const std::string message = fmt::format("{}: {}", what, strerror(number));
  if (number == ENOENT) return {Code::kNotFound, message};
  if (number == EACCES || number == EPERM || number == EROFS) return {Code::kDenied, message};
  return {Code::kUnavailable, message};
}

Status WriteAll(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("write " + path, errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// A rename is kept over a power cut only when its directory was flushed.
Status SyncDirectoryOf(const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path().string();
  const UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) return SystemError("flush " + directory, errno);
  return {};
}

}  // namespace

Status MakePrivateDirectory(const std::string& path) {
  std::error_code error;
  const mode_t before = umask(077);
  std::filesystem::create_directories(path, error);
  umask(before);
  if (!error) return {};
  return Error(Code::kDenied, fmt::format("\"{}\": cannot be made: {}", path, error.message()));
}

Status ReplaceFile(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  constexpr mode_t kPrivate = 0600;
  const UniqueFd fd(open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kPrivate));
  if (fd.get() < 0) return SystemError("write " + fresh, errno);
  Status written = WriteAll(fd.get(), text, fresh);
  if (written.ok() && fsync(fd.get()) != 0) written = SystemError("flush " + fresh, errno);
  if (written.ok()) written = RenameFile(fresh, path);
  if (!written.ok()) unlink(fresh.c_str());
  return written;
}

Status RenameFile(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return SystemError("replace " + to, errno);
  return SyncDirectoryOf(to);
}

Result<std::string> ReadFile(const std::string& path, std::size_t bytes_max) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return SystemError("read " + path, errno);
  std::string text;
  constexpr std::size_t kStep = 64u << 10;
  while (true) {
    const std::size_t before = text.size();
    text.resize(before + kStep);
    const ssize_t got = read(fd.get(), text.data() + before, kStep);
    if (got < 0 && errno != EINTR) return SystemError("read " + path, errno);
    text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return text;
    if (text.size() > bytes_max) {
      return Error(Code::kInvalidArgument,
                   fmt::format("{}: longer than {} bytes", path, bytes_max));
    }
  }
}

}  // namespace forebay
