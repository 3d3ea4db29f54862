#include "app/document_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "io/unique_fd.h"

namespace forebay {
namespace {

// ParseDocuments takes less; what is longer needs not be read to the end.
constexpr std::size_t kBytesMax = 8u << 20;

// Appends what `fd` has to `text`, a little more than kBytesMax at most.
Status ReadAll(int fd, std::string& text) {
  std::array<char, 64u << 10> piece{};
  while (text.size() <= kBytesMax) {
    const ssize_t got = read(fd, piece.data(), piece.size());
    if (got == 0) return {};
    if (got > 0) {
      text.append(piece.data(), static_cast<std::size_t>(got));
    } else if (errno != EINTR) {
      return Error(Code::kInvalidArgument, std::strerror(errno));
    }
  }
  return {};
}

}  // namespace

Result<ParsedDocuments> ReadDocuments(const Context& context) {
  const std::string& path = context.settings.Text("file");
  if (path.empty()) {
    return Error(Code::kInvalidArgument,
                 "--file is missing; write -f FILE, or -f - for standard input");
  }
  const bool is_input = path == "-";
  UniqueFd opened(is_input ? -1 : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  const Status status = !is_input && opened.get() < 0
                            ? Error(Code::kInvalidArgument, std::strerror(errno))
                            : ReadAll(is_input ? STDIN_FILENO : opened.get(), text);
  if (!status.ok()) {
    return Error(Code::kInvalidArgument, fmt::format("--file \"{}\": {}; name a file of documents",
                                                     path, status.error().message()));
  }
  return ParseDocuments(text, is_input ? "standard input" : path);
}

}  // namespace forebay
