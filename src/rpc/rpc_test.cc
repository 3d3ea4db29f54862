// Server and Channel together, over a unix socket: what each promises the other.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cstring>
#include <numeric>
#include <thread>

#include "base/crc32c.h"
#include "base/rng.h"
#include "rpc/channel.h"
#include "rpc/server.h"

namespace forebay {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kRunBytes = 1u << 20;

std::byte ByteAt(std::uint32_t index, std::uint32_t offset) {
  return static_cast<std::byte>(Mix64((std::uint64_t{index} << 32) + offset / 8) >> (offset % 8));
}

// What the test wants to know of the payloads that were sent.
struct SendLog {
  Mutex mutex;
  CondVar changed;
  int sent GUARDED_BY(mutex) = 0;
  int acknowledged GUARDED_BY(mutex) = 0;

  bool AwaitAcknowledged(int count) {
    const Deadline deadline = Clock::now() + 10s;
    MutexLock lock(mutex);
    while (acknowledged < count && !Passed(deadline)) changed.WaitUntil(mutex, deadline);
    return acknowledged >= count;
  }
};

class MemorySource : public SendSource {
 public:
  MemorySource(int fd, std::size_t length, SendLog& log) : fd_(fd), length_(length), log_(log) {}
  int fd() const override { return fd_; }
  off_t offset() const override { return 0; }
  std::size_t length() const override { return length_; }
  void Sent() override {
    MutexLock lock(log_.mutex);
    ++log_.sent;
  }
  void Acknowledge() override {
    MutexLock lock(log_.mutex);
    ++log_.acknowledged;
    log_.changed.NotifyAll();
  }

 private:
  const int fd_;
  const std::size_t length_;
  SendLog& log_;
};

class RunReply : public Reply {
 public:
  RunReply(int fd, std::vector<std::uint32_t> checksums, SendLog& log)
      : fd_(fd), checksums_(std::move(checksums)), log_(log) {}
  bool Ready() override { return true; }
  bool NeedsLink() const override { return true; }
  std::optional<ReplyFrame> Next() override {
    ReplyFrame frame;
    frame.type = FrameType::kBlockData;
    frame.holders = 3;
    frame.body = Encode(BlockData{0, checksums_});
    frame.payload = std::make_unique<MemorySource>(fd_, kRunBytes, log_);
    return frame;
  }

 private:
  const int fd_;
  const std::vector<std::uint32_t> checksums_;
  SendLog& log_;
};

// Had a place on the link, and then nothing to put on it.
class FailedReply : public Reply {
 public:
  bool Ready() override { return true; }
  bool NeedsLink() const override { return true; }
  std::optional<ReplyFrame> Next() override {
    return ErrorFrame(Error(Code::kUnavailable, "the block was evicted"));
  }
};

class NeverReply : public Reply {
 public:
  bool Ready() override { return false; }
  bool NeedsLink() const override { return true; }
  std::optional<ReplyFrame> Next() override { return std::nullopt; }
};

// Serves blocks 0 to 7 of 1 MiB from a memory file each. Path "corrupt" sends wrong checksums,
// "error" an error, "failed" one after it had its turn on the link, "never" nothing.
class FakeService : public Service {
 public:
  FakeService() {
    for (std::uint32_t index = 0; index < 8; ++index) {
      std::vector<std::byte> bytes(kRunBytes);
      for (std::uint32_t i = 0; i < kRunBytes; ++i) bytes[i] = ByteAt(index, i);
      UniqueFd fd(memfd_create("block", MFD_CLOEXEC));
      EXPECT_EQ(write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
      checksums_.push_back(GranuleChecksums(bytes));
      fds_.push_back(std::move(fd));
    }
  }

  Result<Welcome> Greet(const Hello& hello) override {
    if (hello.endpoint == "other") return Error(Code::kInvalidArgument, "endpoint: differs");
    return Welcome{kProtocolVersion, "w-0"};
  }
  std::unique_ptr<Reply> BeginRead(const ReadBlock& request, RequestContext) override {
    if (request.path == "never") return std::make_unique<NeverReply>();
    if (request.path == "failed") return std::make_unique<FailedReply>();
    if (request.path == "error") {
      return std::make_unique<ReadyReply>(ErrorFrame(Error(Code::kOverloaded, "busy"), 5));
    }
    std::vector<std::uint32_t> checksums = checksums_[request.index];
    if (request.path == "corrupt") checksums[3] ^= 1;
    return std::make_unique<RunReply>(fds_[request.index].get(), std::move(checksums), log);
  }
  std::unique_ptr<Reply> BeginStat(const Lookup& request, RequestContext) override {
    ReplyFrame frame;
    frame.type = FrameType::kStatReply;
    frame.body = Encode(LookupReply{5ms, {{"", {1, request.path.size(), 0, "v"}}}, "", 0});
    return std::make_unique<ReadyReply>(std::move(frame));
  }
  std::unique_ptr<Reply> BeginList(const Lookup&, RequestContext) override {
    return std::make_unique<NeverReply>();
  }

  std::unique_ptr<Reply> BeginGroup(const GroupQuestion& request, RequestContext context) override {
    asked_epoch = context.epoch;
    if (request.dataset == "newer") return Frame(FrameType::kStale, TextReply{"{newer}"});
    return Frame(FrameType::kGroupReply, TextReply{request.dataset + "/" + request.name_space});
  }
  std::unique_ptr<Reply> BeginHave(const Have& request, RequestContext context) override {
    HaveReply reply;
    for (const Have::File& file : request.files) {
      reply.bits.resize(reply.bits.size() + HeldBytes(file.blocks),
                        (context.flags & kFlagVerify) != 0 ? 2 : 1);
    }
    if (request.files.size() == 3) reply.bits.pop_back();
    return Frame(FrameType::kHaveReply, reply);
  }
  std::unique_ptr<Reply> BeginDrop(const Drop& request, RequestContext) override {
    return Frame(FrameType::kDropReply, DropReply{request.paths.size()});
  }
  std::unique_ptr<Reply> BeginMetrics(RequestContext) override {
    return Frame(FrameType::kMetricsReply, TextReply{"up 1\n"});
  }
  std::uint64_t epoch() const override { return own_epoch; }
  void Refresh() override { ++refreshed; }

  SendLog log;
  std::atomic<std::uint64_t> own_epoch = 0;
  std::atomic<std::uint64_t> asked_epoch = 0;
  std::atomic<int> refreshed = 0;

 private:
  template <typename T>
  static std::unique_ptr<Reply> Frame(FrameType type, const T& message) {
    ReplyFrame frame;
    frame.type = type;
    frame.body = Encode(message);
    return std::make_unique<ReadyReply>(std::move(frame));
  }

  std::vector<UniqueFd> fds_;
  std::vector<std::vector<std::uint32_t>> checksums_;
};

class BufferReceiver : public BlockReceiver {
 public:
  BufferReceiver() : bytes(kRunBytes) {}
  std::span<std::byte> Destination(std::uint32_t offset, std::uint32_t length) override {
    ++begun;
    return std::span(bytes).subspan(offset, length);
  }
  void Received(std::uint32_t, std::uint32_t length, std::span<const std::uint32_t>) override {
    received += length;
  }
  void Done(Outcome done) override {
    MutexLock lock(mutex);
    outcome = std::move(done);
    changed.NotifyAll();
  }
  const Outcome& Await() {
    const Deadline deadline = Clock::now() + 10s;
    MutexLock lock(mutex);
    while (!outcome && !Passed(deadline)) changed.WaitUntil(mutex, deadline);
    CHECK(outcome);
    return *outcome;
  }

  std::vector<std::byte> bytes;
  std::atomic<int> begun = 0;
  std::uint32_t received = 0;
  Mutex mutex;
  CondVar changed;
  std::optional<Outcome> outcome GUARDED_BY(mutex);
};

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

class RpcTest : public testing::Test {
 protected:
  RpcTest() {
    char name[] = "/tmp/forebay-rpc-XXXXXX";
    directory_ = mkdtemp(name);
    Start();
  }
  ~RpcTest() override {
    server_.reset();
    rmdir(directory_.c_str());
  }

  void Start() { Start("unix:" + directory_ + "/w.sock"); }
  void Start(const std::string& address) {
    address_ = ParseAddress(address).value();
    Result<std::unique_ptr<Server>> server = Server::Start({.address = address_}, service_);
    CHECK(server.ok());
    server_ = std::move(server).value();
  }

  static BlockCall CallOf(std::uint32_t index, std::string path = "p") {
    BlockCall call;
    call.block = {"s3://b", std::move(path), "v", std::uint64_t{8} * kRunBytes, index,
                  0,        kRunBytes};
    call.deadline = Clock::now() + 10s;
    return call;
  }

  static void ExpectBlock(std::uint32_t index, const BufferReceiver& receiver) {
    for (std::uint32_t i = 0; i < kRunBytes; i += 4099) {
      ASSERT_EQ(receiver.bytes[i], ByteAt(index, i)) << "block " << index << " at " << i;
    }
  }

  std::string directory_;
  FakeService service_;
  Address address_;
  std::unique_ptr<Server> server_;
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
    if (round % 2 == 0) (void)channel.load();
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

// A client that reads nothing must not keep others from the link.
TEST_F(RpcTest, AStalledReaderGivesItsPlaceBack) {
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

TEST_F(RpcTest, AReplyThatFailsOnTheLinkGivesItsPlaceBack) {
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
