// Who may send when: places on the link, and those of readers that need none.
#include <array>

#include "rpc/rpc_fixture.h"

namespace forebay {
namespace {

class LinkPlaces : public RpcTest {
 protected:
  void ExpectTwoAtATime() {
    std::array<Channel, 2> channels = {Channel{server_->address(), {}},
                                       Channel{server_->address(), {}}};
    std::vector<std::shared_ptr<BufferReceiver>> receivers;
    for (Channel& channel : channels) {
      receivers.push_back(std::make_shared<BufferReceiver>());
      channel.StartRead(CallOf(0, "meeting"), receivers.back());
    }
    for (const auto& receiver : receivers) {
      EXPECT_EQ(receiver->Await().status.error().message(), "two");
    }
  }
};

// A client that reads nothing must not keep others from the link.
TEST_F(LinkPlaces, AStalledReaderGivesItsPlaceBack) {
  server_.reset();
  Start({.address = address_, .local_places = 3});
  std::vector<UniqueFd> stalled;
  for (int i = 0; i < 4; ++i) {  // More than there are places.
    UniqueFd fd = Connect(address_, Clock::now() + 1s, {}).value();
    FrameHeader hello;
    hello.type = FrameType::kHello;
    const std::vector<std::byte> hello_body = Encode(Hello{1, 1, 1, 1, "", ""});
    hello.body_bytes = static_cast<std::uint32_t>(hello_body.size());
    const FrameHeaderBytes hello_bytes = EncodeFrameHeader(hello);
    std::array<std::span<const std::byte>, 2> parts = {hello_bytes, hello_body};
    ASSERT_TRUE(SendAll(fd.get(), parts, Clock::now() + 1s).ok());
    for (std::uint64_t id = 1; id <= 4; ++id) {
      FrameHeader read;
      read.type = FrameType::kReadBlock;
      read.request_id = id;
      read.deadline_ms = 10'000;
      const std::vector<std::byte> body = Encode(CallOf(0).block);
      read.body_bytes = static_cast<std::uint32_t>(body.size());
      const FrameHeaderBytes bytes = EncodeFrameHeader(read);
      parts = {bytes, body};
      ASSERT_TRUE(SendAll(fd.get(), parts, Clock::now() + 1s).ok());
    }
    stalled.push_back(std::move(fd));
  }
  Channel channel(address_, {});
  const auto receiver = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(5), receiver);
  EXPECT_TRUE(receiver->Await().status.ok());
  ExpectBlock(5, *receiver);
}

TEST_F(LinkPlaces, ReadersOnThisHostDoNotWaitForTheLink) {
  server_.reset();
  Start({.address = address_, .places = 1, .local_places = 2});
  ExpectTwoAtATime();
}

TEST_F(LinkPlaces, ReadersElsewhereShareTheLink) {
  server_.reset();
  // Whoever connects there has 127.0.0.1 as its own address.
  Start({.address = ParseAddress("127.0.0.2:0").value(), .places = 2, .local_places = 1});
  ExpectTwoAtATime();
}

TEST_F(LinkPlaces, AReplyThatFailsOnTheLinkGivesItsPlaceBack) {
  server_.reset();
  Start({.address = address_, .local_places = 3});
  std::vector<std::unique_ptr<Channel>> channels;  // More than there are places.
  for (int i = 0; i < 4; ++i) {
    channels.push_back(std::make_unique<Channel>(address_, ChannelOptions{}));
    const auto failed = std::make_shared<BufferReceiver>();
    channels.back()->StartRead(CallOf(0, "failed"), failed);
    EXPECT_EQ(failed->Await().status.error().message(), "the block was evicted");
  }
  Channel channel(address_, {});
  const auto receiver = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(5), receiver);
  EXPECT_TRUE(receiver->Await().status.ok());
}

}  // namespace
}  // namespace forebay
