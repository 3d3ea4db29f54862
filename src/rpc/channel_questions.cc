// Questions that a Channel waits for: a request frame, and one frame in answer.
#include <algorithm>
#include <utility>

#include "rpc/channel.h"
#include "wire/codec.h"

namespace forebay {
namespace {

constexpr std::chrono::milliseconds kStopPoll{100};

FrameHeader HeaderOf(FrameType type, std::uint16_t flags = 0) {
  FrameHeader header;
  header.type = type;
  header.flags = flags;
  return header;
}

// The frame that answers `type`. A question's reply has the number after it.
FrameType ReplyTo(FrameType type) {
  return static_cast<FrameType>(static_cast<std::uint8_t>(type) + 1);
}

static_assert(static_cast<int>(FrameType::kStat) + 1 == static_cast<int>(FrameType::kStatReply));
static_assert(static_cast<int>(FrameType::kList) + 1 == static_cast<int>(FrameType::kListReply));
static_assert(static_cast<int>(FrameType::kPing) + 1 == static_cast<int>(FrameType::kPong));
static_assert(static_cast<int>(FrameType::kGroup) + 1 == static_cast<int>(FrameType::kGroupReply));
static_assert(static_cast<int>(FrameType::kHave) + 1 == static_cast<int>(FrameType::kHaveReply));
static_assert(static_cast<int>(FrameType::kDrop) + 1 == static_cast<int>(FrameType::kDropReply));
static_assert(static_cast<int>(FrameType::kMetrics) + 1 ==
              static_cast<int>(FrameType::kMetricsReply));

Result<std::string> TextOf(Result<TextReply> reply) {
  if (!reply.ok()) return std::move(reply).error();
  return std::move(reply).value().text;
}

}  // namespace

// A reply that makes no sense is the worker's trouble, not its asker's.
template <typename T>
Result<T> Channel::Decoded(const Result<std::vector<std::byte>>& body,
                           Result<T> (*decode)(std::span<const std::byte>)) const {
  if (!body.ok()) return body.error();
  Result<T> decoded = decode(body.value());
  if (decoded.ok()) return decoded;
  return Error(Code::kUnavailable, "worker " + address_.text + ": " + decoded.error().message());
}

Result<LookupReply> Channel::Stat(const Lookup& lookup, Deadline deadline, std::stop_token stop) {
  return Decoded(Ask(HeaderOf(FrameType::kStat), Encode(lookup), deadline, std::move(stop)),
                 DecodeLookupReply);
}

Result<LookupReply> Channel::List(const Lookup& lookup, Deadline deadline, std::stop_token stop) {
  return Decoded(Ask(HeaderOf(FrameType::kList), Encode(lookup), deadline, std::move(stop)),
                 DecodeLookupReply);
}

Result<std::string> Channel::Group(const GroupQuestion& question, Deadline deadline,
                                   std::stop_token stop) {
  return TextOf(
      Decoded(Ask(HeaderOf(FrameType::kGroup), Encode(question), deadline, std::move(stop)),
              DecodeTextReply));
}

Result<HaveReply> Channel::AskHave(const Have& question, bool verify, Deadline deadline,
                                   std::stop_token stop) {
  Result<HaveReply> reply =
      Decoded(Ask(HeaderOf(FrameType::kHave, verify ? kFlagVerify : std::uint16_t{0}),
                  Encode(question), deadline, std::move(stop)),
              DecodeHaveReply);
  if (!reply.ok()) return reply;
  std::size_t bytes = 0;
  for (const Have::File& file : question.files) bytes += HeldBytes(file.blocks);
  if (reply.value().bits.size() == bytes) return reply;
  return Error(Code::kUnavailable, "worker " + address_.text + ": answers for other files");
}

Result<DropReply> Channel::AskDrop(const Drop& question, Deadline deadline, std::stop_token stop) {
  return Decoded(Ask(HeaderOf(FrameType::kDrop), Encode(question), deadline, std::move(stop)),
                 DecodeDropReply);
}

Result<std::string> Channel::AskMetrics(Deadline deadline, std::stop_token stop) {
  return TextOf(
      Decoded(Ask(HeaderOf(FrameType::kMetrics), {}, deadline, std::move(stop)), DecodeTextReply));
}

Status Channel::Refresh(Deadline deadline, std::stop_token stop) {
  const Result<std::vector<std::byte>> pong =
      Ask(HeaderOf(FrameType::kPing, kFlagRefresh), {}, deadline, std::move(stop));
  if (!pong.ok()) return pong.error();
  return {};
}

Result<std::vector<std::byte>> Channel::Ask(FrameHeader header, std::vector<std::byte> body,
                                            Deadline deadline, std::stop_token stop) {
  header.deadline_ms = static_cast<std::uint32_t>(MillisecondsUntil(deadline));
  Call call;
  call.question = std::make_shared<Question>(Question{ReplyTo(header.type), std::nullopt});
  const std::shared_ptr<Question> question = call.question;
  const CallId id = Begin(header, std::move(body), std::move(call));
  {
    MutexLock lock(mutex_);
    while (!question->reply && !Passed(deadline) && !stop.stop_requested()) {
      changed_.WaitUntil(mutex_, std::min(deadline, Clock::now() + kStopPoll));
    }
    if (question->reply) return *std::move(question->reply);
  }
  Cancel(id);
  if (stop.stop_requested()) return Error(Code::kCancelled, "asked to stop");
  return Error(Code::kDeadlineExceeded, "worker " + address_.text + " did not answer in time");
}

Status Channel::Heard(const FrameHeader& header, std::span<const std::byte> body) {
  TextReply map;
  if (header.type == FrameType::kStale) {
    Result<TextReply> decoded = DecodeTextReply(body);
    if (!decoded.ok()) return std::move(decoded).error();
    map = std::move(decoded).value();
  }
  const std::uint64_t known = std::max(newest_epoch_.load(), epoch_.load());
  if (header.epoch > newest_epoch_) newest_epoch_ = header.epoch;
  if (options_.on_newer && (header.epoch > known || header.type == FrameType::kStale)) {
    options_.on_newer(header.epoch, map.text);
  }
  return {};
}

Status Channel::Answer(const FrameHeader& header, std::span<const std::byte> body) {
  // What arrived damaged ends the connection: what follows it cannot be trusted either.
  if (!body.empty()) {
    if (Status intact = Decoder(body).Finish(); !intact.ok()) return intact;
  }
  MutexLock lock(mutex_);
  const auto found = calls_.find(header.request_id);
  if (found == calls_.end()) return {};
  const Call& call = found->second;
  if (!call.question || call.question->expected != header.type) {
    return Error(Code::kInvalidArgument, "a worker does not answer so");
  }
  call.question->reply.emplace(std::vector<std::byte>(body.begin(), body.end()));
  calls_.erase(found);
  changed_.NotifyAll();
  return {};
}

}  // namespace forebay
