// NearFiles: what tasks of this node read, kept on this node: whole files, filled through a Client.
//
// Invariant: what is said to be there was verified by the client, is of the version that was asked
// for, and stays as it is for as long as anybody has it open.
#pragma once

#include <deque>
#include <memory>
#include <stop_token>
#include <string>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"
#include "client/client.h"
#include "core/recent_map.h"
#include "io/unique_fd.h"
#include "store/whole_files.h"
#include "wire/near_messages.h"

namespace forebay {

// Thread safety: safe. Threads: up to kAheadThreadsMax that read ahead, and one that scrubs.
class NearFiles {
 public:
  static constexpr std::size_t kAheadThreadsMax = 8;

  // `client` outlives this.
  NearFiles(Client& client, std::unique_ptr<WholeFiles> files);
  ~NearFiles();

  struct Opened {
    NearAnswer answer;
    UniqueFd reader;  // Can only read. None: kNot.
  };
  // The file of `question`. One of a single chunk is filled at once. Whatever goes wrong is kNot:
  // whoever asked finds out by reading. Obeys `stop` within 100 ms.
  Opened Open(const NearQuestion& question, const std::stop_token& stop);
  // Has the chunks of the range, and says which are there.
  NearAnswer Fill(const NearQuestion& question, const std::stop_token& stop);

  WholeFiles::Figures figures() const { return files_->figures(); }

 private:
  using FileRef = WholeFiles::FileRef;
  struct Source {
    std::string url;
    Attributes attributes;
  };
  struct Job {
    FileRef file;
    Source source;
    std::uint32_t chunk = 0;
  };

  // How a file is being read.
  struct Order {
    std::uint64_t expected = 0;      // Where a read in order starts.
    std::uint32_t ahead_chunks = 0;  // How far ahead to fetch; 0: not in order.
  };

  // Has the chunk be there. Errors: those of File::Read and of WholeFiles::ClaimChunk.
  Status FillChunk(const FileRef& file, const Source& source, std::uint32_t chunk,
                   Deadline deadline, const std::stop_token& stop);
  Status ReadChunk(const FileRef& file, const Source& source, std::uint32_t chunk,
                   std::span<std::byte> bytes, Deadline deadline, const std::stop_token& stop);
  // How many chunks to fetch besides; 0: this is not read in order.
  std::uint32_t NoteRead(const FileRef& file, const NearQuestion& question) EXCLUDES(mutex_);
  // `count` of them, as far as the file goes.
  void StartAhead(const FileRef& file, const Source& source, std::uint32_t first,
                  std::uint32_t count) EXCLUDES(mutex_);
  // How many chunks from `first` on the reader is told to be there.
  std::uint32_t Told(const FileRef& file, std::uint32_t first) const;
  void RunAhead(const std::stop_token& stop) EXCLUDES(mutex_);
  void Scrub(const std::stop_token& stop) EXCLUDES(mutex_);

  Client& client_;
  const std::unique_ptr<WholeFiles> files_;
  Mutex mutex_;
  CondVar changed_;
  RecentMap<FileKey, Order, KeyHash> orders_ GUARDED_BY(mutex_);
  std::deque<Job> jobs_ GUARDED_BY(mutex_);
  std::size_t ahead_threads_ GUARDED_BY(mutex_) = 0;
  std::size_t ahead_idle_ GUARDED_BY(mutex_) = 0;
  TaskGroup group_;  // Last: uses all of the above.
};

}  // namespace forebay
