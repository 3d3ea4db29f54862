#include "rpc/channel.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/crc32c.h"

namespace forebay {
namespace {

// A worker that takes no request frame for this long is gone or stopped.
constexpr std::chrono::seconds kWriteTimeout{2};
constexpr std::chrono::seconds kGreetTimeout{5};
// A frame on its way ends by itself within this, unless the link or the worker has stalled.
constexpr std::chrono::milliseconds kCancelPatience{50};
// An acknowledgement goes out on its own after so many data frames, or when for so long nothing was
// sent that could carry it.
constexpr std::uint64_t kUnacknowledgedMax = 32;
// Until then the worker may not use the slots again: in a small tier it has few others.
constexpr std::chrono::milliseconds kAcknowledgeDelay{100};
// Of a long run, so much is received before it is handed on: it stays in a cache until then.
constexpr std::uint32_t kDestinationBytes = 1 << 20;
static_assert(kDestinationBytes % kGranuleBytes == 0);

// A refusal at the greeting keeps its code: another worker will refuse as well. Everything else is
// this connection's trouble, whatever the system calls it.
Error ConnectionBroke(const Address& address, const Error& why, bool refused) {
  const bool keep = refused || why.code() == Code::kCancelled;
  const Code code = keep ? why.code() : Code::kUnavailable;
  return {code, "worker " + address.text + ": " + why.message()};
}

}  // namespace

Channel::Channel(Address address, ChannelOptions options)
    : address_(std::move(address)), options_(std::move(options)) {}

Channel::~Channel() {
  threads_.RequestStop();
  {
    MutexLock lock(write_mutex_);
    if (fd_) shutdown(fd_.get(), SHUT_RDWR);
  }
  threads_.StopAndJoin();
}

LoadReport Channel::load() const {
  return {queue_depth_.load(), holders_.load()};
}

std::size_t Channel::outstanding() const {
  MutexLock lock(mutex_);
  return calls_.size();
}

Channel::CallId Channel::StartRead(const BlockCall& call, std::shared_ptr<BlockReceiver> receiver) {
  FrameHeader header;
  header.type = FrameType::kReadBlock;
  header.flags = static_cast<std::uint16_t>(
      (call.fill_only ? kFlagFillOnly : 0) | (call.insist ? kFlagInsist : 0) |
      (call.recheck ? kFlagRecheck : 0) | (call.peer ? kFlagPeer : 0) |
      (call.held_only ? kFlagHeldOnly : 0));
  header.domain = call.domain;
  header.deadline_ms = static_cast<std::uint32_t>(MillisecondsUntil(call.deadline));
  Call entry;
  entry.receiver = std::move(receiver);
  return Begin(header, Encode(call.block), std::move(entry));
}

Channel::CallId Channel::Begin(FrameHeader header, std::vector<std::byte> body, Call call) {
  CallId id = 0;
  std::uint64_t connection = 0;
  {
    MutexLock lock(mutex_);
    id = next_id_++;
    header.request_id = id;
    calls_.emplace(id, std::move(call));
    connection = connected_;
    if (connection == 0) {
      unsent_.emplace_back(header, std::move(body));
      if (!running_) {
        running_ = true;
        threads_.Run("channel", [this](std::stop_token stop) { Run(stop); });
      }
      return id;
    }
  }
  // Should the connection break just now, the receiver thread ends the call: it is registered.
  Write(connection, header, body);
  return id;
}

// Writes to connection number `connection`; if that is gone, so is whom the frame was for.
void Channel::Write(std::uint64_t connection, FrameHeader header, std::span<const std::byte> body) {
  MutexLock lock(write_mutex_);
  if (!fd_ || connection != fd_connection_) return;
  header.epoch = epoch_.load();
  header.acked = received_.load();
  acknowledged_ = header.acked;
  header.body_bytes = static_cast<std::uint32_t>(body.size());
  const FrameHeaderBytes bytes = EncodeFrameHeader(header);
  const std::array<std::span<const std::byte>, 2> parts = {bytes, body};
  if (!SendAll(fd_.get(), std::span(parts).first(body.empty() ? 1 : 2),
               Clock::now() + kWriteTimeout)
           .ok()) {
    shutdown(fd_.get(), SHUT_RDWR);  // The receiver thread sees it and ends all calls.
  }
}

void Channel::Ping() {
  FrameHeader header;
  header.type = FrameType::kPing;
  Write(Connected(), header, {});
}

std::uint64_t Channel::Connected() const {
  MutexLock lock(mutex_);
  return connected_;
}

void Channel::Cancel(CallId id) {
  std::uint64_t connection = 0;
  {
    MutexLock lock(mutex_);
    const auto found = calls_.find(id);
    if (found == calls_.end()) return;
    if (found->second.state != CallState::kWaiting) {
      found->second.cancelled = true;
      return AwaitEnd(id);
    }
    calls_.erase(found);
    std::erase_if(unsent_, [id](const auto& frame) { return frame.first.request_id == id; });
    connection = connected_;
  }
  FrameHeader header;
  header.type = FrameType::kCancel;
  header.request_id = id;
  Write(connection, header, {});
}

// The frame that is arriving may end by itself; if it stalls, the connection has to go.
void Channel::AwaitEnd(CallId id) {
  const Deadline patience = Clock::now() + kCancelPatience;
  while (calls_.contains(id) && !Passed(patience)) changed_.WaitUntil(mutex_, patience);
  if (!calls_.contains(id)) return;
  if (calls_.at(id).state == CallState::kReceiving) {
    MutexLock lock(write_mutex_);
    if (fd_) shutdown(fd_.get(), SHUT_RDWR);
  }
  while (calls_.contains(id)) changed_.Wait(mutex_);
}

// The receiver thread: one connection after another, as long as there are calls.
void Channel::Run(std::stop_token stop) {
  while (true) {
    Status ended = Open(stop);
    int fd = -1;
    {
      MutexLock lock(write_mutex_);
      fd = fd_.get();
    }
    if (ended.ok()) ended = ReceiveFrames(fd, stop);
    if (ended.ok()) return;  // Idle.
    FailAll(ConnectionBroke(address_, ended.error(), refused_));
    MutexLock lock(mutex_);
    if (calls_.empty()) {
      running_ = false;
      return;
    }
    // Begun since the connection broke: they deserve one of their own.
  }
}

Status Channel::Open(std::stop_token stop) {
  Result<UniqueFd> connected = Connect(address_, Clock::now() + options_.connect_timeout, stop);
  if (!connected.ok()) return std::move(connected).error();
  const int fd = connected.value().get();
  std::uint64_t connection = 0;
  {
    MutexLock lock(write_mutex_);
    fd_ = std::move(connected).value();
    connection = ++fd_connection_;
    received_ = 0;
    acknowledged_ = 0;
  }
  refused_ = false;
  if (Status status = Greet(fd, connection, stop); !status.ok()) return status;
  // Frames that waited for the connection go first; later ones may overtake the last of them.
  std::vector<std::pair<FrameHeader, std::vector<std::byte>>> unsent;
  {
    MutexLock lock(mutex_);
    unsent.swap(unsent_);
    connected_ = connection;
  }
  for (const auto& [header, body] : unsent) Write(connection, header, body);
  return {};
}

Status Channel::Greet(int fd, std::uint64_t connection, std::stop_token stop) {
  Hello hello;
  hello.version_min = kProtocolVersionMin;
  hello.version_max = kProtocolVersion;
  hello.reader_id = options_.reader_id;
  hello.block_bytes = options_.block_bytes;
  hello.endpoint = options_.endpoint;
  FrameHeader header;
  header.type = FrameType::kHello;
  Write(connection, header, Encode(hello));
  const Deadline deadline = Clock::now() + kGreetTimeout;
  FrameHeaderBytes bytes;
  if (Status status = ReceiveExactly(fd, bytes, deadline); !status.ok()) return status;
  if (stop.stop_requested()) return Error(Code::kCancelled, "asked to stop");
  const Result<FrameHeader> answer = DecodeFrameHeader(bytes);
  if (!answer.ok()) return answer.error();
  std::vector<std::byte> body(answer.value().body_bytes);
  if (Status status = ReceiveExactly(fd, body, deadline); !status.ok()) return status;
  if (answer.value().type == FrameType::kError) {
    refused_ = true;
    return DecodeError(answer.value().code, body);
  }
  if (answer.value().type != FrameType::kWelcome || answer.value().payload_bytes != 0) {
    return Error(Code::kInvalidArgument, "it does not greet as a worker does");
  }
  const Result<Welcome> welcome = DecodeWelcome(body);
  if (!welcome.ok()) return welcome.error();
  return {};
}

Status Channel::ReceiveFrames(int fd, std::stop_token stop) {
  std::vector<std::byte> body;
  while (true) {
    const bool owes = received_ != acknowledged_;
    FrameHeaderBytes bytes;
    const Result<bool> came =
        ReceiveHeader(fd, bytes, Clock::now() + (owes ? kAcknowledgeDelay : options_.idle_timeout));
    if (stop.stop_requested()) return Error(Code::kCancelled, "asked to stop");
    if (!came.ok()) return came.error();
    if (!came.value()) {
      if (owes) {
        Acknowledge();
      } else if (CloseIfIdle()) {
        return {};
      }
      continue;
    }
    const Result<FrameHeader> header = DecodeFrameHeader(bytes);
    if (!header.ok()) return header.error();
    body.resize(header.value().body_bytes);
    if (Status status = ReceiveExactly(fd, body, NoDeadline()); !status.ok()) return status;
    if (Status status = Dispatch(fd, header.value(), body); !status.ok()) return status;
  }
}

// False: no frame has begun by `until`.
Result<bool> Channel::ReceiveHeader(int fd, FrameHeaderBytes& bytes, Deadline until) {
  std::size_t received = 0;
  while (received == 0) {
    const ssize_t got = recv(fd, bytes.data(), bytes.size(), 0);
    if (got == 0) return Error(Code::kUnavailable, "the worker closed the connection");
    if (got > 0) {
      received = static_cast<std::size_t>(got);
    } else if (errno == EAGAIN) {
      if (!WaitFor(fd, /*writable=*/false, until) && Passed(until)) return false;
    } else if (errno != EINTR) {
      return Error(Code::kUnavailable, std::strerror(errno));
    }
  }
  if (Status status = ReceiveExactly(fd, std::span(bytes).subspan(received), NoDeadline());
      !status.ok()) {
    return std::move(status).error();
  }
  return true;
}

bool Channel::CloseIfIdle() {
  MutexLock lock(mutex_);
  if (!calls_.empty()) return false;
  connected_ = 0;
  running_ = false;
  MutexLock write_lock(write_mutex_);
  fd_.Reset();
  return true;
}

// Readers that have all they want say so, or the worker could not reuse the slots in place.
void Channel::Acknowledge() {
  FrameHeader header;
  header.type = FrameType::kAck;
  Write(Connected(), header, {});
}

Status Channel::Dispatch(int fd, const FrameHeader& header, std::span<const std::byte> body) {
  last_heard_ = Clock::now();
  if (Status status = Heard(header, body); !status.ok()) return status;
  if (header.type == FrameType::kPong && header.request_id == 0) return {};
  queue_depth_ = header.queue_depth;
  if (header.holders > 0) holders_ = header.holders;
  if (header.type == FrameType::kBlockData) return ReceiveData(fd, header, body);
  if (header.payload_bytes != 0) return Error(Code::kInvalidArgument, "payload on another frame");
  BlockReceiver::Outcome outcome;
  outcome.load = {header.queue_depth, std::max<std::uint16_t>(header.holders, 1)};
  if (header.type == FrameType::kError || header.type == FrameType::kStale) {
    outcome.status = header.type == FrameType::kError
                         ? DecodeError(header.code, body)
                         : Error(Code::kStale, "the group has a newer map");
    Finish(header.request_id, std::move(outcome));
    return {};
  }
  return Answer(header, body);
}

// In pieces, each checked while it is in the processor's cache, and so that a long run on a slow
// link shows that the worker lives. `*intact` says whether all granules matched.
Status Channel::ReceivePayload(int fd, std::span<std::byte> space,
                               std::span<const std::uint32_t> checksums, bool* intact) {
  constexpr std::size_t kGranulesAPiece = 4;
  *intact = true;
  while (!space.empty()) {
    const std::span<std::byte> piece =
        space.first(std::min<std::size_t>(space.size(), kGranulesAPiece * kGranuleBytes));
    if (Status status = ReceiveExactly(fd, piece, NoDeadline()); !status.ok()) return status;
    last_heard_ = Clock::now();
    const std::size_t granules = GranulesOf(piece.size());
    *intact = *intact && std::ranges::equal(GranuleChecksums(piece), checksums.first(granules));
    checksums = checksums.subspan(granules);
    space = space.subspan(piece.size());
  }
  return {};
}

Status Channel::Discard(int fd, std::uint32_t bytes) {
  constexpr std::uint32_t kPiece = 64 << 10;
  std::vector<std::byte> piece(std::min(bytes, kPiece));
  while (bytes > 0) {
    const std::uint32_t length = std::min(bytes, kPiece);
    if (Status status = ReceiveExactly(fd, std::span(piece).first(length), NoDeadline());
        !status.ok()) {
      return status;
    }
    bytes -= length;
  }
  return {};
}

// What the receiver has refused, and what comes after damage, is dropped; `*outcome` says why.
Status Channel::ReceiveRun(int fd, BlockReceiver* receiver, const BlockData& run,
                           std::uint32_t length, Status* outcome) {
  std::span<const std::uint32_t> checksums = run.checksums;
  for (std::uint32_t done = 0; done < length;) {
    const std::uint32_t part = std::min(length - done, kDestinationBytes);
    std::span<std::byte> space;
    if (receiver != nullptr) space = receiver->Destination(run.offset + done, part);
    if (space.size() != part) {
      *outcome = Error(Code::kInternal, "the worker sent bytes that were not asked for");
      return Discard(fd, length - done);
    }
    bool intact = false;
    const std::span<const std::uint32_t> expected = checksums.first(GranulesOf(part));
    if (Status status = ReceivePayload(fd, space, expected, &intact); !status.ok()) return status;
    done += part;
    if (!intact) {
      *outcome = Error(Code::kCorrupt, "bytes do not match their checksum");
      return Discard(fd, length - done);
    }
    receiver->Received(run.offset + done - part, part, expected);
    checksums = checksums.subspan(expected.size());
  }
  return {};
}

Status Channel::ReceiveData(int fd, const FrameHeader& header, std::span<const std::byte> body) {
  Result<BlockData> decoded = DecodeBlockData(body);
  if (!decoded.ok()) return std::move(decoded).error();
  const BlockData& data = decoded.value();
  if (data.checksums.size() != GranulesOf(header.payload_bytes) ||
      data.offset % kGranuleBytes != 0) {
    return Error(Code::kInvalidArgument, "a data frame's checksums do not fit its payload");
  }
  BlockReceiver* receiver = Claim(header.request_id);
  BlockReceiver::Outcome outcome;
  outcome.load = {header.queue_depth, std::max<std::uint16_t>(header.holders, 1)};
  outcome.waited_for_fill = (header.flags & kFlagFilled) != 0;
  outcome.from_peer = (header.flags & kFlagFromPeer) != 0;
  if (Status status = ReceiveRun(fd, receiver, data, header.payload_bytes, &outcome.status);
      !status.ok()) {
    return status;
  }
  ++received_;
  if (receiver != nullptr) {
    if ((header.flags & kFlagLast) != 0 || !outcome.status.ok()) {
      Finish(header.request_id, std::move(outcome));
    } else {
      Release(header.request_id);
    }
  }
  if (received_ - acknowledged_ >= kUnacknowledgedMax) Acknowledge();
  return {};
}

// The receiver of a call whose bytes have begun to arrive; null if nobody wants them any more.
BlockReceiver* Channel::Claim(CallId id) {
  MutexLock lock(mutex_);
  const auto found = calls_.find(id);
  if (found == calls_.end() || !found->second.receiver) return nullptr;
  found->second.state = CallState::kReceiving;
  return found->second.receiver.get();  // Stays: only this thread removes a claimed call.
}

void Channel::Release(CallId id) {
  MutexLock lock(mutex_);
  const auto found = calls_.find(id);
  found->second.state = CallState::kWaiting;
  if (!found->second.cancelled) return;
  calls_.erase(found);
  changed_.NotifyAll();
}

void Channel::Finish(CallId id, BlockReceiver::Outcome outcome) {
  std::shared_ptr<BlockReceiver> receiver;
  {
    MutexLock lock(mutex_);
    const auto found = calls_.find(id);
    if (found == calls_.end()) return;
    Call& call = found->second;
    if (call.question) {
      call.question->reply.emplace(std::move(outcome.status).error());
    } else if (!call.cancelled) {
      call.state = CallState::kFinishing;
      receiver = call.receiver;
    }
  }
  if (receiver) receiver->Done(std::move(outcome));
  MutexLock lock(mutex_);
  calls_.erase(id);
  changed_.NotifyAll();
}

void Channel::FailAll(const Error& error) {
  std::vector<CallId> ids;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, call] : calls_) ids.push_back(id);
    unsent_.clear();
    connected_ = 0;
    MutexLock write_lock(write_mutex_);
    fd_.Reset();
  }
  for (const CallId id : ids) {
    BlockReceiver::Outcome outcome;
    outcome.status = error;
    outcome.load = load();
    Finish(id, std::move(outcome));
  }
}

}  // namespace forebay
