// The recycling rule against real sockets: what a slow reader receives is what was sent, even if
// the block was evicted and its slot filled again meanwhile.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <tuple>

#include "core/quota.h"
#include "io/unique_fd.h"
#include "store/tier_fixture.h"

namespace forebay {
namespace {

enum class Link { kTcp, kUnix };

struct Pair {
  UniqueFd sender;
  UniqueFd receiver;
};

Pair UnixPair() {
  int fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Pair TcpPair() {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  CHECK(bind(listener.get(), generic, length) == 0 && listen(listener.get(), 1) == 0);
  CHECK(getsockname(listener.get(), generic, &length) == 0);
  Pair pair;
  pair.sender = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(connect(pair.sender.get(), generic, length) == 0);
  pair.receiver = UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  CHECK(pair.receiver);
  return pair;
}

// Sends what fits into the socket without a reader, and returns how much that was.
std::size_t SendUnread(int socket, const SendLease& lease) {
  CHECK(fcntl(socket, F_SETFL, O_NONBLOCK) == 0);
  auto offset = static_cast<off_t>(lease.file_offset());
  std::size_t sent = 0;
  while (sent < lease.length()) {
    const ssize_t count = sendfile(socket, lease.fd(), &offset, lease.length() - sent);
    if (count <= 0) break;
    sent += static_cast<std::size_t>(count);
  }
  return sent;
}

Bytes Receive(int socket, std::size_t length) {
  Bytes bytes(length);
  CHECK(recv(socket, bytes.data(), length, MSG_WAITALL) == static_cast<ssize_t>(length));
  return bytes;
}

class RecyclingTest : public testing::TestWithParam<std::tuple<std::uint32_t, Link>> {
 protected:
  static constexpr std::uint64_t kSeed = 77;

  RecyclingTest() {
    options_.directory = directory_.path();
    options_.block_bytes = std::get<0>(GetParam());
    // One chunk: any new block takes a slot of the one chunk there is.
    options_.quota_bytes = QuotaMin(options_.block_bytes);
    options_.high = options_.low = 1;
    tier_ = MemoryTier::Create(options_).value();
    pair_ = std::get<1>(GetParam()) == Link::kTcp ? TcpPair() : UnixPair();
  }

  // The whole tier, several times over.
  void Refill() {
    const std::uint32_t chunk = std::max(options_.block_bytes, 2u << 20);
    for (std::uint64_t i = 0; i < 3 * chunk / options_.block_bytes; ++i) {
      ASSERT_TRUE(Fill(*tier_, KeyOf(1000 + i), options_.block_bytes, i).ok());
    }
  }

  SendLease LeaseOfFirst() {
    return Fill(*tier_, KeyOf(1), options_.block_bytes, kSeed)
        .value()
        .Lease(0, options_.block_bytes)
        .value();
  }

  Bytes Expected(std::size_t length) {
    Bytes bytes = BytesOf(kSeed, options_.block_bytes);
    bytes.resize(length);
    return bytes;
  }

  TestDirectory directory_;
  TierOptions options_;
  std::unique_ptr<MemoryTier> tier_;
  Pair pair_;
};
INSTANTIATE_TEST_SUITE_P(Blocks, RecyclingTest,
                         testing::Combine(testing::Values(64u << 10, 1u << 20, 4u << 20),
                                          testing::Values(Link::kTcp, Link::kUnix)));

TEST_P(RecyclingTest, ASlowReaderReceivesWhatWasSent) {
  SendLease lease = LeaseOfFirst();
  const std::size_t sent = SendUnread(pair_.sender.get(), lease);
  ASSERT_GT(sent, 0u);
  lease.Sent();
  Refill();
  EXPECT_FALSE(Find(*tier_, KeyOf(1)).has_value());
  EXPECT_EQ(Receive(pair_.receiver.get(), sent), Expected(sent));
  lease.Acknowledge();  // Late: the pages are gone.
  Refill();
}

TEST_P(RecyclingTest, AnAbandonedSendCountsAsUnread) {
  std::optional<SendLease> lease = LeaseOfFirst();
  const std::size_t sent = SendUnread(pair_.sender.get(), *lease);
  lease.reset();  // As when a connection breaks in the middle of a run.
  Refill();
  EXPECT_EQ(Receive(pair_.receiver.get(), sent), Expected(sent));
}

TEST_P(RecyclingTest, AReaderThatAcknowledgedOneOfTwoSendsKeepsTheOther) {
  SendLease first = LeaseOfFirst();
  const std::size_t sent = SendUnread(pair_.sender.get(), first);
  first.Sent();
  SendLease second = LeaseOfFirst();
  second.Sent();
  second.Acknowledge();
  Refill();
  EXPECT_EQ(Receive(pair_.receiver.get(), sent), Expected(sent));
}

// Nobody acknowledges anything: no slot is ever clean again, and chunks are punched.
TEST_P(RecyclingTest, WhenAllIsDirtyWholeChunksGetNewPages) {
  constexpr std::size_t kPart = 4096;
  const std::uint32_t slots = std::max(options_.block_bytes, 2u << 20) / options_.block_bytes;
  std::vector<SendLease> leases;
  for (std::uint64_t i = 0; i < slots; ++i) {
    const BlockHandle handle = Fill(*tier_, KeyOf(i), options_.block_bytes, i).value();
    leases.push_back(handle.Lease(0, options_.block_bytes).value());
    auto offset = static_cast<off_t>(leases.back().file_offset());
    ASSERT_EQ(sendfile(pair_.sender.get(), leases.back().fd(), &offset, kPart), kPart);
    leases.back().Sent();
  }
  Refill();
  for (std::uint64_t i = 0; i < slots; ++i) {
    EXPECT_EQ(Receive(pair_.receiver.get(), kPart), BytesOf(i, kPart)) << i;
  }
  EXPECT_LE(tier_->usage().allocated_bytes, options_.quota_bytes);
}

// Every chunk has a send under way, so that no chunk can be had, and all else is dirty.
TEST_P(RecyclingTest, WhereNothingCanBeHadTheTierIsOverloadedNotEmptied) {
  const std::uint32_t slots = std::max(options_.block_bytes, 2u << 20) / options_.block_bytes;
  std::vector<SendLease> leases;
  for (std::uint64_t i = 0; i < slots; ++i) {
    const BlockHandle handle = Fill(*tier_, KeyOf(i), options_.block_bytes, i).value();
    leases.push_back(handle.Lease(0, options_.block_bytes).value());
    if (i > 0) leases.back().Sent();
  }
  EXPECT_EQ(tier_->FindOrBegin(KeyOf(999), options_.block_bytes).error().code(), Code::kOverloaded);
  EXPECT_GE(tier_->usage().blocks, std::max(slots, 9u) - 8);
  for (SendLease& lease : leases) lease.Acknowledge();
  EXPECT_TRUE(Fill(*tier_, KeyOf(999), options_.block_bytes, 1).ok());
}

// The test of these tests: with the rule broken by an acknowledgement that comes too early, the
// reader does see the new block's bytes. Were this to pass unchanged, the kernel would copy and the
// tests above would prove nothing.
TEST_P(RecyclingTest, WithoutTheRuleTheReaderWouldSeeOtherBytes) {
  SendLease lease = LeaseOfFirst();
  const std::size_t sent = SendUnread(pair_.sender.get(), lease);
  lease.Sent();
  lease.Acknowledge();
  Refill();
  EXPECT_NE(Receive(pair_.receiver.get(), sent), Expected(sent));
}

}  // namespace
}  // namespace forebay
