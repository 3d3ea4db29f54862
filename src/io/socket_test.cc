#include "io/socket.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <chrono>

#include "base/temporary_directory.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

// Both ends of a connection.
struct Pair {
  UniqueFd client;
  UniqueFd server;
};

// `from`: the client's own address; empty: the kernel chooses.
Pair PairOf(const std::string& address, const std::string& from = "") {
  const Address asked = ParseAddress(address).value();
  const UniqueFd listener = Listen(asked).value();
  const Address bound = BoundAddress(listener.get(), asked).value();
  Pair pair;
  if (from.empty()) {
    pair.client = Connect(bound, Clock::now() + 5s, {}).value();
  } else {
    pair.client = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in own{};
    own.sin_family = AF_INET;
    EXPECT_EQ(inet_pton(AF_INET, from.c_str(), &own.sin_addr), 1);
    EXPECT_EQ(bind(pair.client.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(bound.port)));
    EXPECT_EQ(inet_pton(AF_INET, bound.host.c_str(), &to.sin_addr), 1);
    EXPECT_EQ(connect(pair.client.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }
  EXPECT_TRUE(WaitFor(listener.get(), /*writable=*/false, Clock::now() + 5s));
  pair.server = Accept(listener.get()).value();
  return pair;
}

void ExpectSameHost(const Pair& pair, bool same) {
  EXPECT_EQ(SameHost(pair.client.get()), same);
  EXPECT_EQ(SameHost(pair.server.get()), same);
}

TEST(Socket, APeerWithTheOwnAddressIsOnThisHost) {
  const TemporaryDirectory directory;
  ExpectSameHost(PairOf("127.0.0.1:0"), true);
  if (Listen(ParseAddress("[::1]:0").value()).ok()) ExpectSameHost(PairOf("[::1]:0"), true);
  ExpectSameHost(PairOf("unix:" + directory.path() + "/s"), true);
}

TEST(Socket, APeerWithAnotherAddressMayBeElsewhere) {
  ExpectSameHost(PairOf("127.0.0.1:0", "127.0.0.2"), false);
}

TEST(Socket, WithoutAPeerNobodyIsOnThisHost) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(SameHost(fd.get()));
}

}  // namespace
}  // namespace forebay
