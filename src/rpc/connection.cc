#include "rpc/connection.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/metrics.h"

namespace forebay {
namespace {

Counter& SentBytes() {
  static Counter& counter =
      Metrics().AddCounter("forebay_worker_sent_bytes_total", "Block bytes put on the link.");
  return counter;
}

// A frame that has begun to arrive must be whole within this, and so must a greeting.
constexpr std::chrono::seconds kFrameTimeout{10};
// A send without progress for this long gives its place on the link to another.
constexpr std::chrono::milliseconds kStalled{50};
// More data frames than this without an acknowledgement: not a client of ours.
constexpr std::size_t kUnacknowledgedMax = 4096;

std::vector<std::byte> Head(FrameHeader header, const std::vector<std::byte>& body) {
  header.body_bytes = static_cast<std::uint32_t>(body.size());
  const FrameHeaderBytes bytes = EncodeFrameHeader(header);
  std::vector<std::byte> head(bytes.size() + body.size());
  std::copy(body.begin(), body.end(), std::copy(bytes.begin(), bytes.end(), head.begin()));
  return head;
}

Status SendFrame(int fd, const FrameHeader& header, const std::vector<std::byte>& body) {
  const std::vector<std::byte> head = Head(header, body);
  const std::array<std::span<const std::byte>, 1> parts = {head};
  return SendAll(fd, parts, Clock::now() + kFrameTimeout);
}

Error Broken(const std::string& what) {
  return {Code::kInvalidArgument, what};
}

}  // namespace

ReplyFrame ErrorFrame(const Error& error, std::uint16_t holders) {
  ReplyFrame frame;
  frame.type = FrameType::kError;
  frame.code = static_cast<std::uint16_t>(error.code());
  frame.holders = holders;
  frame.body = EncodeErrorText(error.message());
  return frame;
}

Connection::Connection(UniqueFd fd, std::shared_ptr<Waker> waker, ConnectionShared shared)
    : fd_(std::move(fd)), shared_(shared), waker_(std::move(waker)) {}

Connection::~Connection() {
  LeaveLink();
  shared_.queue_depth -= static_cast<std::uint32_t>(active_.size());
}

Status Connection::Run(std::stop_token stop) {
  const std::stop_callback wake(stop, [this] {
    shutdown(fd_.get(), SHUT_RDWR);
    waker_->Wake();
  });
  if (Status status = Greet(stop); !status.ok()) return status;
  while (!stop.stop_requested() && !gone_) {
    waker_->Clear();  // Before looking: a wake-up during the look is not lost.
    if (Status status = ReadRequests(); !status.ok()) return status;
    const Result<Progress> progress = Advance();
    if (!progress.ok()) return progress.error();
    if (progress.value() != Progress::kSome || AllDone()) {
      Wait(progress.value() == Progress::kBlocked);
    }
  }
  return {};
}

// Whether there is nothing to do but wait for a request: looking for one costs a system call. Not
// while a place on the link is to be given back.
bool Connection::AllDone() const {
  return active_.empty() && !outgoing_ && !pong_due_ && !ticket_ &&
         input_end_ - input_begin_ < kFrameHeaderBytes;
}

Status Connection::Greet(std::stop_token stop) {
  const Deadline deadline = Clock::now() + kFrameTimeout;
  FrameHeaderBytes bytes;
  if (Status status = ReceiveExactly(fd_.get(), bytes, deadline); !status.ok()) return status;
  if (stop.stop_requested()) return {};
  const Result<FrameHeader> header = DecodeFrameHeader(bytes);
  if (!header.ok()) {
    FrameHeader refusal;
    refusal.type = FrameType::kError;
    refusal.code = static_cast<std::uint16_t>(header.error().code());
    // The peer may not understand it; the log of this side has it too.
    [[maybe_unused]] const bool told =
        SendFrame(fd_.get(), refusal, EncodeErrorText(header.error().message())).ok();
    return header.error();
  }
  if (header.value().type != FrameType::kHello || header.value().payload_bytes != 0) {
    return Broken("the first frame is not a greeting");
  }
  std::vector<std::byte> body(header.value().body_bytes);
  if (Status status = ReceiveExactly(fd_.get(), body, deadline); !status.ok()) return status;
  Result<Hello> hello = DecodeHello(body);
  if (!hello.ok()) return std::move(hello).error();
  reader_id_ = hello.value().reader_id;
  FrameHeader answer;
  answer.epoch = shared_.service.epoch();
  const Result<Welcome> welcome = shared_.service.Greet(hello.value());
  if (welcome.ok()) {
    answer.type = FrameType::kWelcome;
    return SendFrame(fd_.get(), answer, Encode(welcome.value()));
  }
  answer.type = FrameType::kError;
  answer.code = static_cast<std::uint16_t>(welcome.error().code());
  if (Status status = SendFrame(fd_.get(), answer, EncodeErrorText(welcome.error().message()));
      !status.ok()) {
    return status;
  }
  return welcome.error();
}

Status Connection::ReadRequests() {
  bool drained = false;
  while (active_.size() < shared_.outstanding_max) {
    if (input_end_ - input_begin_ >= kFrameHeaderBytes) {
      if (Status status = ReadFrame(); !status.ok()) return status;
      continue;
    }
    if (drained) return {};
    std::copy(input_.begin() + input_begin_, input_.begin() + input_end_, input_.begin());
    input_end_ -= std::exchange(input_begin_, 0);
    const std::size_t room = input_.size() - input_end_;
    const ssize_t received = recv(fd_.get(), input_.data() + input_end_, room, 0);
    if (received == 0) return Error(Code::kUnavailable, "the client closed the connection");
    if (received < 0) {
      if (errno == EAGAIN) return {};
      if (errno == EINTR) continue;
      return Error(Code::kUnavailable, std::strerror(errno));
    }
    input_end_ += static_cast<std::uint32_t>(received);
    drained = static_cast<std::size_t>(received) < room;
  }
  return {};
}

// The first frame of the input; its body may still have to come.
Status Connection::ReadFrame() {
  const std::span<const std::byte> input =
      std::span(input_).subspan(input_begin_, input_end_ - input_begin_);
  const Result<FrameHeader> header = DecodeFrameHeader(input.first<kFrameHeaderBytes>());
  if (!header.ok()) return header.error();
  if (header.value().payload_bytes != 0) return Broken("a request with a payload");
  const std::size_t length = header.value().body_bytes;
  const std::span<const std::byte> here = input.subspan(kFrameHeaderBytes);
  if (here.size() >= length) {
    input_begin_ += static_cast<std::uint32_t>(kFrameHeaderBytes + length);
    return Handle(header.value(), here.first(length));
  }
  std::vector<std::byte> body(length);
  std::copy(here.begin(), here.end(), body.begin());
  input_begin_ = input_end_ = 0;
  if (!outgoing_) LeaveLink();  // Not while waiting for the rest of a request.
  if (Status status = ReceiveExactly(fd_.get(), std::span(body).subspan(here.size()),
                                     Clock::now() + kFrameTimeout);
      !status.ok()) {
    return status;
  }
  return Handle(header.value(), body);
}

Status Connection::Handle(const FrameHeader& header, std::span<const std::byte> body) {
  if (Status status = Acknowledged(header.acked); !status.ok()) return status;
  switch (header.type) {
    case FrameType::kReadBlock:
    case FrameType::kStat:
    case FrameType::kList:
    case FrameType::kGroup:
    case FrameType::kHave:
    case FrameType::kDrop:
    case FrameType::kMetrics: return BeginReply(header, body);
    case FrameType::kCancel: Cancel(header.request_id); return {};
    case FrameType::kAck: return {};
    case FrameType::kPing:
      if ((header.flags & kFlagRefresh) != 0) shared_.service.Refresh();
      if (header.request_id != 0) return BeginReply(header, body);
      pong_due_ = true;
      return {};
    case FrameType::kHello:
    case FrameType::kWelcome:
    case FrameType::kBlockData:
    case FrameType::kStatReply:
    case FrameType::kListReply:
    case FrameType::kError:
    case FrameType::kPong:
    case FrameType::kGroupReply:
    case FrameType::kHaveReply:
    case FrameType::kDropReply:
    case FrameType::kMetricsReply:
    case FrameType::kStale:
      return Broken(
          fmt::format("a client does not send frames of type {}", static_cast<int>(header.type)));
  }
  return Broken("unknown frame");
}

Status Connection::BeginReply(const FrameHeader& header, std::span<const std::byte> body) {
  Active active;
  active.request_id = header.request_id;
  active.domain = header.domain;
  active.deadline = Clock::now() + std::chrono::milliseconds(header.deadline_ms);
  active.send_class = (header.flags & kFlagPeer) != 0 ? SendClass::kPeer : SendClass::kClient;
  RequestContext context{.reader_id = reader_id_,
                         .domain = header.domain,
                         .flags = header.flags,
                         .deadline = active.deadline,
                         .queue_depth = shared_.queue_depth.load(),
                         .epoch = header.epoch,
                         .waker = waker_};
  Result<std::unique_ptr<Reply>> reply = ReplyTo(header, body, std::move(context));
  if (!reply.ok()) return std::move(reply).error();
  active.reply = std::move(reply).value();
  active_.push_back(std::move(active));
  ++shared_.queue_depth;
  return {};
}

Result<std::unique_ptr<Reply>> Connection::ReplyTo(const FrameHeader& header,
                                                   std::span<const std::byte> body,
                                                   RequestContext context) {
  Service& service = shared_.service;
  // Decodes the body and hands it to `begin`.
  const auto with = [&](auto decode, auto begin) -> Result<std::unique_ptr<Reply>> {
    const auto request = decode(body);
    if (!request.ok()) return request.error();
    return (service.*begin)(request.value(), std::move(context));
  };
  if (header.type == FrameType::kReadBlock) return with(DecodeReadBlock, &Service::BeginRead);
  if (header.type == FrameType::kStat) return with(DecodeLookup, &Service::BeginStat);
  if (header.type == FrameType::kList) return with(DecodeLookup, &Service::BeginList);
  if (header.type == FrameType::kGroup) return with(DecodeGroupQuestion, &Service::BeginGroup);
  if (header.type == FrameType::kHave) return with(DecodeHave, &Service::BeginHave);
  if (header.type == FrameType::kDrop) return with(DecodeDrop, &Service::BeginDrop);
  if (header.type == FrameType::kMetrics) return service.BeginMetrics(std::move(context));
  ReplyFrame pong;
  pong.type = FrameType::kPong;
  return std::unique_ptr<Reply>(std::make_unique<ReadyReply>(std::move(pong)));
}

Status Connection::Acknowledged(std::uint64_t count) {
  if (count > data_frames_) return Broken("acknowledges frames that were not sent");
  while (!unacknowledged_.empty() && unacknowledged_.front().number <= count) {
    unacknowledged_.front().payload->Acknowledge();
    unacknowledged_.pop_front();
  }
  if (unacknowledged_.size() > kUnacknowledgedMax) return Broken("never acknowledges");
  return {};
}

void Connection::Cancel(std::uint64_t request_id) {
  for (auto active = active_.begin(); active != active_.end(); ++active) {
    if (active->request_id != request_id) continue;
    // A frame that has begun must be sent whole, or the stream is lost; it is the last one then.
    if (outgoing_ && outgoing_->active == active) {
      outgoing_->last = true;
      return;
    }
    active_.erase(active);
    --shared_.queue_depth;
    return;
  }
}

Result<Connection::Progress> Connection::Advance() {
  if (outgoing_ && outgoing_->active != active_.end() && Passed(outgoing_->active->deadline)) {
    return Error(Code::kDeadlineExceeded, "the client stopped reading in the middle of a frame");
  }
  if (!outgoing_ && !NextFrame()) return Progress::kNone;
  // A frame that stalled gave its place back; it needs one again to go on.
  if (outgoing_->payload && !MayUseLink(*outgoing_->active)) return Progress::kNone;
  return SendSome();
}

bool Connection::MayUseLink(const Active& active) {
  if (!ticket_) ticket_ = shared_.gate.Arrive(active.send_class, active.domain, waker_);
  return ticket_ && shared_.gate.Granted(*ticket_);
}

bool Connection::NextFrame() {
  if (std::exchange(pong_due_, false)) {
    FrameHeader header;
    header.type = FrameType::kPong;
    header.epoch = shared_.service.epoch();
    outgoing_ = Outgoing{};
    outgoing_->head = Head(header, {});
    outgoing_->active = active_.end();
    return true;
  }
  bool wants_link = false;
  for (auto active = active_.begin(); active != active_.end(); ++active) {
    if (Passed(active->deadline)) {
      Enqueue(active, ErrorFrame(Error(Code::kDeadlineExceeded, "the request waited too long")));
      return true;
    }
    if (!active->reply->Ready()) continue;
    if (active->reply->NeedsLink()) {
      // The link is for one reply at a time: the first that is ready.
      if (std::exchange(wants_link, true) || !MayUseLink(*active)) continue;
    }
    std::optional<ReplyFrame> frame = active->reply->Next();
    if (!frame) continue;
    Enqueue(active, std::move(*frame));
    return true;
  }
  if (!wants_link) LeaveLink();
  return false;
}

void Connection::Enqueue(std::list<Active>::iterator active, ReplyFrame frame) {
  FrameHeader header;
  header.type = frame.type;
  header.flags = static_cast<std::uint16_t>(frame.flags | (frame.last ? kFlagLast : 0));
  header.request_id = active->request_id;
  header.domain = active->domain;
  header.epoch = shared_.service.epoch();
  header.queue_depth = shared_.queue_depth.load();
  header.holders = frame.holders;
  header.code = frame.code;
  if (frame.payload) header.payload_bytes = static_cast<std::uint32_t>(frame.payload->length());
  Outgoing outgoing;
  outgoing.head = Head(header, frame.body);
  outgoing.payload = std::move(frame.payload);
  outgoing.is_data = frame.type == FrameType::kBlockData;
  outgoing.last = frame.last;
  outgoing.active = active;
  outgoing_ = std::move(outgoing);
}

Result<Connection::Progress> Connection::SendSome() {
  while (true) {
    const Result<bool> done = SendStep();
    if (!done.ok()) return done.error();
    if (done.value()) {
      FinishFrame();
      return Progress::kSome;
    }
    if (!WaitFor(fd_.get(), /*writable=*/true, Clock::now() + kStalled)) {
      LeaveLink();
      return Progress::kBlocked;
    }
  }
}

// Sends until the frame is out (true) or the socket is full (false).
Result<bool> Connection::SendStep() {
  Outgoing& out = *outgoing_;
  while (out.head_sent < out.head.size()) {
    const ssize_t sent =
        send(fd_.get(), out.head.data() + out.head_sent, out.head.size() - out.head_sent,
             MSG_NOSIGNAL | (out.payload ? MSG_MORE : 0));
    if (sent < 0 && errno == EAGAIN) return false;
    if (sent < 0 && errno != EINTR) return Error(Code::kUnavailable, std::strerror(errno));
    if (sent > 0) out.head_sent += static_cast<std::size_t>(sent);
  }
  while (out.payload && out.payload_sent < out.payload->length()) {
    off_t offset = out.payload->offset() + static_cast<off_t>(out.payload_sent);
    const ssize_t sent =
        sendfile(fd_.get(), out.payload->fd(), &offset, out.payload->length() - out.payload_sent);
    if (sent < 0 && errno == EAGAIN) return false;
    if (sent < 0 && errno != EINTR) return Error(Code::kUnavailable, std::strerror(errno));
    if (sent == 0) return Error(Code::kInternal, "a segment is shorter than its slots");
    if (sent > 0) {
      out.payload_sent += static_cast<std::size_t>(sent);
      SentBytes().Add(static_cast<std::uint64_t>(sent));
    }
  }
  return true;
}

void Connection::FinishFrame() {
  Outgoing out = std::move(*outgoing_);
  outgoing_.reset();
  if (out.is_data) ++data_frames_;
  if (out.payload) {
    out.payload->Sent();
    unacknowledged_.push_back({data_frames_, std::move(out.payload)});
    LeaveLink();
  }
  if (out.last) {
    active_.erase(out.active);
    --shared_.queue_depth;
  }
}

void Connection::LeaveLink() {
  if (ticket_) shared_.gate.Leave(*ticket_);
  ticket_.reset();
}

void Connection::Wait(bool for_writing) {
  const bool may_read = active_.size() < shared_.outstanding_max;
  std::array<pollfd, 2> entries = {{{fd_.get(), 0, 0}, {waker_->fd(), POLLIN, 0}}};
  if (may_read) entries[0].events |= POLLIN | POLLRDHUP;
  if (for_writing) entries[0].events |= POLLOUT;
  Deadline until = Deadline::max();
  if (outgoing_) {
    if (outgoing_->active != active_.end()) until = outgoing_->active->deadline;
  } else {
    for (const Active& active : active_) until = std::min(until, active.deadline);
  }
  // A failing poll(2) is seen by the next read.
  const int timeout = until == Deadline::max() ? -1 : MillisecondsUntil(until);
  [[maybe_unused]] const int ready = poll(entries.data(), entries.size(), timeout);
  // With too many requests nothing is read, and nobody else would notice.
  if (!may_read && (entries[0].revents & (POLLHUP | POLLERR)) != 0) gone_ = true;
}

}  // namespace forebay
