// The kernel's side is played by a socket.
#include "mount/fuse_connection.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace forebay {
namespace {

struct Init {
  fuse_in_header header{};
  fuse_init_in in{};
};

class ConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()),
              0);
    kernel_.Reset(pair[0]);
    device_.Reset(pair[1]);
  }
  void Ask(std::uint32_t opcode, std::uint32_t minor, bool has_resend) const {
    Init init;
    init.header.len = sizeof(init);
    init.header.opcode = opcode;
    init.header.unique = 2;
    init.in.major = 7;
    init.in.minor = minor;
    init.in.flags = FUSE_INIT_EXT;
    init.in.flags2 = has_resend ? 1u << 7 : 0;
    EXPECT_EQ(write(kernel_.get(), &init, sizeof(init)), static_cast<ssize_t>(sizeof(init)));
  }
  // -1: nothing.
  int Told() const {
    std::array<std::byte, 4096> bytes{};
    if (read(kernel_.get(), bytes.data(), bytes.size()) < 0) return -1;
    fuse_out_header header{};
    std::memcpy(&header, bytes.data(), sizeof(header));
    return header.error;
  }

  UniqueFd kernel_;
  UniqueFd device_;
};

TEST_F(ConnectionTest, AsksForWhatADeadProcessLeft) {
  Ask(FUSE_INIT, 44, true);
  FuseConnection connection = FuseConnection::Settle(std::move(device_), {}).value();
  EXPECT_EQ(Told(), 0);
  EXPECT_EQ(connection.channels().size(), 1u);  // A socket has no clones.
  connection.Recover();
  EXPECT_EQ(Told(), 7);
}

TEST_F(ConnectionTest, ButOnlyAKernelThatCanDoSo) {
  Ask(FUSE_INIT, 38, false);
  FuseConnection connection = FuseConnection::Settle(std::move(device_), {}).value();
  EXPECT_EQ(Told(), 0);
  connection.Recover();
  EXPECT_EQ(Told(), -1);
}

TEST_F(ConnectionTest, OldKernelsAreRefused) {
  Ask(FUSE_INIT, 30, false);
  EXPECT_EQ(FuseConnection::Settle(std::move(device_), {}).error().code(), Code::kUnavailable);
  EXPECT_EQ(Told(), -EPROTO);
}

TEST_F(ConnectionTest, AnythingElseFirstIsRefused) {
  Ask(FUSE_STATFS, 44, true);
  EXPECT_EQ(FuseConnection::Settle(std::move(device_), {}).error().code(), Code::kUnavailable);
  EXPECT_EQ(Told(), -EIO);
}

}  // namespace
}  // namespace forebay
