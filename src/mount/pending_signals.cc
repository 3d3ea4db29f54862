#include "mount/pending_signals.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>

#include "io/unique_fd.h"

namespace forebay {
namespace {

// The set of signals in the line that begins with `name`, bit 0 being signal 1.
std::uint64_t SetIn(std::string_view status, std::string_view name) {
  const std::size_t begin = status.find(name);
  if (begin == std::string_view::npos) return 0;
  status.remove_prefix(begin + name.size());
  while (status.starts_with('\t') || status.starts_with(' ')) status.remove_prefix(1);
  constexpr int kHexadecimal = 16;
  std::uint64_t set = 0;
  std::from_chars(status.data(), status.data() + status.size(), set, kHexadecimal);
  return set;
}

constexpr std::uint64_t BitOf(int signal) {
  return std::uint64_t{1} << (signal - 1);
}

}  // namespace

bool IsAskedToEnd(std::string_view status) {
  // What ends a program by default is pending as SIGKILL for each of its threads.
  constexpr std::uint64_t kEnding =
      BitOf(SIGKILL) | BitOf(SIGINT) | BitOf(SIGQUIT) | BitOf(SIGTERM) | BitOf(SIGHUP);
  const std::uint64_t pending = SetIn(status, "\nSigPnd:") | SetIn(status, "\nShdPnd:");
  return (pending & ~SetIn(status, "\nSigBlk:") & kEnding) != 0;
}

bool IsAskedToEnd(std::uint32_t tid) {
  const UniqueFd fd(open(fmt::format("/proc/{}/status", tid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return true;
  std::array<char, 8192> buffer{};
  const ssize_t size = read(fd.get(), buffer.data(), buffer.size());
  if (size <= 0) return true;
  return IsAskedToEnd(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
}

}  // namespace forebay
