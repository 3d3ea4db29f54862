// Server and Channel together, over a unix socket: what each promises the other.
#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>

#include <cstring>
#include <numeric>
#include <thread>

#include "rpc/rpc_fixture.h"

namespace forebay {
namespace {

// A name of three addresses. The first refuses, the second fails at once, the third is loopback.
constexpr const char* kThreeAddresses = "three-addresses.test";

// The worker's end of one connection, by hand.
class FakeWorker {
 public:
  FakeWorker()
      : listener_(Listen(ParseAddress("127.0.0.1:0").value()).value()),
        address_(BoundAddress(listener_.get(), ParseAddress("127.0.0.1:0").value()).value()),
        frame_(kRunBytes) {}

  const Address& address() const { return address_; }

  void Greet() {
    CHECK(WaitFor(listener_.get(), /*writable=*/false, Clock::now() + 10s));
    fd_ = Accept(listener_.get()).value();
    FrameHeader header;
    header.type = FrameType::kWelcome;
    SendFrame(header, Encode(Welcome{kProtocolVersion, "w"}));
  }
  // Head and the first bytes of a run of zeros.
  void SendData(std::uint64_t request_id, std::size_t bytes) {
    FrameHeader header;
    header.type = FrameType::kBlockData;
    header.flags = kFlagLast;
    header.request_id = request_id;
    header.payload_bytes = kRunBytes;
    SendFrame(header, Encode(BlockData{0, GranuleChecksums(frame_)}));
    Send(std::span(frame_).first(bytes));
    left_ = kRunBytes - bytes;
  }
  void SendRest() { Send(std::span(frame_).first(left_)); }

 private:
  void SendFrame(FrameHeader header, const std::vector<std::byte>& body) {
    header.body_bytes = static_cast<std::uint32_t>(body.size());
    Send(EncodeFrameHeader(header));
    Send(body);
  }
  void Send(std::span<const std::byte> bytes) {
    const std::array<std::span<const std::byte>, 1> parts = {bytes};
    ASSERT_TRUE(SendAll(fd_.get(), parts, Clock::now() + 10s).ok());
  }

  const UniqueFd listener_;
  const Address address_;
  UniqueFd fd_;
  std::vector<std::byte> frame_;
  std::size_t left_ = 0;
};

}  // namespace
}  // namespace forebay

// In place of the system's, which is asked for all other names.
extern "C" int getaddrinfo(const char* name, const char* port, const addrinfo* hints,
                           addrinfo** found) {
  static const auto real =
      reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (std::string_view(name) != forebay::kThreeAddresses) return real(name, port, hints, found);
  int error = 0;
  for (const char* address : {"127.0.0.2", "255.255.255.255", "127.0.0.1"}) {
    if (error == 0) error = real(address, port, hints, found);
    found = &(*found)->ai_next;
  }
  return error;
}

namespace forebay {
namespace {

TEST_F(RpcTest, ManyCallsShareAConnection) {
  Channel channel(address_, {});
  std::vector<std::shared_ptr<BufferReceiver>> receivers;
  for (std::uint32_t index = 0; index < 8; ++index) {
    receivers.push_back(std::make_shared<BufferReceiver>());
    channel.StartRead(CallOf(index), receivers.back());
  }
  for (std::uint32_t index = 0; index < 8; ++index) {
    const BlockReceiver::Outcome& outcome = receivers[index]->Await();
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.error().message();
    EXPECT_EQ(outcome.load.holders, 3);
    ExpectBlock(index, *receivers[index]);
  }
  EXPECT_EQ(server_->connections(), 1u);
  EXPECT_TRUE(service_.log.AwaitAcknowledged(8));
}

TEST_F(RpcTest, ChecksumsAreVerifiedBeforeAnybodySeesTheBytes) {
  Channel channel(address_, {});
  const auto receiver = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0, "corrupt"), receiver);
  const BlockReceiver::Outcome& outcome = receiver->Await();
  ASSERT_FALSE(outcome.status.ok());
  EXPECT_EQ(outcome.status.error().code(), Code::kCorrupt);
  EXPECT_EQ(receiver->received, 0u);
}

TEST_F(RpcTest, ErrorsCarryTheirCodeAndTheLoad) {
  Channel channel(address_, {});
  const auto receiver = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0, "error"), receiver);
  const BlockReceiver::Outcome& outcome = receiver->Await();
  EXPECT_EQ(outcome.status.error().code(), Code::kOverloaded);
  EXPECT_EQ(outcome.status.error().message(), "busy");
  EXPECT_EQ(outcome.load.holders, 5);
}

TEST_F(RpcTest, StatAnswersAndListIsCutOffAtItsDeadline) {
  Channel channel(address_, {});
  const Result<LookupReply> reply =
      channel.Stat({"s3://b", "abc", "", 0ms}, Clock::now() + 10s, {});
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  EXPECT_EQ(reply.value().entries[0].attributes.size, 3u);
  const Result<LookupReply> late = channel.List({"s3://b", "", "", 0ms}, Clock::now() + 50ms, {});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code(), Code::kDeadlineExceeded);
}

// Clients with many tasks have hundreds of requests on a connection, and a ping behind them says
// whether the worker lives.
TEST_F(RpcTest, APingIsAnsweredBehindManyRequests) {
  constexpr int kRequests = 500;
  Channel channel(address_, {});
  const auto first = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0), first);
  EXPECT_TRUE(first->Await().status.ok());
  for (int i = 0; i < kRequests; ++i) {
    BlockCall call = CallOf(0, "never");
    call.deadline = Clock::now() + 60s;  // Or it ends, and makes room, before this gives up.
    channel.StartRead(call, std::make_shared<BufferReceiver>());
  }
  const Deadline before = channel.last_heard();
  channel.Ping();
  const Deadline deadline = Clock::now() + 10s;
  while (channel.last_heard() == before && !Passed(deadline)) std::this_thread::yield();
  EXPECT_GT(channel.last_heard(), before);
}

TEST_F(RpcTest, AfterCancelTheReceiverIsLeftAlone) {
  Channel channel(address_, {});
  const auto receiver = std::make_shared<BufferReceiver>();
  const Channel::CallId id = channel.StartRead(CallOf(0, "never"), receiver);
  channel.Cancel(id);
  EXPECT_EQ(channel.outstanding(), 0u);
  const auto next = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(1), next);
  EXPECT_TRUE(next->Await().status.ok());
  EXPECT_EQ(receiver.use_count(), 1);
  MutexLock lock(receiver->mutex);
  EXPECT_FALSE(receiver->outcome);
}

TEST_F(RpcTest, CancellingWhileBytesArriveNeverWritesLate) {
  Channel channel(address_, {});
  for (std::uint32_t round = 0; round < 50; ++round) {
    auto receiver = std::make_shared<BufferReceiver>();
    const Channel::CallId id = channel.StartRead(CallOf(round % 8), receiver);
    if (round % 2 == 0) (void)channel.outstanding();
    channel.Cancel(id);
    receiver->bytes.assign(kRunBytes, std::byte{0x55});
    const auto witness = std::make_shared<BufferReceiver>();
    channel.StartRead(CallOf(2), witness);
    witness->Await();  // May be Unavailable: the connection went with the cancelled call.
    EXPECT_EQ(std::count(receiver->bytes.begin(), receiver->bytes.end(), std::byte{0x55}),
              static_cast<std::ptrdiff_t>(kRunBytes));
  }
}

// Little waits longer for a request that takes the news along; only the idle have to say it alone.
TEST_F(RpcTest, AFrameToAcknowledgeIsAcknowledgedWithoutAnotherRequest) {
  Channel channel(address_, {});
  const auto receiver = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0), receiver);
  EXPECT_TRUE(receiver->Await().status.ok());
  EXPECT_TRUE(service_.log.AwaitAcknowledged(1));
}

TEST_F(RpcTest, AnIdleConnectionIsClosedAndOpenedAgain) {
  Channel channel(address_, {.idle_timeout = 20ms});
  for (std::uint32_t round = 0; round < 3; ++round) {
    const auto receiver = std::make_shared<BufferReceiver>();
    channel.StartRead(CallOf(round), receiver);
    EXPECT_TRUE(receiver->Await().status.ok());
    ExpectBlock(round, *receiver);
    const Deadline deadline = Clock::now() + 10s;
    while (server_->connections() > 0 && !Passed(deadline)) std::this_thread::yield();
    EXPECT_EQ(server_->connections(), 0u);
  }
}

// The time after which something would have been acknowledged is not that after which it is idle.
TEST_F(RpcTest, AConnectionThatHasAcknowledgedAllStays) {
  Channel channel(address_, {});
  const auto receiver = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0), receiver);
  EXPECT_TRUE(receiver->Await().status.ok());
  channel.Cancel(channel.StartRead(CallOf(1, "never"), std::make_shared<BufferReceiver>()));
  EXPECT_TRUE(service_.log.AwaitAcknowledged(1));
  const Deadline later = Clock::now() + 1200ms;
  while (server_->connections() > 0 && !Passed(later)) std::this_thread::yield();
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(RpcTest, ChannelsShareReceivers) {
  const auto receivers = std::make_shared<Receivers>();
  std::vector<std::unique_ptr<Channel>> channels;
  std::vector<std::shared_ptr<BufferReceiver>> taken;
  for (std::uint32_t index = 0; index < 8; ++index) {
    channels.push_back(std::make_unique<Channel>(address_, ChannelOptions{.receivers = receivers}));
    taken.push_back(std::make_shared<BufferReceiver>());
    channels.back()->StartRead(CallOf(index), taken.back());
  }
  for (std::uint32_t index = 0; index < 8; ++index) {
    EXPECT_TRUE(taken[index]->Await().status.ok());
    ExpectBlock(index, *taken[index]);
  }
  EXPECT_EQ(server_->connections(), 8u);
  channels.front().reset();  // The others live on.
  const auto again = std::make_shared<BufferReceiver>();
  channels.back()->StartRead(CallOf(2), again);
  EXPECT_TRUE(again->Await().status.ok());
}

// All channels here have one thread, which must wait for neither of the silent ones.
TEST_F(RpcTest, AWorkerThatIsSlowToAnswerHoldsUpNobodyElse) {
  const auto receivers = std::make_shared<Receivers>(ReceiversOptions{.threads_max = 1});
  const ChannelOptions options{.connect_timeout = 300ms, .receivers = receivers};
  const UniqueFd full = Listen(ParseAddress("127.0.0.1:0").value()).value();
  ASSERT_EQ(listen(full.get(), /*backlog=*/0), 0);
  const Address full_address =
      BoundAddress(full.get(), ParseAddress("127.0.0.1:0").value()).value();
  const UniqueFd fills_it = Connect(full_address, Clock::now() + 1s, {}).value();
  FakeWorker silent;
  Channel vanishing(full_address, options);
  Channel greeting(silent.address(), options);
  Channel lively(address_, options);
  const auto lost = std::make_shared<BufferReceiver>();
  vanishing.StartRead(CallOf(0), lost);
  const auto late = std::make_shared<BufferReceiver>();
  greeting.StartRead(CallOf(0), late);
  for (std::uint32_t index = 0; index < 8; ++index) {
    const auto taken = std::make_shared<BufferReceiver>();
    lively.StartRead(CallOf(index), taken);
    EXPECT_TRUE(taken->Await().status.ok());
  }
  EXPECT_EQ(lost->Await().status.error().code(), Code::kUnavailable);  // Its packets vanished.
  silent.Greet();
  silent.SendData(/*request_id=*/1, kRunBytes);
  EXPECT_TRUE(late->Await().status.ok());
}

TEST_F(RpcTest, AConnectionThatCannotBeOpenedAheadIsTriedAgain) {
  server_.reset();
  Channel channel(address_, {});
  channel.ConnectAhead();
  const auto refused = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0), refused);
  EXPECT_EQ(refused->Await().status.error().code(), Code::kUnavailable);
  Start();
  channel.ConnectAhead();
  channel.ConnectAhead();  // It is under way, or there.
  const auto taken = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(1), taken);
  EXPECT_TRUE(taken->Await().status.ok());
  EXPECT_EQ(server_->connections(), 1u);
}

// More than a new socket takes at once.
TEST_F(RpcTest, AFirstRequestMayBeLarge) {
  Channel channel(address_, {});
  Have question;
  question.files.resize(kHaveFilesMax);
  const Result<HaveReply> reply =
      channel.AskHave(question, /*verify=*/false, Clock::now() + 10s, {});
  EXPECT_TRUE(reply.ok()) << reply.error().message();
}

TEST_F(RpcTest, TheNextAddressOfANameIsTried) {
  server_.reset();
  Start("127.0.0.1:0");
  const std::string port = server_->address().port;
  Channel channel(ParseAddress(kThreeAddresses + (":" + port)).value(), {});
  const auto taken = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(3), taken);
  EXPECT_TRUE(taken->Await().status.ok());
  ExpectBlock(3, *taken);
}

// Nothing of the call's is written to once Cancel has returned, though half of its frame is still
// to come, and nobody waits for that half. The others on the connection go on.
TEST_F(RpcTest, CancelDoesNotWaitForTheRestOfAFrame) {
  FakeWorker worker;
  Channel channel(worker.address(), {});
  const auto first = std::make_shared<BufferReceiver>();
  const Channel::CallId id = channel.StartRead(CallOf(0), first);
  const auto second = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(1), second);
  worker.Greet();
  worker.SendData(1, 600'000);  // More than wakes the receiver.
  const Deadline deadline = Clock::now() + 10s;
  while (first->begun == 0 && !Passed(deadline)) std::this_thread::yield();
  ASSERT_EQ(first->begun, 1);
  channel.Cancel(id);
  first->bytes.assign(kRunBytes, std::byte{0x55});
  const Deadline heard = channel.last_heard();
  worker.SendRest();
  while (channel.last_heard() == heard && !Passed(deadline)) std::this_thread::yield();
  EXPECT_GT(channel.last_heard(), heard);  // What is dropped is a sign of life, too.
  worker.SendData(2, kRunBytes);
  EXPECT_TRUE(second->Await().status.ok());
  EXPECT_EQ(first->received, 0u);
  EXPECT_EQ(std::ranges::count(first->bytes, std::byte{0x55}),
            static_cast<std::ptrdiff_t>(kRunBytes));
}

TEST_F(RpcTest, AServerThatGoesEndsCallsAndANewOneIsFound) {
  Channel channel(address_, {});
  const auto receiver = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0, "never"), receiver);
  const auto first = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0), first);
  EXPECT_TRUE(first->Await().status.ok());
  server_.reset();
  EXPECT_EQ(receiver->Await().status.error().code(), Code::kUnavailable);
  const auto refused = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0), refused);
  EXPECT_EQ(refused->Await().status.error().code(), Code::kUnavailable);
  Start();
  const auto again = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(3), again);
  EXPECT_TRUE(again->Await().status.ok());
  ExpectBlock(3, *again);
}

TEST_F(RpcTest, ARefusedGreetingKeepsItsWords) {
  Channel channel(address_, {.endpoint = "other"});
  const auto receiver = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0), receiver);
  const Error& error = receiver->Await().status.error();
  EXPECT_EQ(error.code(), Code::kInvalidArgument);
  EXPECT_NE(error.message().find("endpoint: differs"), std::string::npos) << error.message();
}

TEST_F(RpcTest, GarbageOnThePortClosesOnlyThatConnection) {
  const UniqueFd fd = Connect(address_, Clock::now() + 1s, {}).value();
  const std::string garbage(300, 'G');
  const std::array<std::span<const std::byte>, 1> parts = {std::as_bytes(std::span(garbage))};
  ASSERT_TRUE(SendAll(fd.get(), parts, Clock::now() + 1s).ok());
  FrameHeaderBytes answer;
  ASSERT_TRUE(ReceiveExactly(fd.get(), answer, Clock::now() + 5s).ok());
  EXPECT_EQ(DecodeFrameHeader(answer).value().type, FrameType::kError);
  Channel channel(address_, {});
  const auto receiver = std::make_shared<BufferReceiver>();
  channel.StartRead(CallOf(0), receiver);
  EXPECT_TRUE(receiver->Await().status.ok());
}

TEST_F(RpcTest, QuestionsAboutTheGroupAreAnswered) {
  Channel channel(address_, {});
  const Deadline soon = Clock::now() + 10s;
  EXPECT_EQ(channel.Group({"prices", "default"}, soon, {}).value(), "prices/default");
  EXPECT_EQ(channel.AskMetrics(soon, {}).value(), "up 1\n");
  const Have have{{}, {{{}, {}, 9}, {{}, {}, 0}}};
  EXPECT_EQ(channel.AskHave(have, false, soon, {}).value().bits, std::vector<std::uint8_t>(2, 1));
  EXPECT_EQ(channel.AskHave(have, true, soon, {}).value().bits, std::vector<std::uint8_t>(2, 2));
  const Drop drop{{}, {Digest128{}, Digest128{}}};
  EXPECT_EQ(channel.AskDrop(drop, soon, {}).value().bytes, 2u);
  EXPECT_EQ(service_.refreshed, 0);
  ASSERT_TRUE(channel.Refresh(soon, {}).ok());
  EXPECT_EQ(service_.refreshed, 1);
}

TEST_F(RpcTest, AnAnswerOfAnotherLengthIsTheWorkersTrouble) {
  Channel channel(address_, {});
  const Have have{{}, {{{}, {}, 9}, {{}, {}, 1}, {{}, {}, 1}}};
  const Result<HaveReply> reply = channel.AskHave(have, false, Clock::now() + 10s, {});
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), Code::kUnavailable);
}

TEST_F(RpcTest, EpochsGoBothWaysAndANewerMapIsHandedOn) {
  std::vector<std::pair<std::uint64_t, std::string>> heard;
  ChannelOptions options;
  options.on_newer = [&heard](std::uint64_t epoch, std::string_view map) {
    heard.emplace_back(epoch, map);
  };
  service_.own_epoch = 8;
  Channel channel(address_, options);
  channel.set_epoch(8);
  const Deadline soon = Clock::now() + 10s;
  ASSERT_TRUE(channel.Group({"a", ""}, soon, {}).ok());
  EXPECT_EQ(service_.asked_epoch, 8u);
  EXPECT_TRUE(heard.empty());
  service_.own_epoch = 9;
  ASSERT_TRUE(channel.Group({"a", ""}, soon, {}).ok());
  ASSERT_TRUE(channel.Group({"a", ""}, soon, {}).ok());  // Told once.
  const Result<std::string> stale = channel.Group({"newer", ""}, soon, {});
  ASSERT_FALSE(stale.ok());
  EXPECT_EQ(stale.error().code(), Code::kStale);
  EXPECT_EQ(channel.newest_epoch(), 9u);
  EXPECT_EQ(heard, (std::vector<std::pair<std::uint64_t, std::string>>{{9, ""}, {9, "{newer}"}}));
}

}  // namespace
}  // namespace forebay
