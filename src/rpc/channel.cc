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
// An acknowledgement goes out on its own after so many data frames, or when for so long nothing was
// sent that could carry it.
constexpr std::uint64_t kUnacknowledgedMax = 32;
// Until then the worker may not use the slots again: in a small tier it has few others.
constexpr std::chrono::milliseconds kAcknowledgeDelay{100};
// With less than this to acknowledge the next request is likely to be in time to do it: a frame of
// its own costs both ends as much as a small block.
constexpr std::uint64_t kLittleBytes = 256 << 10;
constexpr std::chrono::milliseconds kAcknowledgeLittleDelay{1000};
// Of a long run, so much is received before it is handed on: it stays in a cache until then.
constexpr std::uint32_t kDestinationBytes = 1 << 20;
static_assert(kDestinationBytes % kGranuleBytes == 0);
// ... in pieces, each compared with its checksums while it is in the processor's cache.
constexpr std::size_t kPieceBytes = std::size_t{4} * kGranuleBytes;

// A refusal at the greeting keeps its code: another worker will refuse as well. Everything else is
// this connection's trouble, whatever the system calls it.
Error ConnectionBroke(const Address& address, const Error& why, bool refused) {
  const bool keep = refused || why.code() == Code::kCancelled;
  const Code code = keep ? why.code() : Code::kUnavailable;
  return {code, "worker " + address.text + ": " + why.message()};
}

}  // namespace

Channel::Channel(Address address, ChannelOptions options)
    : address_(std::move(address)),
      options_(std::move(options)),
      receivers_(options_.receivers ? options_.receivers : std::make_shared<Receivers>()) {}

Channel::~Channel() {
  {
    MutexLock lock(mutex_);
    closing_ = true;
  }
  {
    MutexLock lock(write_mutex_);
    if (fd_) shutdown(fd_.get(), SHUT_RDWR);  // Nobody goes on writing.
  }
  threads_.StopAndJoin();
  receivers_->Remove(*this);
  EndConnection(ConnectionBroke(address_, Error(Code::kCancelled, "asked to stop"), false));
}

std::size_t Channel::outstanding() const {
  MutexLock lock(mutex_);
  return calls_.size();
}

void Channel::ConnectAhead() {
  MutexLock lock(mutex_);
  if (connected_ == 0 && !opening_) StartOpening();
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
      if (!opening_) StartOpening();
      return id;
    }
  }
  // Should the connection break just now, whoever sees it ends the call: it is registered.
  Write(connection, header, body);
  return id;
}

// Writes to connection number `connection`; if that is gone, so is whom the frame was for.
void Channel::Write(std::uint64_t connection, FrameHeader header, std::span<const std::byte> body) {
  MutexLock lock(write_mutex_);
  if (fd_ && connection == fd_connection_) WriteHeld(header, body, Clock::now() + kWriteTimeout);
}

void Channel::WriteHeld(FrameHeader header, std::span<const std::byte> body, Deadline until) {
  header.epoch = epoch_.load();
  acknowledged_bytes_ = received_bytes_.load();  // First: of no more than is acknowledged.
  header.acked = received_.load();
  acknowledged_ = header.acked;
  header.body_bytes = static_cast<std::uint32_t>(body.size());
  const FrameHeaderBytes bytes = EncodeFrameHeader(header);
  const std::array<std::span<const std::byte>, 2> parts = {bytes, body};
  if (!SendAll(fd_.get(), std::span(parts).first(body.empty() ? 1 : 2), until).ok()) {
    shutdown(fd_.get(), SHUT_RDWR);  // Whoever receives sees it and ends all calls.
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
    if (found->second.in_use) {
      found->second.cancelled = true;
      while (calls_.contains(id)) changed_.Wait(mutex_);
      return;
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

// What is to be sent meanwhile waits in unsent_.
void Channel::StartOpening() {
  if (closing_) return;
  opening_ = true;
  refused_ = false;
  connecting_.emplace(address_, Clock::now() + options_.connect_timeout);
  Status begun;
  if (address_.is_numeric()) {
    begun = Connect();
    if (begun.ok()) return;
  }
  // A name is looked up on a thread of its own. And whoever is here may hold a lock that receivers
  // take.
  threads_.Run("connect", [this, begun](std::stop_token) {
    const Status status = begun.ok() ? Connect() : begun;
    if (!status.ok()) EndConnection(ConnectionBroke(address_, status.error(), false));
  });
}

// From here on the thread that receives goes on.
Status Channel::Connect() {
  if (Status status = connecting_->Resolve(); !status.ok()) return status;
  const Result<bool> begun = connecting_->Step(/*writable=*/false);
  if (!begun.ok()) return begun.error();
  return AwaitConnected();
}

std::optional<Deadline> Channel::ContinueConnecting(bool writable) {
  const std::size_t attempt = connecting_->attempt();
  const Result<bool> connected = connecting_->Step(writable);
  if (connected.ok() && connecting_->attempt() == attempt) {
    return connected.value() ? Greet() : connecting_->due();
  }
  const Status status = connected.ok() ? AwaitConnected() : connected.error();
  if (!status.ok()) EndConnection(ConnectionBroke(address_, status.error(), false));
  return std::nullopt;
}

Status Channel::AwaitConnected() {
  return receivers_->Add(connecting_->fd(), *this, connecting_->due(), Receivers::First::kWritable);
}

// The calls that waited follow at once: a worker that refuses to greet ends them all the same.
Deadline Channel::Greet() {
  stream_ = FrameStream();
  run_.reset();
  receiving_fd_ = connecting_->fd();
  Hello hello;
  hello.version_min = kProtocolVersionMin;
  hello.version_max = kProtocolVersion;
  hello.reader_id = options_.reader_id;
  hello.block_bytes = options_.block_bytes;
  hello.endpoint = options_.endpoint;
  FrameHeader header;
  header.type = FrameType::kHello;
  {
    MutexLock lock(mutex_);
    MutexLock write_lock(write_mutex_);  // Nobody else writes yet.
    fd_ = connecting_->Take();
    connected_ = ++fd_connection_;
    opening_ = false;
    received_ = acknowledged_ = 0;
    received_bytes_ = acknowledged_bytes_ = 0;
    WriteHeld(header, Encode(hello), Clock::now());
    if (FewUnsent()) {
      for (const auto& [waiting, body] : unsent_) WriteHeld(waiting, body, Clock::now());
    } else {
      threads_.Run("send",
                   [this, connection = connected_, frames = std::move(unsent_)](std::stop_token) {
                     for (const auto& [waiting, body] : frames) Write(connection, waiting, body);
                   });
    }
    unsent_.clear();
  }
  connecting_.reset();
  return *(greeting_until_ = Clock::now() + kGreetTimeout);
}

// Whether the frames that wait fit any new socket, so that nobody waits for it.
bool Channel::FewUnsent() const {
  constexpr std::size_t kFrames = 16;
  constexpr std::size_t kBytes = 16 << 10;
  std::size_t bytes = 0;
  for (const auto& [header, body] : unsent_) bytes += body.size();
  return unsent_.size() <= kFrames && bytes <= kBytes;
}

// What the worker answers to Hello.
Status Channel::Greeted(const FrameHeader& header, std::span<const std::byte> body) {
  if (header.type == FrameType::kError) {
    refused_ = true;
    return DecodeError(header.code, body);
  }
  if (header.type != FrameType::kWelcome || header.payload_bytes != 0) {
    return Error(Code::kInvalidArgument, "it does not greet as a worker does");
  }
  const Result<Welcome> welcome = DecodeWelcome(body);
  if (!welcome.ok()) return welcome.error();
  greeting_until_.reset();
  return {};
}

// Ends all calls of the connection, and of the one that could not be opened.
void Channel::EndConnection(const Error& error) {
  std::vector<CallId> ids;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, call] : calls_) ids.push_back(id);
    unsent_.clear();
    connected_ = 0;
    opening_ = true;  // Not before this is done.
    connecting_.reset();
    greeting_until_.reset();
    MutexLock write_lock(write_mutex_);
    fd_.Reset();
  }
  for (const CallId id : ids) {
    BlockReceiver::Outcome outcome;
    outcome.status = error;
    outcome.load.queue_depth = queue_depth_;  // What it said of holders was of another file.
    Finish(id, std::move(outcome));
  }
  MutexLock lock(mutex_);
  opening_ = false;
  // Begun since: they deserve a connection of their own.
  if (!unsent_.empty()) StartOpening();
}

bool Channel::CloseIfIdle() {
  MutexLock lock(mutex_);
  if (!calls_.empty()) return false;
  if (!write_mutex_.TryLock()) return false;
  connected_ = 0;
  fd_.Reset();
  write_mutex_.Unlock();
  return true;
}

std::optional<Deadline> Channel::Receive(bool ready) {
  if (connecting_) return ContinueConnecting(ready);
  Status status;
  if (ready) {
    // For those who are called meanwhile; a worker that only hangs up gives no sign of life.
    if (!greeting_until_) last_heard_ = Clock::now();
    status = stream_.Receive(receiving_fd_, *this);
    // Until its last byte, also of what nobody wants any more.
    if (status.ok() && !greeting_until_) last_heard_ = Clock::now();
    // Until there is more, its call can be cancelled.
    if (run_ && run_->receiver != nullptr) {
      Release(run_->id);
      run_->receiver = nullptr;
    }
  } else if (greeting_until_) {
    status = Error(Code::kDeadlineExceeded, "it does not answer the greeting");
  } else if (received_ != acknowledged_) {
    Acknowledge();
  } else if (Passed(last_heard_.load() + options_.idle_timeout) && CloseIfIdle()) {
    return std::nullopt;
  }
  if (!status.ok()) {
    // Nobody may wait here for whom a full socket keeps from letting go of it.
    shutdown(receiving_fd_, SHUT_RDWR);
    EndConnection(ConnectionBroke(address_, status.error(), refused_));
    return std::nullopt;
  }
  return greeting_until_ ? *greeting_until_ : Clock::now() + Patience();
}

// How long after now something is to be done, if nothing comes.
std::chrono::milliseconds Channel::Patience() const {
  if (received_ == acknowledged_) return options_.idle_timeout;
  const bool little = received_bytes_ - acknowledged_bytes_ < kLittleBytes;
  return little ? kAcknowledgeLittleDelay : kAcknowledgeDelay;
}

// Readers that have all they want say so, or the worker could not reuse the slots in place. Does
// not wait: who is writing takes the news along, and to whom nothing can be sent it is told later.
void Channel::Acknowledge() {
  if (!write_mutex_.TryLock()) return;
  if (fd_ && WaitFor(fd_.get(), /*writable=*/true, Deadline::min())) {
    FrameHeader header;
    header.type = FrameType::kAck;
    WriteHeld(header, {}, Clock::now());
  }
  write_mutex_.Unlock();
}

Status Channel::Head(const FrameHeader& header, std::span<const std::byte> body) {
  if (greeting_until_) return Greeted(header, body);
  if (Status status = Heard(header, body); !status.ok()) return status;
  if (header.type == FrameType::kPong && header.request_id == 0) return {};
  queue_depth_ = header.queue_depth;
  if (header.type == FrameType::kBlockData) return BeginRun(header, body);
  if (header.payload_bytes != 0) return Error(Code::kInvalidArgument, "payload on another frame");
  BlockReceiver::Outcome outcome;
  outcome.load = {header.queue_depth, header.holders};
  if (header.type == FrameType::kError || header.type == FrameType::kStale) {
    outcome.status = header.type == FrameType::kError
                         ? DecodeError(header.code, body)
                         : Error(Code::kStale, "the group has a newer map");
    Finish(header.request_id, std::move(outcome));
    return {};
  }
  return Answer(header, body);
}

Status Channel::BeginRun(const FrameHeader& header, std::span<const std::byte> body) {
  Result<BlockData> data = DecodeBlockData(body);
  if (!data.ok()) return std::move(data).error();
  if (data.value().checksums.size() != GranulesOf(header.payload_bytes) ||
      data.value().offset % kGranuleBytes != 0) {
    return Error(Code::kInvalidArgument, "a data frame's checksums do not fit its payload");
  }
  Run& run = *(run_ = Run{});
  run.id = header.request_id;
  run.data = std::move(data).value();
  run.length = header.payload_bytes;
  run.last = (header.flags & kFlagLast) != 0;
  run.receiver = Claim(run.id);
  run.wanted = run.receiver != nullptr;
  run.outcome.load = {header.queue_depth, header.holders};
  run.outcome.waited_for_fill = (header.flags & kFlagFilled) != 0;
  run.outcome.from_peer = (header.flags & kFlagFromPeer) != 0;
  return {};
}

// The next piece of the destination.
std::span<std::byte> Channel::Space(std::uint32_t left) {
  Run& run = *run_;
  if (run.wanted && run.receiver == nullptr) {
    run.receiver = Claim(run.id);
    run.wanted = run.receiver != nullptr;  // Else it was cancelled.
  }
  if (!run.wanted) return {};
  if (run.space.empty()) {
    const std::uint32_t part = std::min(left, kDestinationBytes);
    run.space = run.receiver->Destination(run.data.offset + run.handed_on, part);
    run.filled = run.compared = 0;
    if (run.space.size() != part) {
      Spoil(Error(Code::kInternal, "the worker sent bytes that were not asked for"));
      return {};
    }
  }
  return run.space.subspan(run.filled, std::min(run.space.size() - run.filled, kPieceBytes));
}

void Channel::Filled(std::size_t bytes) {
  Run& run = *run_;
  run.filled += bytes;
  const bool whole = run.filled == run.space.size();
  const std::size_t until = whole ? run.filled : run.filled / kGranuleBytes * kGranuleBytes;
  if (!Matches(run, until)) {
    return Spoil(Error(Code::kCorrupt, "bytes do not match their checksum"));
  }
  run.compared = until;
  if (!whole) return;
  const auto length = static_cast<std::uint32_t>(run.space.size());
  run.space = {};
  run.receiver->Received(
      run.data.offset + run.handed_on, length,
      std::span(run.data.checksums).subspan(run.handed_on / kGranuleBytes, GranulesOf(length)));
  run.handed_on += length;
}

// Whether the granules that have come since the last time are what the worker has.
bool Channel::Matches(const Run& run, std::size_t until) const {
  std::size_t granule = (run.handed_on + run.compared) / kGranuleBytes;
  for (std::size_t begin = run.compared; begin < until; begin += kGranuleBytes) {
    const std::size_t length = std::min<std::size_t>(until - begin, kGranuleBytes);
    if (Crc32c(run.space.subspan(begin, length)) != run.data.checksums[granule++]) return false;
  }
  return true;
}

// Ends the call; the rest of the frame is dropped.
void Channel::Spoil(Error error) {
  Run& run = *run_;
  run.wanted = false;
  run.receiver = nullptr;
  run.outcome.status = std::move(error);
  Finish(run.id, std::move(run.outcome));
}

void Channel::End() {
  if (!run_) return;
  ++received_;
  received_bytes_ += run_->length;
  if (run_->receiver != nullptr) {
    if (run_->last) {
      Finish(run_->id, std::move(run_->outcome));
    } else {
      Release(run_->id);
    }
  }
  run_.reset();
  if (received_ - acknowledged_ >= kUnacknowledgedMax) Acknowledge();
}

// The receiver of a call whose bytes are there; null if nobody wants them any more. Until Release
// or Finish it is this thread's.
BlockReceiver* Channel::Claim(CallId id) {
  MutexLock lock(mutex_);
  const auto found = calls_.find(id);
  if (found == calls_.end() || !found->second.receiver) return nullptr;
  found->second.in_use = true;
  return found->second.receiver.get();
}

void Channel::Release(CallId id) {
  MutexLock lock(mutex_);
  const auto found = calls_.find(id);
  found->second.in_use = false;
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
      calls_.erase(found);
      changed_.NotifyAll();
      return;
    }
    if (!call.cancelled) {
      call.in_use = true;
      receiver = call.receiver;
    }
  }
  if (receiver) receiver->Done(std::move(outcome));
  MutexLock lock(mutex_);
  const auto found = calls_.find(id);  // Still there: who cancels a call in use only waits for it.
  const bool awaited = found->second.cancelled;
  calls_.erase(found);
  if (awaited) changed_.NotifyAll();
}

}  // namespace forebay
