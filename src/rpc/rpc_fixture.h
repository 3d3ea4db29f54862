// What the tests of Server and Channel share: a service of eight blocks, a receiver, and both ends.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/rng.h"
#include "base/temporary_directory.h"
#include "rpc/channel.h"
#include "rpc/server.h"

namespace forebay {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

inline constexpr std::uint32_t kRunBytes = 1u << 20;

inline std::byte ByteAt(std::uint32_t index, std::uint32_t offset) {
  return static_cast<std::byte>(Mix64((std::uint64_t{index} << 32) + offset / 8) >> (offset % 8));
}

// What the test wants to know of the payloads that were sent.
struct SendLog {
  Mutex mutex;
  CondVar changed;
  int sent GUARDED_BY(mutex) = 0;
  int acknowledged GUARDED_BY(mutex) = 0;
  int met GUARDED_BY(mutex) = 0;

  bool AwaitAcknowledged(int count) {
    const Deadline deadline = Clock::now() + 10s;
    MutexLock lock(mutex);
    while (acknowledged < count && !Passed(deadline)) changed.WaitUntil(mutex, deadline);
    return acknowledged >= count;
  }

  // Whether a second one comes.
  bool Meet() {
    const Deadline deadline = Clock::now() + 5s;
    MutexLock lock(mutex);
    ++met;
    changed.NotifyAll();
    while (met < 2 && !Passed(deadline)) changed.WaitUntil(mutex, deadline);
    return met == 2;
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

// Waits on the link until two do.
class MeetingReply : public Reply {
 public:
  explicit MeetingReply(SendLog& log) : log_(log) {}
  bool Ready() override { return true; }
  bool NeedsLink() const override { return true; }
  std::optional<ReplyFrame> Next() override {
    return ErrorFrame(Error(Code::kUnavailable, log_.Meet() ? "two" : "alone"));
  }

 private:
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
// "error" an error, "failed" one after it had its turn on the link, "meeting" one when two are on
// the link, "never" nothing.
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
    if (request.path == "meeting") return std::make_unique<MeetingReply>(log);
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

class RpcTest : public testing::Test {
 protected:
  RpcTest() { Start(); }

  void Start() { Start("unix:" + directory_.path() + "/w.sock"); }
  void Start(const std::string& address) { Start({.address = ParseAddress(address).value()}); }
  void Start(const ServerOptions& options) {
    address_ = options.address;
    Result<std::unique_ptr<Server>> server = Server::Start(options, service_);
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

  const TemporaryDirectory directory_;
  FakeService service_;
  Address address_;
  std::unique_ptr<Server> server_;
};

}  // namespace forebay
