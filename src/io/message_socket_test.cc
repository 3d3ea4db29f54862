#include "io/message_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "io/socket.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

class MessageSocket : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/forebay-messages-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ + "/s";
    Result<UniqueFd> listener = ListenForMessages(path_);
    ASSERT_TRUE(listener.ok()) << listener.error().message();
    listener_ = std::move(listener).value();
    Result<UniqueFd> client = ConnectForMessages(path_);
    ASSERT_TRUE(client.ok()) << client.error().message();
    client_ = std::move(client).value();
    ASSERT_TRUE(WaitFor(listener_.get(), false, Clock::now() + 5s));
    Result<UniqueFd> server = Accept(listener_.get());
    ASSERT_TRUE(server.ok());
    server_ = std::move(server).value();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  std::string path_;
  UniqueFd listener_;
  UniqueFd client_;
  UniqueFd server_;
};

std::vector<std::byte> Text(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST_F(MessageSocket, MessagesStayWholeAndInOrder) {
  ASSERT_TRUE(SendMessage(client_.get(), Text("one"), -1, Clock::now() + 1s).ok());
  ASSERT_TRUE(SendMessage(client_.get(), Text("two and more"), -1, Clock::now() + 1s).ok());
  Result<SocketMessage> first = ReceiveMessage(server_.get(), 100, Clock::now() + 1s, {});
  Result<SocketMessage> second = ReceiveMessage(server_.get(), 100, Clock::now() + 1s, {});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first.value().bytes, Text("one"));
  EXPECT_EQ(second.value().bytes, Text("two and more"));
  EXPECT_FALSE(first.value().fd);
}

TEST_F(MessageSocket, ADescriptorComesAlong) {
  const UniqueFd file(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(SendMessage(client_.get(), Text("x"), file.get(), Clock::now() + 1s).ok());
  Result<SocketMessage> received = ReceiveMessage(server_.get(), 100, Clock::now() + 1s, {});
  ASSERT_TRUE(received.ok());
  struct stat sent = {};
  struct stat got = {};
  ASSERT_EQ(fstat(file.get(), &sent), 0);
  ASSERT_EQ(fstat(received.value().fd.get(), &got), 0);
  EXPECT_EQ(sent.st_ino, got.st_ino);
  EXPECT_NE(fcntl(received.value().fd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(MessageSocket, WhatIsTooLongIsRefused) {
  ASSERT_TRUE(SendMessage(client_.get(), Text("12345"), -1, Clock::now() + 1s).ok());
  Result<SocketMessage> received = ReceiveMessage(server_.get(), 4, Clock::now() + 1s, {});
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(received.error().code(), Code::kInvalidArgument);
}

TEST_F(MessageSocket, WaitsEnd) {
  EXPECT_EQ(ReceiveMessage(server_.get(), 9, Clock::now() + 20ms, {}).error().code(),
            Code::kDeadlineExceeded);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(ReceiveMessage(server_.get(), 9, NoDeadline(), stop.get_token()).error().code(),
            Code::kCancelled);
  client_.Reset();
  EXPECT_EQ(ReceiveMessage(server_.get(), 9, NoDeadline(), {}).error().code(), Code::kUnavailable);
  EXPECT_EQ(SendMessage(server_.get(), Text("x"), -1, NoDeadline()).error().code(),
            Code::kUnavailable);
}

TEST_F(MessageSocket, ASocketInUseIsNotTaken) {
  EXPECT_EQ(ListenForMessages(path_).error().code(), Code::kUnavailable);
  listener_.Reset();  // Its name stays.
  EXPECT_TRUE(ListenForMessages(path_).ok());
}

TEST_F(MessageSocket, ThePeerIsKnown) {
  const Result<unsigned> user = PeerUser(server_.get());
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(user.value(), geteuid());
}

TEST(MessageSockets, PathsThatCannotBe) {
  EXPECT_EQ(ConnectForMessages(std::string(108, 'x')).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(ConnectForMessages("").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(ConnectForMessages("/nowhere/at/all").error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace forebay
