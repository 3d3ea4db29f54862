#include "client/near_link.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/message_socket.h"

namespace forebay {
namespace {

constexpr std::size_t kIdleMax = 64;

// The other half is for connections, and for files of a mounted directory.
std::size_t FilesMax() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kIdleMax;
  return limit.rlim_cur / 2;
}

}  // namespace

NearLink::NearLink(std::string path) : path_(std::move(path)), files_max_(FilesMax()) {}

std::unique_ptr<NearFile> NearLink::Open(const std::string& url, const Attributes& attributes,
                                         Deadline deadline, const std::stop_token& stop) {
  if (attributes.size == 0 || files_.load() >= files_max_) return nullptr;
  NearQuestion question{.kind = NearQuestionKind::kOpen,
                        .url = url,
                        .version = attributes.version,
                        .size = attributes.size,
                        .mtime_ns = attributes.mtime_ns};
  std::optional<Answered> answered = Ask(question, deadline, stop);
  if (!answered || answered->answer.kind != NearAnswerKind::kDone || !answered->reader) {
    return nullptr;
  }
  struct stat status = {};
  const bool is_it = fstat(answered->reader.get(), &status) == 0 && S_ISREG(status.st_mode) &&
                     static_cast<std::uint64_t>(status.st_size) == attributes.size;
  if (!is_it) return nullptr;
  question.incarnation = answered->answer.incarnation;
  return std::unique_ptr<NearFile>(new NearFile(*this, std::move(question), std::move(*answered)));
}

UniqueFd NearLink::TakeIdle() {
  MutexLock lock(mutex_);
  if (idle_.empty()) return {};
  UniqueFd socket = std::move(idle_.back());
  idle_.pop_back();
  return socket;
}

std::optional<NearLink::Answered> NearLink::Ask(const NearQuestion& question, Deadline deadline,
                                                const std::stop_token& stop) {
  if (Clock::now() < away_until_.load()) return std::nullopt;
  const Clock::duration left = std::max<Clock::duration>(deadline - Clock::now(), {});
  const Deadline until = Clock::now() + std::min<Clock::duration>(left / 2, kAnswerMax);
  NearQuestion timed = question;
  timed.timeout_ms = static_cast<std::uint32_t>(MillisecondsUntil(until));
  // Connections that wait here may be of a near worker that is gone.
  while (UniqueFd socket = TakeIdle()) {
    std::optional<Answered> answered = AskOver(socket.get(), timed, until, stop);
    if (stop.stop_requested() || (!answered && Clock::now() < away_until_.load())) {
      return std::nullopt;
    }
    if (!answered) continue;
    KeepIdle(std::move(socket));
    return answered;
  }
  Result<UniqueFd> socket = ConnectForMessages(path_);
  const Result<unsigned> user =
      socket.ok() ? PeerUser(socket.value().get()) : Result<unsigned>(socket.error());
  // Whoever else listens there might answer with anything.
  if (!user.ok() || (user.value() != 0 && user.value() != geteuid())) {
    away_until_ = Clock::now() + kPause;
    return std::nullopt;
  }
  std::optional<Answered> answered = AskOver(socket.value().get(), timed, until, stop);
  if (answered) KeepIdle(std::move(socket).value());
  return answered;
}

void NearLink::KeepIdle(UniqueFd socket) {
  MutexLock lock(mutex_);
  if (idle_.size() < kIdleMax) idle_.push_back(std::move(socket));
}

std::optional<NearLink::Answered> NearLink::AskOver(int socket, const NearQuestion& question,
                                                    Deadline until, const std::stop_token& stop) {
  const Deadline send_until = std::min(until, Clock::now() + kPatience);
  if (!SendMessage(socket, Encode(question), -1, send_until).ok()) return std::nullopt;
  while (true) {
    Result<SocketMessage> message = ReceiveMessage(socket, kNearMessageBytesMax,
                                                   std::min(until, Clock::now() + kPatience), stop);
    if (!message.ok()) {
      const bool is_late = message.error().code() == Code::kDeadlineExceeded;
      if (is_late) away_until_ = Clock::now() + (Clock::now() < until ? kPause : kPauseIfSlow);
      return std::nullopt;
    }
    const Result<NearAnswer> answer = DecodeNearAnswer(message.value().bytes);
    if (!answer.ok()) return std::nullopt;
    if (answer.value().kind == NearAnswerKind::kWorking) continue;
    return Answered{answer.value(), std::move(message.value().fd)};
  }
}

NearFile::NearFile(NearLink& link, NearQuestion question, NearLink::Answered answered)
    : link_(link),
      question_(std::move(question)),
      reader_(std::move(answered.reader)),
      ready_((question_.size + kNearChunkBytes - 1) / kNearChunkBytes) {
  ++link_.files_;
  Take(answered.answer);
}

NearFile::~NearFile() {
  --link_.files_;
}

void NearFile::Take(const NearAnswer& answer) {
  const std::uint64_t end =
      std::min<std::uint64_t>(ready_.size(), std::uint64_t{answer.first_chunk} + answer.chunks);
  for (std::uint64_t chunk = answer.first_chunk; chunk < end; ++chunk) ready_[chunk] = true;
  if (answer.whole) whole_ = true;
}

bool NearFile::HasAll(std::uint64_t offset, std::uint64_t length) const {
  if (whole_) return true;
  const std::uint64_t last = (offset + length - 1) / kNearChunkBytes;
  for (std::uint64_t chunk = offset / kNearChunkBytes; chunk <= last; ++chunk) {
    if (!ready_[chunk]) return false;
  }
  return true;
}

std::optional<std::size_t> NearFile::Read(std::uint64_t offset, std::span<std::byte> buffer,
                                          Deadline deadline, const std::stop_token& stop) {
  if (offset >= question_.size || buffer.empty()) return 0;
  const std::uint64_t length = std::min<std::uint64_t>(buffer.size(), question_.size - offset);
  if (!HasAll(offset, length)) {
    if (gone_) return std::nullopt;
    NearQuestion question = question_;
    question.kind = NearQuestionKind::kFill;
    question.offset = offset;
    question.length = static_cast<std::uint32_t>(std::min<std::uint64_t>(length, UINT32_MAX));
    const std::optional<NearLink::Answered> answered = link_.Ask(question, deadline, stop);
    if (!answered) return std::nullopt;
    if (answered->answer.incarnation == 0) gone_ = true;
    if (answered->answer.kind != NearAnswerKind::kDone) return std::nullopt;
    Take(answered->answer);
    if (!HasAll(offset, length)) return std::nullopt;
  }
  for (std::uint64_t done = 0; done < length;) {
    const ssize_t size = pread(reader_.get(), buffer.data() + done, length - done,
                               static_cast<off_t>(offset + done));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return std::nullopt;
    done += static_cast<std::uint64_t>(size);
  }
  return length;
}

}  // namespace forebay
