#include "app/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/log.h"
#include "io/unique_fd.h"

namespace forebay {

Status NotifyServiceManager(const std::string& path, const std::string& state) {
  if (path.empty()) return {};
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if ((path[0] != '/' && path[0] != '@') || path.size() >= sizeof address.sun_path) {
    return Error(Code::kInvalidArgument,
                 "NOTIFY_SOCKET \"" + path + "\": not an absolute path of at most 107 bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  const ssize_t sent = sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                              reinterpret_cast<const sockaddr*>(&address), length);
  if (sent == static_cast<ssize_t>(state.size())) return {};
  return Error(Code::kUnavailable, "NOTIFY_SOCKET \"" + path + "\": " + std::strerror(errno));
}

void TellServiceManager(const Context& context, const std::string& state) {
  const auto socket = context.environment.find("NOTIFY_SOCKET");
  if (socket == context.environment.end()) return;
  const Status told = NotifyServiceManager(socket->second, state);
  if (!told.ok()) {
    Log(Level::kWarning, "the service manager was not told", {{"error", told.error().message()}});
  }
}

}  // namespace forebay
