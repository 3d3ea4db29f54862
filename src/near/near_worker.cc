#include "near/near_worker.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "io/message_socket.h"
#include "io/socket.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// Of a peer that takes no answers.
constexpr std::chrono::seconds kSendTimeout{10};
// A question that takes longer is said to be worked on, again and again.
constexpr std::chrono::milliseconds kWorkingEvery{500};
constexpr std::size_t kConnectionsMax = 1024;
constexpr int kAcceptPauseMilliseconds = 100;

}  // namespace

struct NearWorker::Connection {
  explicit Connection(UniqueFd own_socket) : socket(std::move(own_socket)) {}

  const UniqueFd socket;
  Mutex mutex;
  bool busy GUARDED_BY(mutex) = false;
  Deadline busy_since GUARDED_BY(mutex);
};

Result<std::unique_ptr<NearWorker>> NearWorker::Start(Client& client, NearWorkerOptions options) {
  // The tier's lock decides which of two that start at once it is to be.
  Result<std::unique_ptr<WholeFiles>> files = WholeFiles::Open(SystemTierFiles(), options.tier);
  if (!files.ok()) return std::move(files).error();
  Result<UniqueFd> listener = ListenForMessages(options.socket);
  if (!listener.ok()) return std::move(listener).error();
  return std::unique_ptr<NearWorker>(new NearWorker(
      client, std::move(files).value(), std::move(listener).value(), std::move(options.socket)));
}

NearWorker::NearWorker(Client& client, std::unique_ptr<WholeFiles> files, UniqueFd listener,
                       std::string socket)
    : socket_(std::move(socket)), listener_(std::move(listener)), files_(client, std::move(files)) {
  group_.Run("near-accept", [this](const std::stop_token& stop) { Accept(stop); });
  group_.Run("near-reassure", [this](const std::stop_token& stop) { Reassure(stop); });
}

NearWorker::~NearWorker() {
  group_.StopAndJoin();
  unlink(socket_.c_str());
}

void NearWorker::Accept(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    turned_at_ = Clock::now();
    if (!WaitFor(listener_.get(), false, Clock::now() + 100ms)) continue;
    Result<UniqueFd> accepted = ::forebay::Accept(listener_.get());
    if (!accepted.ok()) {
      poll(nullptr, 0, kAcceptPauseMilliseconds);  // Out of descriptors.
      continue;
    }
    const Result<unsigned> user = PeerUser(accepted.value().get());
    if (!user.ok() || (user.value() != 0 && user.value() != geteuid())) {
      Log(Level::kWarning, "near worker: another user was turned away",
          {{"user", user.ok() ? static_cast<int>(user.value()) : -1}});
      continue;
    }
    auto connection = std::make_shared<Connection>(std::move(accepted).value());
    {
      MutexLock lock(mutex_);
      if (connections_.size() >= kConnectionsMax) continue;
      connections_.push_back(connection);
    }
    group_.Run("near-serve",
               [this, connection](const std::stop_token& ended) { Serve(connection, ended); });
  }
}

void NearWorker::Serve(const ConnectionRef& connection, const std::stop_token& stop) {
  const int socket = connection->socket.get();
  const std::stop_callback wake(stop, [socket] { shutdown(socket, SHUT_RDWR); });
  while (true) {
    const Result<SocketMessage> message =
        ReceiveMessage(socket, kNearMessageBytesMax, NoDeadline(), {});
    if (!message.ok()) break;
    {
      MutexLock lock(connection->mutex);
      connection->busy = true;
      connection->busy_since = Clock::now();
    }
    if (!AnswerOne(*connection, message.value().bytes, stop).ok()) break;
  }
  MutexLock lock(mutex_);
  std::erase(connections_, connection);
}

Status NearWorker::AnswerOne(Connection& connection, std::span<const std::byte> bytes,
                             const std::stop_token& stop) {
  const Result<NearQuestion> question = DecodeNearQuestion(bytes);
  if (!question.ok()) {
    Log(Level::kWarning, "near worker: a question that cannot be read",
        {{"error", question.error().message()}});
    return question.error();
  }
  NearFiles::Opened reply;
  if (question.value().kind == NearQuestionKind::kOpen) {
    reply = files_.Open(question.value(), stop);
  } else {
    reply.answer = files_.Fill(question.value(), stop);
  }
  {
    MutexLock lock(connection.mutex);
    connection.busy = false;
  }
  // Without the lock: one who takes no answers keeps nobody else from being reassured.
  return SendMessage(connection.socket.get(), Encode(reply.answer), reply.reader.get(),
                     Clock::now() + kSendTimeout);
}

void NearWorker::Reassure(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  const std::vector<std::byte> working = Encode(NearAnswer{.kind = NearAnswerKind::kWorking});
  while (true) {
    std::vector<ConnectionRef> connections;
    {
      const Deadline next = Clock::now() + kWorkingEvery;
      MutexLock lock(mutex_);
      while (!stop.stop_requested() && Clock::now() < next) changed_.WaitUntil(mutex_, next);
      if (stop.stop_requested()) return;
      connections = connections_;
    }
    for (const ConnectionRef& connection : connections) {
      MutexLock lock(connection->mutex);
      if (!connection->busy || Clock::now() < connection->busy_since + kWorkingEvery) continue;
      // Whoever does not take it now hears the next one, or the answer.
      static_cast<void>(SendMessage(connection->socket.get(), working, -1, Clock::now()).ok());
    }
  }
}

}  // namespace forebay
