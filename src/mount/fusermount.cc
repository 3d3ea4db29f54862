#include "mount/fusermount.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "io/message_socket.h"
#include "io/socket.h"

namespace forebay {
namespace {

constexpr int kCommFd = 3;  // Of the child; its only one beside the standard three.

struct Outcome {
  int status = 0;
  std::string said;
};

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::string ReadAll(int fd) {
  constexpr std::size_t kMost = 64u << 10;
  std::string text;
  std::array<char, 1024> buffer{};
  while (text.size() < kMost) {
    const ssize_t size = read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// Runs it to its end. `comm` is its socket for the descriptor, or -1.
Result<Outcome> Run(std::vector<std::string> arguments, int comm) {
  arguments.insert(arguments.begin(), "fusermount3");
  std::vector<std::string> environment = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                          fmt::format("_FUSE_COMMFD={}", kCommFd)};
  std::array<int, 2> said{};
  if (pipe2(said.data(), O_CLOEXEC) != 0) return Error(Code::kUnavailable, std::strerror(errno));
  const UniqueFd said_here(said[0]);
  UniqueFd said_there(said[1]);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, said_there.get(), STDERR_FILENO);
  if (comm >= 0) posix_spawn_file_actions_adddup2(&files, comm, kCommFd);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, "fusermount3", &files, nullptr, Pointers(arguments).data(),
                                  Pointers(environment).data());
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) {
    return Error(Code::kUnavailable,
                 fmt::format("fusermount3: {}; who is not root mounts through it: install the "
                             "package fuse3",
                             std::strerror(failed)));
  }
  said_there.Reset();
  Outcome outcome;
  outcome.said = ReadAll(said_here.get());
  while (waitpid(pid, &outcome.status, 0) < 0 && errno == EINTR) continue;
  return outcome;
}

// The descriptor that was sent over `socket`, by somebody who has closed it since.
Result<UniqueFd> ReceiveDescriptor(int socket) {
  constexpr std::size_t kSentBytes = 1;
  Result<SocketMessage> sent = ReceiveMessage(socket, kSentBytes, NoDeadline(), {});
  if (!sent.ok() || !sent.value().fd) {
    return Error(Code::kUnavailable, "fusermount3: gave no descriptor");
  }
  return std::move(sent.value().fd);
}

bool Succeeded(const Outcome& outcome) {
  return WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 0;
}

}  // namespace

Result<UniqueFd> MountByFusermount(const MountOptions& options) {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return Error(Code::kUnavailable, std::strerror(errno));
  }
  const UniqueFd here(pair[0]);
  UniqueFd there(pair[1]);
  const std::string list =
      fmt::format("ro,nosuid,nodev,default_permissions,fsname={},subtype=forebay{}{}",
                  EscapedOption(options.source), options.allow_other ? ",allow_other" : "",
                  options.no_exec ? ",noexec" : "");
  const Result<Outcome> outcome = Run({"-o", list, "--", options.directory}, there.get());
  there.Reset();
  if (!outcome.ok()) return outcome.error();
  if (!Succeeded(outcome.value())) {
    const std::string& said = outcome.value().said;
    const bool is_policy = said.find("user_allow_other") != std::string::npos;
    return Error(Code::kDenied, said.empty()
                                    ? "fusermount3 failed"
                                    : said + (is_policy ? "; or leave --allow-other out" : ""));
  }
  return ReceiveDescriptor(here.get());
}

Status UnmountByFusermount(const std::string& directory, Unmounting how) {
  std::vector<std::string> arguments = {"-u"};
  if (how != Unmounting::kNow) arguments.emplace_back("-z");
  arguments.emplace_back("--");
  arguments.push_back(directory);
  const Result<Outcome> outcome = Run(std::move(arguments), -1);
  if (!outcome.ok()) return outcome.error();
  if (Succeeded(outcome.value())) return {};
  const std::string& said = outcome.value().said;
  const bool is_busy = said.find("busy") != std::string::npos;
  return Error(is_busy ? Code::kOverloaded : Code::kDenied,
               said.empty() ? "fusermount3 failed" : said);
}

}  // namespace forebay
