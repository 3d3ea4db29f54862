// The yardstick: sendfile(2) to recv(2) over plain TCP, with nothing in between.
//
//   raw_pairing serve ADDRESS PORT FILE
//   raw_pairing read CONNECTIONS BYTES ADDRESS PORT [ADDRESS PORT]...
//
// `serve` prints `ready`; to each connection it sends as many bytes as the connection asks for with
// eight bytes (little-endian), from the start of FILE over and over. `read` connects, connection i
// to server i modulo their number, prints `ready`, waits for a line on standard input, reads BYTES
// on each, and prints one line of JSON.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/task_group.h"
#include "raw_sockets.h"

namespace forebay {
namespace {

constexpr std::size_t kChunkBytes = 1u << 20;  // Of one sendfile, and of the receiver's buffer.

void SendAsked(int connection, int file, std::uint64_t file_bytes) {
  std::uint64_t left = 0;
  if (recv(connection, &left, sizeof left, MSG_WAITALL) != sizeof left) return;
  off_t offset = 0;
  while (left > 0) {
    if (static_cast<std::uint64_t>(offset) == file_bytes) offset = 0;
    const ssize_t sent = sendfile(connection, file, &offset, std::min(left, kChunkBytes));
    if (sent <= 0) return;  // The reader is gone; it will have said why.
    left -= static_cast<std::uint64_t>(sent);
  }
  char end = 0;
  static_cast<void>(recv(connection, &end, 1, 0));  // Until the reader closes.
}

int Serve(const char* host, const char* port, const char* path) {
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  if (!file || fstat(file.get(), &status) != 0 || status.st_size == 0) Die(path);
  const UniqueFd listener = ListenReady(host, port);
  TaskGroup threads;
  while (true) {
    const int connection = accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) Die("accept");
    threads.Run("send", [connection, &file, &status](std::stop_token) {
      const UniqueFd owned(connection);
      SendAsked(connection, file.get(), static_cast<std::uint64_t>(status.st_size));
    });
  }
}

void ReadAll(int connection, std::uint64_t left) {
  std::vector<std::byte> buffer(kChunkBytes);
  if (send(connection, &left, sizeof left, 0) != sizeof left) Die("send");
  while (left > 0) {
    const ssize_t got = recv(connection, buffer.data(), std::min(left, kChunkBytes), MSG_WAITALL);
    if (got <= 0) Die("recv");
    left -= static_cast<std::uint64_t>(got);
  }
}

int Read(std::size_t connections, std::uint64_t bytes, const std::vector<sockaddr_in>& servers) {
  std::vector<UniqueFd> fds;
  for (std::size_t i = 0; i < connections; ++i) {
    fds.push_back(NewSocket());
    const sockaddr_in& server = servers[i % servers.size()];
    if (connect(fds.back().get(), Raw(server), sizeof server) != 0) Die("connect");
  }
  AwaitLine();
  const double cpu_before = CpuSeconds();
  const auto start = std::chrono::steady_clock::now();
  {
    TaskGroup threads;
    for (const UniqueFd& fd : fds) {
      threads.Run("receive", [&fd, bytes](std::stop_token) { ReadAll(fd.get(), bytes); });
    }
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  fmt::print("{{\"bytes\": {}, \"seconds\": {:.6f}, \"cpuSeconds\": {:.6f}}}\n",
             bytes * connections, taken.count(), CpuSeconds() - cpu_before);
  return 0;
}

int Run(const std::vector<const char*>& arguments) {
  const std::string_view verb = arguments.empty() ? "" : arguments[0];
  constexpr std::size_t kFirstServer = 3;
  if (verb == "serve" && arguments.size() == 4) {
    return Serve(arguments[1], arguments[2], arguments[3]);
  }
  if (verb != "read" || arguments.size() < kFirstServer + 2 || arguments.size() % 2 == 0) {
    fmt::print(stderr, "usage: at the top of bench/raw_pairing.cc\n");
    return 2;
  }
  std::vector<sockaddr_in> servers;
  for (std::size_t i = kFirstServer; i < arguments.size(); i += 2) {
    servers.push_back(AddressOf(arguments[i], arguments[i + 1]));
  }
  return Read(std::stoul(arguments[1]), std::stoull(arguments[2]), servers);
}

}  // namespace
}  // namespace forebay

int main(int argc, char** argv) {
  return forebay::Run(std::vector<const char*>(argv + 1, argv + argc));
}
