// The yardstick: sendfile(2) to recv(2) over plain TCP, with nothing in between.
//
//   raw_pairing serve ADDRESS PORT FILE
//   raw_pairing read CONNECTIONS BYTES ADDRESS PORT [ADDRESS PORT]...
//
// `serve` prints `ready`; to each connection it sends as many bytes as the connection asks for with
// eight bytes (little-endian), from the start of FILE over and over. `read` connects, connection i
// to server i modulo their number, prints `ready`, waits for a line on standard input, reads BYTES
// on each, and prints one line of JSON. Uses none of Forebay's network code, so that a fault there
// cannot slow both sides of a comparison; cubic on both ends, as Forebay's sockets have.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/task_group.h"
#include "io/unique_fd.h"

namespace forebay {
namespace {

constexpr std::size_t kChunkBytes = 1u << 20;  // Of one sendfile, and of the receiver's buffer.

[[noreturn]] void Die(std::string_view what) {
  fmt::print(stderr, "raw_pairing: {}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

UniqueFd NewSocket() {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  constexpr std::string_view kCubic = "cubic";
  if (!fd || setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, kCubic.data(), kCubic.size()) != 0) {
    Die("socket with cubic");
  }
  return fd;
}

sockaddr_in AddressOf(const char* host, const char* port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoul(port)));
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) Die(host);
  return address;
}

const sockaddr* Raw(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

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
  const UniqueFd listener = NewSocket();
  const int on = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = AddressOf(host, port);
  constexpr int kBacklog = 1024;
  if (bind(listener.get(), Raw(address), sizeof address) != 0 ||
      listen(listener.get(), kBacklog) != 0) {
    Die("listen");
  }
  fmt::print("ready\n");
  std::fflush(stdout);
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

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
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
  fmt::print("ready\n");
  std::fflush(stdout);
  while (const int c = std::getchar()) {
    if (c == '\n' || c == EOF) break;
  }
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
