// FillRun: one call of Client::Fill: has the first holders of all blocks of some files hold them.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "client/backends.h"
#include "client/client.h"
#include "client/lookups.h"
#include "client/mailbox.h"

namespace forebay {

// Thread safety: none; Run is called once.
class FillRun {
 public:
  // Blocks asked of one worker at a time: enough to keep its upstream busy.
  static constexpr std::size_t kPerWorkerMax = 4;
  // Blocks known and not asked for yet, of all workers: looking further costs memory only.
  static constexpr std::size_t kWaitingMax = 4096;

  FillRun(Backends& backends, Lookups& lookups, const PoolFillOptions& options);
  // Cancels what is under way.
  ~FillRun();

  Result<FillReport> Run(std::span<const FileToRead> files, std::stop_token stop);

 private:
  struct Block {
    std::size_t place = 0;  // Of its file in the request.
    std::shared_ptr<const FileVersion> file;
    std::uint32_t index = 0;
    std::uint32_t length = 0;
    std::uint32_t rank = 0;  // Which of the holders is asked: the home is the first.
    Deadline deadline;       // From its first request.
    int failures = 0;
  };
  struct Letter {
    std::uint64_t id = 0;
    BlockReceiver::Outcome outcome;
  };
  struct Asked {
    Block block;
    WorkerRef worker;
    Channel::CallId call = 0;
    Clock::duration cost{0};  // What the throttle took for it.
  };
  // What is wanted of one worker.
  struct Holder {
    WorkerRef worker;
    std::deque<Block> waiting;
    std::size_t asked = 0;
    Clock::time_point pause_until;  // After it refused.
    std::chrono::milliseconds pause{0};
    int given_up = 0;  // Blocks in a row.
  };

  // Takes on more blocks of `files`, as long as there is room for them.
  void TakeBlocks(std::span<const FileToRead> files, std::stop_token stop);
  void Open(const FileToRead& request, std::stop_token stop);
  // Puts `block` before the worker that is to hold it by the map in force.
  void Place(Block block, bool first);
  // After the map has changed.
  void PlaceAgain();
  void StartAsking(Holder& holder);
  void AskFor(Holder& holder, Block block);
  void Handle(const Letter& letter);
  void HandleFailure(Asked asked, const Error& error);
  void GiveUp(const Block& block, Error error);
  Clock::time_point NextCheck() const;
  void CheckTime();

  Backends& backends_;
  Lookups& lookups_;
  const PoolFillOptions& options_;
  std::size_t next_file_ = 0;
  std::shared_ptr<const FileVersion> open_;  // The file whose blocks are taken on.
  std::uint64_t taken_ = 0;                  // Of its bytes.
  std::uint64_t epoch_ = 0;                  // By which blocks were placed.
  std::map<std::uint32_t, Holder> holders_;  // By the worker's number.
  std::size_t waiting_ = 0;
  Clock::time_point not_before_;  // By the throttle.
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Asked> asked_;
  std::map<std::size_t, FillReport::Failure> failures_;  // By the file's place in the request.
  std::set<std::size_t> hopeless_;                       // Files that no worker can fill.
  std::uint64_t done_bytes_ = 0;
  const std::shared_ptr<Mailbox<Letter>> mailbox_;
};

}  // namespace forebay
