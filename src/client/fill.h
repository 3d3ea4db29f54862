// FillRun: one call of Client::Fill: has the homes of all blocks of some files hold them.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
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

  FillRun(Backends& backends, Lookups& lookups, std::chrono::milliseconds block_timeout);
  // Cancels what is under way.
  ~FillRun();

  Result<std::uint64_t> Run(std::span<const FileToRead> files,
                            const std::function<void(std::uint64_t)>& progress,
                            std::stop_token stop);

 private:
  struct Block {
    std::shared_ptr<const FileVersion> file;
    std::uint32_t index = 0;
    std::uint32_t length = 0;
    Deadline deadline;  // From its first request.
    int failures = 0;
  };
  struct Letter {
    std::uint64_t id = 0;
    BlockReceiver::Outcome outcome;
  };
  struct Asked {
    Block block;
    MemberIndex member = 0;
    Channel::CallId call = 0;
  };
  struct Home {
    std::deque<Block> waiting;
    std::size_t asked = 0;
    Clock::time_point pause_until;  // After it refused.
    std::chrono::milliseconds pause{0};
  };

  // Takes on more blocks of `files`, as long as there is room for them.
  Status TakeBlocks(std::span<const FileToRead> files, std::stop_token stop);
  Status Open(const FileToRead& request, std::stop_token stop);
  void StartAsking(MemberIndex member);
  Status Handle(const Letter& letter);
  Status HandleFailure(Asked asked, const Error& error);
  Clock::time_point NextCheck() const;
  Status CheckTime();

  Backends& backends_;
  Lookups& lookups_;
  const std::chrono::milliseconds block_timeout_;
  std::size_t next_file_ = 0;
  std::shared_ptr<const FileVersion> open_;  // The file whose blocks are taken on.
  std::uint64_t taken_ = 0;                  // Of its bytes.
  std::vector<Home> homes_;                  // By member.
  std::size_t waiting_ = 0;
  std::uint64_t done_bytes_ = 0;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Asked> asked_;
  const std::shared_ptr<Mailbox<Letter>> mailbox_;
};

}  // namespace forebay
