#include "app/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "io/unique_fd.h"

namespace forebay {
namespace {

// A datagram socket bound to `path`; "@" begins an abstract one.
UniqueFd Manager(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size())),
            0);
  return fd;
}

std::string Heard(const UniqueFd& fd) {
  char text[64] = {};
  const ssize_t length = recv(fd.get(), text, sizeof text, MSG_DONTWAIT);
  return length < 0 ? "" : std::string(text, static_cast<std::size_t>(length));
}

TEST(ServiceManager, HearsTheState) {
  char directory[] = "/tmp/forebay-notify-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string file = std::string(directory) + "/s";
  for (const std::string& path : {file, "@forebay-notify-" + std::to_string(getpid())}) {
    const UniqueFd manager = Manager(path);
    const Status told = NotifyServiceManager(path, "READY=1");
    EXPECT_TRUE(told.ok()) << told.error().message();
    EXPECT_EQ(Heard(manager), "READY=1") << path;
  }
  unlink(file.c_str());
  rmdir(directory);
}

TEST(ServiceManager, NobodyAndNonsense) {
  EXPECT_TRUE(NotifyServiceManager("", "READY=1").ok());
  EXPECT_EQ(NotifyServiceManager("/nowhere/s", "x").error().code(), Code::kUnavailable);
  EXPECT_EQ(NotifyServiceManager("relative", "x").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(NotifyServiceManager('/' + std::string(107, 'a'), "x").error().code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace forebay
