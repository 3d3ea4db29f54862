// NearLink: asks the near worker beside this process for files, and reads what it has.
//
// It is never needed: whatever goes wrong with it ends as "read it elsewhere", at once if the near
// worker is away and within 2 s if it hangs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "io/unique_fd.h"
#include "upstream/upstream.h"
#include "wire/near_messages.h"

namespace forebay {

class NearFile;

// Thread safety: safe. A connection for each question at a time.
class NearLink {
 public:
  // A near worker that says nothing for so long hangs.
  static constexpr std::chrono::milliseconds kPatience{2'000};
  // One that works on an answer has this, or half of what is left of the deadline: the other half
  // is for reading elsewhere.
  static constexpr std::chrono::milliseconds kAnswerMax{8'000};
  // It is then left alone for so long, or for so long if nobody is there.
  static constexpr std::chrono::milliseconds kPauseIfSlow{10'000};
  static constexpr std::chrono::milliseconds kPause{1'000};

  // `path`: of its socket. Nobody need listen there.
  explicit NearLink(std::string path);

  // Null: it has no room for the file, or is away; or as many files are open as may keep a
  // descriptor each: half of what this process may have.
  std::unique_ptr<NearFile> Open(const std::string& url, const Attributes& attributes,
                                 Deadline deadline, const std::stop_token& stop);

 private:
  friend class NearFile;
  struct Answered {
    NearAnswer answer;
    UniqueFd reader;
  };

  // Nothing: it does not answer.
  std::optional<Answered> Ask(const NearQuestion& question, Deadline deadline,
                              const std::stop_token& stop) EXCLUDES(mutex_);
  std::optional<Answered> AskOver(int socket, const NearQuestion& question, Deadline until,
                                  const std::stop_token& stop);
  void KeepIdle(UniqueFd socket) EXCLUDES(mutex_);
  UniqueFd TakeIdle() EXCLUDES(mutex_);

  const std::string path_;
  const std::size_t files_max_;
  std::atomic<std::size_t> files_ = 0;
  std::atomic<Deadline> away_until_ = Deadline();
  Mutex mutex_;
  std::vector<UniqueFd> idle_ GUARDED_BY(mutex_);
};

// One version of one file, as far as the near worker has it.
//
// Thread safety: safe. Must not outlive its link. While it lives, the near worker keeps the file.
class NearFile {
 public:
  ~NearFile();

  // The bytes at `offset`, as far as the file goes; the near worker fetches them if need be.
  // Nothing: read it elsewhere.
  std::optional<std::size_t> Read(std::uint64_t offset, std::span<std::byte> buffer,
                                  Deadline deadline, const std::stop_token& stop);

  // A descriptor of all of its bytes, that can only read; -1 if they are not all there. Valid as
  // long as this.
  int whole() const { return whole_ ? reader_.get() : -1; }

 private:
  friend class NearLink;
  NearFile(NearLink& link, NearQuestion question, NearLink::Answered answered);

  bool HasAll(std::uint64_t offset, std::uint64_t length) const;
  void Take(const NearAnswer& answer);

  NearLink& link_;
  const NearQuestion question_;  // What all questions about it have in common.
  const UniqueFd reader_;
  std::vector<std::atomic<bool>> ready_;  // By chunk.
  std::atomic<bool> whole_ = false;
  std::atomic<bool> gone_ = false;  // The near worker does not know it any more.
};

}  // namespace forebay
