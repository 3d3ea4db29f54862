#include "app/output.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace forebay {

Status WriteStdout(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd waited{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
      poll(&waited, 1, -1);
    } else if (errno == EPIPE) {
      return Error(Code::kCancelled, "standard output was closed");
    } else if (errno != EINTR) {
      return Error(Code::kInternal, fmt::format("standard output: {}", std::strerror(errno)));
    }
  }
  return {};
}

Status WriteStdout(std::string_view text) {
  return WriteStdout(std::as_bytes(std::span(text.data(), text.size())));
}

std::string OneLine(std::string_view text) {
  constexpr unsigned char kFirstPrintable = 0x20;
  constexpr unsigned char kDelete = 0x7f;
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else if (byte < kFirstPrintable || byte == kDelete) {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += c;
    }
  }
  return line;
}

void Complain(const Context& context, std::string_view message) {
  fmt::print(stderr, "{}: {}\n", context.verb, OneLine(message));
}

void Note(const Context& context, std::string_view message) {
  if (!context.settings.Switch("quiet")) Complain(context, message);
}

int WrongInput(const Context& context, const Error& error) {
  Complain(context, error.message());
  return kExitUsage;
}

int Ended(const Context& context, const Interrupts& interrupts, const Status& status) {
  if (interrupts.fired()) return kExitInterrupted;
  if (status.ok()) return kExitDone;
  if (status.error().code() != Code::kCancelled) Complain(context, status.error().message());
  return kExitFailed;
}

Result<std::string> OutputFormat(const Context& context, std::span<const std::string_view> known) {
  const std::string& format = context.settings.Text("output");
  if (std::ranges::find(known, format) != known.end()) return format;
  return Error(Code::kInvalidArgument, fmt::format("--output \"{}\": no such format; write {}",
                                                   format, fmt::join(known, ", ")));
}

}  // namespace forebay
