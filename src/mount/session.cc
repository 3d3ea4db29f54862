#include "mount/session.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "mount/own_files.h"
#include "mount/pending_signals.h"

namespace forebay {
namespace {

// Whether it waits for bytes, and so for as long as a store may take.
bool IsForBytes(const Request& request) {
  if (OwnFiles::IsOwn(request.node)) return false;
  return std::holds_alternative<ReadCall>(request.call) ||
         std::holds_alternative<OpenCall>(request.call);
}

}  // namespace

std::stop_token InFlight::Add(std::uint64_t unique, std::uint32_t tid) {
  MutexLock lock(mutex_);
  Waiting& waiting = requests_[unique];
  waiting.tid = tid;
  if (std::erase(early_, unique) > 0) SetWatched(waiting);
  return waiting.stop.get_token();
}

void InFlight::SetWatched(Waiting& waiting) {
  if (!waiting.watched) ++watched_;
  waiting.watched = true;
  changed_.NotifyAll();
}

void InFlight::Remove(std::uint64_t unique) {
  MutexLock lock(mutex_);
  const auto found = requests_.find(unique);
  if (found == requests_.end()) return;
  if (found->second.watched) --watched_;
  requests_.erase(found);
}

void InFlight::Interrupt(std::uint64_t unique) {
  {
    MutexLock lock(mutex_);
    const auto found = requests_.find(unique);
    if (found == requests_.end()) {
      if (early_.size() == kEarlyMax) early_.pop_front();
      early_.push_back(unique);
      return;
    }
    SetWatched(found->second);
  }
  Reconsider();
}

void InFlight::Reconsider() {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> watched;
  {
    MutexLock lock(mutex_);
    if (watched_ == 0) return;
    for (const auto& [unique, waiting] : requests_) {
      if (waiting.watched) watched.emplace_back(unique, waiting.tid);
    }
  }
  for (const auto& [unique, tid] : watched) {
    if (!is_to_end_(tid)) continue;
    std::stop_source stop{std::nostopstate};
    {
      MutexLock lock(mutex_);
      const auto found = requests_.find(unique);
      if (found != requests_.end() && found->second.watched) stop = found->second.stop;
    }
    stop.request_stop();
  }
}

bool InFlight::AwaitWatched(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  MutexLock lock(mutex_);
  while (watched_ == 0 && !stop.stop_requested()) changed_.Wait(mutex_);
  return !stop.stop_requested();
}

Session::Session(Channels channels, Filesystem& filesystem)
    : channels_(std::move(channels)),
      filesystem_(filesystem),
      in_flight_([](std::uint32_t tid) { return IsAskedToEnd(tid); }) {}

Session::~Session() = default;

std::unique_ptr<Session> Session::Start(Channels channels, Filesystem& filesystem) {
  CHECK(!channels.empty());
  std::unique_ptr<Session> session(new Session(std::move(channels), filesystem));
  session->StartThread();
  session->group_.Run("fuse-watch",
                      [&own = *session](const std::stop_token& stop) { own.Watch(stop); });
  return session;
}

bool Session::IsTurning() {
  MutexLock lock(mutex_);
  return std::exchange(taken_before_, taken_) != taken_ || idle_ > 0;
}

void Session::StartThread() {
  std::size_t number = 0;
  {
    MutexLock lock(mutex_);
    if (ended_ || threads_ == kThreadsMax) return;
    number = threads_++;
    ++idle_;
  }
  const std::shared_ptr<KernelChannel>& channel = channels_[number % channels_.size()];
  group_.Run("fuse", [this, &channel](const std::stop_token&) { Serve(channel); });
}

void Session::Serve(const std::shared_ptr<KernelChannel>& channel) {
  std::array<std::byte, KernelChannel::kRequestBufferBytes> buffer{};
  while (true) {
    const Result<std::span<const std::byte>> bytes = channel->Receive(buffer);
    if (!bytes.ok()) break;
    bool for_bytes = Take(channel, bytes.value());
    while (std::optional<Received> next = NextWaiting(for_bytes)) {
      const Request request = ParseRequest(next->bytes).value();  // It was parsed before it waited.
      Do(*next->channel, request);
      for_bytes = IsForBytes(request);
    }
  }
  MutexLock lock(mutex_);
  ended_ = true;
  --idle_;
  --threads_;
  changed_.NotifyAll();
}

void Session::Watch(const std::stop_token& stop) {
  constexpr std::chrono::milliseconds kStep{100};
  while (in_flight_.AwaitWatched(stop)) {
    in_flight_.Reconsider();
    DropInterrupted();
    const std::stop_callback wake(stop, [this] {
      MutexLock lock(mutex_);
      changed_.NotifyAll();
    });
    const Deadline next = Clock::now() + kStep;
    MutexLock lock(mutex_);
    while (!stop.stop_requested() && Clock::now() < next) changed_.WaitUntil(mutex_, next);
  }
}

bool Session::Take(const std::shared_ptr<KernelChannel>& channel,
                   std::span<const std::byte> bytes) {
  const Result<Request> request = ParseRequest(bytes);
  if (!request.ok()) {
    Log(Level::kError, "a request that cannot be read", {{"error", request.error().message()}});
    MutexLock lock(mutex_);
    --idle_;
    ++taken_;
    return false;
  }
  const bool is_quick = !WantsAnswer(request.value());
  if (!is_quick && HandOn(channel, bytes, request.value())) return false;
  if (is_quick) {
    MutexLock lock(mutex_);
    --idle_;
    ++taken_;
  }
  Do(*channel, request.value());
  return IsForBytes(request.value());
}

bool Session::HandOn(const std::shared_ptr<KernelChannel>& channel,
                     std::span<const std::byte> bytes, const Request& request) {
  const bool is_for_bytes = IsForBytes(request);
  bool starts_one = false;
  {
    MutexLock lock(mutex_);
    --idle_;
    ++taken_;
    const bool must_listen = idle_ == 0 && threads_ == kThreadsMax;
    const bool must_wait = is_for_bytes && reading_ >= kReadingMax;
    std::deque<Received>& waiting = is_for_bytes ? waiting_for_bytes_ : waiting_;
    if ((must_listen || must_wait) && waiting.size() < kWaitingMax) {
      // It may be interrupted from now on.
      std::stop_token stop = in_flight_.Add(request.unique, request.tid);
      waiting.push_back({channel, {bytes.begin(), bytes.end()}, request.unique, std::move(stop)});
      return true;
    }
    if (is_for_bytes) ++reading_;
    starts_one = idle_ == 0;
  }
  if (starts_one) StartThread();
  return false;
}

std::optional<Session::Received> Session::NextWaiting(bool for_bytes) {
  std::optional<Received> next;
  bool starts_one = false;
  {
    MutexLock lock(mutex_);
    reading_ -= for_bytes ? 1 : 0;
    const bool may_read = !waiting_for_bytes_.empty() && reading_ < kReadingMax;
    // The last one that listens takes nothing from the others.
    const bool must_listen = idle_ == 0 && threads_ == kThreadsMax;
    if (must_listen || (waiting_.empty() && !may_read)) {
      ++idle_;
      return std::nullopt;
    }
    if (waiting_.empty()) ++reading_;
    std::deque<Received>& waiting = waiting_.empty() ? waiting_for_bytes_ : waiting_;
    next = std::move(waiting.front());
    waiting.pop_front();
    starts_one = idle_ == 0;
  }
  if (starts_one) StartThread();
  return next;
}

void Session::DropInterrupted() {
  std::vector<Received> dropped;
  {
    MutexLock lock(mutex_);
    for (std::deque<Received>* const waiting : {&waiting_, &waiting_for_bytes_}) {
      std::erase_if(*waiting, [&dropped](Received& received) {
        if (!received.stop.stop_requested()) return false;
        dropped.push_back(std::move(received));
        return true;
      });
    }
  }
  for (const Received& received : dropped) {
    in_flight_.Remove(received.unique);
    received.channel->AnswerError(received.unique, EINTR);
  }
}

void Session::Do(KernelChannel& channel, const Request& request) {
  if (const auto* const forget = std::get_if<ForgetCall>(&request.call)) {
    filesystem_.Forget(*forget);
    return;
  }
  if (const auto* const interrupt = std::get_if<InterruptCall>(&request.call)) {
    // Never answered: EAGAIN would have to go through the channel of the request that is meant.
    in_flight_.Interrupt(interrupt->unique);
    return;
  }
  if (!WantsAnswer(request)) return;
  Answer answer = filesystem_.Handle(request, in_flight_.Add(request.unique, request.tid));
  // Before the answer: afterwards the number may be another request's.
  in_flight_.Remove(request.unique);
  if (answer.error != 0) {
    channel.AnswerError(request.unique, answer.error);
  } else if (answer.data_bytes > 0) {
    channel.Answer(request.unique, {answer.data.memory.get(), answer.data_bytes});
  } else {
    channel.Answer(request.unique, answer.body);
  }
  filesystem_.Recycle(std::move(answer));
}

bool Session::Wait(Deadline until, const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  MutexLock lock(mutex_);
  while (threads_ > 0 && !stop.stop_requested() && Clock::now() < until) {
    changed_.WaitUntil(mutex_, until);
  }
  return threads_ == 0;
}

}  // namespace forebay
