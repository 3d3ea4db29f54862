// Client: turns (path, range) into block reads: finds holders, reads ahead, verifies, falls back.
//
// Invariants: bytes are handed out only after their checksum was verified in this process (or came
// straight from the upstream); all bytes of one File are of one version; trouble with workers is
// reported and stepped over, so a read fails only if the upstream cannot answer within the
// deadline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "cluster/members.h"
#include "upstream/upstream.h"

namespace forebay {

struct ClientOptions {
  MembersFile members;  // No members: straight from the store.
  // The process's environment, for credentials and what `members.options` leaves open.
  std::map<std::string, std::string> environment;
  // Requests that this client may have at the upstream at a time when workers fail; it starts at 4
  // and adapts (AIMD). Without members all of it is used at once. 1 to 256.
  std::uint32_t upstream_concurrency_max = 16;
  // Outstanding bytes of one reader, at most. At least two blocks are always allowed. More than
  // what is on its way only makes memory colder: 32 MiB was measured slower over loopback.
  std::uint64_t window_bytes_max = std::uint64_t{16} << 20;
  // A worker that sent nothing of a block for this long is given up for that block.
  std::chrono::milliseconds stall_patience{2000};
};

// Where the bytes that readers got came from, since the client was made. `peer`: a worker's memory;
// `upstream`: read from the store by this client, or by a worker because of this read; `local`
// stays 0 until near workers exist.
struct SourceBytes {
  std::uint64_t local = 0;
  std::uint64_t peer = 0;
  std::uint64_t upstream = 0;
};

class Client;

// One version of one file, open for reading.
//
// Thread safety: safe. Must not outlive its client.
class File {
 public:
  ~File();

  // Of the version that is read. That is a newer one than was opened if the file was replaced
  // before the first byte was returned. The reference is valid as long as this file.
  const Attributes& attributes() const;

  // Reads bytes [offset, offset + buffer.size()) as far as the file goes; returns how many. Blocks
  // of the range are read in parallel, straight into `buffer`. Sequential callers get read-ahead.
  //
  // Errors: kChanged (the file was replaced, and this version is nowhere any more),
  // kDeadlineExceeded, kCancelled (within 100 ms), kUnavailable, kDenied, kNotFound. On an error
  // the buffer's content is undefined.
  Result<std::size_t> Read(std::uint64_t offset, std::span<std::byte> buffer, Deadline deadline,
                           std::stop_token stop);

 private:
  friend class Client;
  struct State;
  explicit File(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What ReadFiles reads, and who takes it.
struct FileToRead {
  std::string url;
  // Known from a listing: saves the question. Must be of the same URL.
  std::optional<Attributes> attributes;
};

class FileSink {
 public:
  virtual ~FileSink() = default;
  // Files come in the order of the request; of each first Begin, then its bytes in order, then End.
  // On an error of one file End has it (after 0 or more bytes, and without a Begin if there are
  // none) and reading goes on with the next one. A file that was replaced before its Begin is read
  // as its new version. An error returned from here ends ReadFiles with it.
  virtual Status Begin(const FileToRead& file, const Attributes& attributes) = 0;
  // Memory for all attributes.size bytes of `file`: they are then received straight into it, and
  // Write only says that they are there. Asked before Begin, while files before this one are still
  // handed out; again if the file has changed since. It must stay valid until End. Another size
  // than the file's, as by default: the client uses memory of its own, as much as its window.
  virtual std::span<std::byte> Memory(const FileToRead& /*file*/,
                                      const Attributes& /*attributes*/) {
    return {};
  }
  virtual Status Write(std::span<const std::byte> bytes) = 0;
  virtual Status End(const FileToRead& file, Status outcome) = 0;
};

// Thread safety: safe. Threads: one a connected worker, up to upstream_concurrency_max while it
// reads from the upstream itself, and up to 8 for a ReadFiles that must ask for attributes.
class Client {
 public:
  // Errors: kInvalidArgument (options, naming the field). Touches no network.
  static Result<std::unique_ptr<Client>> Create(const ClientOptions& options);
  ~Client();

  // Through the pool: HEADs and listings are asked once within the staleness bound; straight from
  // the store if no worker answers. Errors: those of Upstream.
  Result<Attributes> Stat(const std::string& url, Deadline deadline, std::stop_token stop);
  Result<ListPage> List(const std::string& url, const std::string& after, Deadline deadline,
                        std::stop_token stop);

  Result<std::unique_ptr<File>> Open(const std::string& url, Deadline deadline,
                                     std::stop_token stop);

  // Reads whole files in order, overlapping them: attributes and blocks of the next files are on
  // their way while one is handed out. `read_timeout` is the deadline of each block, from its
  // request.
  Status ReadFiles(std::span<const FileToRead> files, FileSink& sink,
                   std::chrono::milliseconds read_timeout, std::stop_token stop);

  // Has the homes of all blocks of `files` hold them; no bytes come back. Returns the bytes asked
  // for. `progress` is called with the bytes done so far, from this thread.
  Result<std::uint64_t> Fill(std::span<const FileToRead> files,
                             const std::function<void(std::uint64_t)>& progress,
                             std::chrono::milliseconds block_timeout, std::stop_token stop);

  SourceBytes source_bytes() const;
  // Replies of workers that did not match their checksums, and so were asked for again.
  std::uint64_t checksum_failures() const;

 private:
  friend class File;
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace forebay
