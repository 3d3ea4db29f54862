#include "raw_sockets.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace forebay {

void Die(std::string_view what) {
  fmt::print(stderr, "{}: {}: {}\n", program_invocation_short_name, what, std::strerror(errno));
  std::exit(1);
}

UniqueFd NewSocket(int flags) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
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

UniqueFd ListenReady(const char* host, const char* port, int flags) {
  UniqueFd listener = NewSocket(flags);
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
  return listener;
}

void AwaitLine() {
  fmt::print("ready\n");
  std::fflush(stdout);
  while (const int c = std::getchar()) {
    if (c == '\n' || c == EOF) break;
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

}  // namespace forebay
