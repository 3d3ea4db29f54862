// NearWorker: serves NearFiles to the mounts of this host over a unix socket.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"
#include "client/client.h"
#include "io/unique_fd.h"
#include "near/near_files.h"
#include "store/whole_files.h"

namespace forebay {

struct NearWorkerOptions {
  std::string socket;  // Its path, at most 107 bytes.
  WholeFilesOptions tier;
};

// Answers processes of this user and of root; others are turned away.
//
// Thread safety: safe. Threads: one that accepts, one that tells who waits that work goes on, and
// one a connection.
class NearWorker {
 public:
  // `client` outlives this. Errors: those of ListenForMessages and of WholeFiles::Open.
  static Result<std::unique_ptr<NearWorker>> Start(Client& client, NearWorkerOptions options);
  // Ends the connections, and removes the socket and the tier.
  ~NearWorker();

  WholeFiles::Figures figures() const { return files_.figures(); }
  // Whether it takes connections: it does so ten times a second at least.
  bool IsTurning() const { return Clock::now() - turned_at_.load() < kTurnMax; }

 private:
  struct Connection;
  static constexpr std::chrono::milliseconds kTurnMax{1'000};
  using ConnectionRef = std::shared_ptr<Connection>;

  NearWorker(Client& client, std::unique_ptr<WholeFiles> files, UniqueFd listener,
             std::string socket);

  void Accept(const std::stop_token& stop) EXCLUDES(mutex_);
  void Serve(const ConnectionRef& connection, const std::stop_token& stop) EXCLUDES(mutex_);
  Status AnswerOne(Connection& connection, std::span<const std::byte> bytes,
                   const std::stop_token& stop);
  // Those who have waited for a while hear that their questions are being worked on.
  void Reassure(const std::stop_token& stop) EXCLUDES(mutex_);

  const std::string socket_;
  const UniqueFd listener_;
  NearFiles files_;
  std::atomic<Deadline> turned_at_ = Clock::now();  // When it last waited for connections.
  Mutex mutex_;
  CondVar changed_;
  std::vector<ConnectionRef> connections_ GUARDED_BY(mutex_);
  TaskGroup group_;  // Last: uses all of the above.
};

}  // namespace forebay
