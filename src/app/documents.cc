#include "app/documents.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "io/socket.h"
#include "io/unique_fd.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;

constexpr std::size_t kBytesMax = 4u << 20;  // A thousand datasets.

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

Result<std::string> ReadAll(int fd, const std::stop_token& stop) {
  std::string text;
  std::array<char, 64 << 10> buffer{};
  while (true) {
    // Somebody may be typing.
    while (!WaitFor(fd, false, Clock::now() + 50ms)) {
      if (stop.stop_requested()) return Error(Code::kCancelled, "stopped");
    }
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got == 0) return text;
    if (got < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return Invalid(std::strerror(errno));
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kBytesMax) return Invalid("longer than 4 MiB; split it");
  }
}

}  // namespace

Result<Documents> ReadDocuments(const Context& context, std::stop_token stop) {
  if (!context.settings.Has("file")) {
    return Invalid("--file is missing; write -f FILE, or -f - for standard input");
  }
  const std::string& path = context.settings.Text("file");
  const bool from_stdin = path == "-";
  UniqueFd file(from_stdin ? -1 : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!from_stdin && file.get() < 0) {
    return Invalid(fmt::format("--file \"{}\": {}; name a file of YAML or JSON documents", path,
                               std::strerror(errno)));
  }
  Result<std::string> text = ReadAll(from_stdin ? STDIN_FILENO : file.get(), stop);
  if (!text.ok()) return std::move(text).error().Within(fmt::format("--file \"{}\"", path));
  return Documents{from_stdin ? "standard input" : path, std::move(text).value()};
}

}  // namespace forebay
