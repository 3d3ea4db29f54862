// ReadFilesRun: one call of Client::ReadFiles: whole files in order, with attributes and blocks of
// the next ones on their way while one is handed out.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "base/bounded_queue.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/task_group.h"
#include "client/backends.h"
#include "client/block_reads.h"
#include "client/buffer_pool.h"
#include "client/client.h"
#include "client/lookups.h"

namespace forebay {

// Thread safety: none; Run is called once. Threads: up to kAskersMax while attributes are asked
// for.
class ReadFilesRun {
 public:
  // Files that are under way at a time, and threads that ask for attributes.
  static constexpr std::size_t kFilesMax = 64;
  static constexpr std::size_t kAskersMax = 8;
  // Of what comes straight into the sink's memory: so many blocks to choose the next from.
  static constexpr std::size_t kAhead = 16;

  ReadFilesRun(Backends& backends, Lookups& lookups, FileSink& sink,
               std::chrono::milliseconds read_timeout);
  ~ReadFilesRun();

  Status Run(std::span<const FileToRead> files, std::stop_token stop);

 private:
  // A block of an opened file, in order of delivery.
  struct Piece {
    BlockReads::Id id = 0;       // 0: not asked for yet.
    std::uint64_t offset = 0;    // In the file.
    std::span<std::byte> bytes;  // Of the sink's memory, or empty.
    std::deque<Chunk> chunks;    // Without it: what has arrived and was not handed out.
    std::size_t held = 0;        // ... and how much memory it may come to need.
    bool arrived = false;        // All of it.
  };
  // A file, from when its attributes are asked for until it was handed out.
  struct Entry {
    std::size_t place = 0;                       // In the request.
    std::shared_ptr<const FileVersion> version;  // Null: not known yet.
    std::optional<Error> error;                  // Ends the file once its turn has come.
    std::optional<Error> last_error;             // The same, once its open question is answered.
    std::uint64_t planned = 0;                   // Bytes that are, or were, in pieces.
    std::uint64_t delivered = 0;
    std::span<std::byte> memory;  // The sink's, of the whole file, or empty.
    std::deque<Piece> pieces;
    bool begun = false;
    int restarts = 0;
  };
  struct Question {
    std::size_t place = 0;
    bool fresh = false;  // What was known before has turned out to be old.
  };
  struct Answer {
    std::size_t place = 0;
    Result<std::shared_ptr<const FileVersion>> version;
  };

  void TakeFiles(const std::stop_token& stop);
  void Ask(Question question);
  void AnswerQuestions(std::stop_token stop);
  Result<std::shared_ptr<const FileVersion>> Find(const Question& question, std::stop_token stop);
  void TakeAnswers();
  void StartReads();
  void StartPlanned();
  bool PlanNext(Entry& entry);
  bool MayHold(const Entry& entry, std::size_t bytes) const;
  void Start(const Entry& entry, Piece& piece, std::size_t bytes);
  // Hands out one chunk or piece, or one end of a file. False if there is nothing to hand out yet.
  Result<bool> Deliver();
  Status Deliver(Entry& entry, std::span<const std::byte> bytes);
  Status Begin(Entry& entry);
  Result<bool> End(Status outcome);
  void Handle(BlockReads::Ended ended);
  void Fail(Entry& entry, Error error);
  void DropPieces(Entry& entry);

  Backends& backends_;
  Lookups& lookups_;
  FileSink& sink_;
  const std::chrono::milliseconds read_timeout_;
  std::span<const FileToRead> files_;
  std::size_t next_place_ = 0;  // The first file that has no entry yet.
  std::deque<Entry> entries_;
  std::uint64_t held_bytes_ = 0;  // By all pieces.
  // Pieces that are not asked for yet, in order of delivery.
  std::vector<std::pair<Entry*, Piece*>> waiting_;
  Rng rng_;
  const std::shared_ptr<BufferPool> pool_;
  BoundedQueue<Question> questions_{2 * kFilesMax};
  Mailbox<Answer> answers_;
  // Order: askers_ is joined first, as it wakes reads_; reads_ then lets go of the pieces' buffers.
  BlockReads reads_;
  TaskGroup askers_{TaskGroupOptions{.stack_bytes = 1u << 20}};
};

}  // namespace forebay
