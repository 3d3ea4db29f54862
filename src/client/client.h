// Client: turns (URL, range) into block reads: finds holders, reads ahead, verifies, falls back.
//
// Invariants: bytes are handed out only after their checksum was verified in this process, or came
// straight from the upstream, or lie in memory of a near worker of this user, which verified them;
// all bytes of one File are of one version; trouble with workers is reported and stepped over, so a
// read fails only if the upstream cannot answer within the deadline.
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
#include "client/group_directory.h"
#include "cluster/members.h"
#include "core/ids.h"
#include "core/membership.h"
#include "upstream/upstream.h"

namespace forebay {

struct ClientOptions {
  // A fixed ring, for the URLs of stores. No members: straight from the store.
  MembersFile members;
  // Or a group, for the URLs of its datasets. Then `members` has no members.
  std::unique_ptr<GroupDirectory> group;
  // `group` answers from this process's memory: a dataset that it changes is another one at once.
  bool group_at_hand = false;
  // What `group` says of a dataset's staleness holds only if it is no longer than this.
  std::chrono::milliseconds staleness_max = std::chrono::milliseconds::max();
  // The process's environment, for credentials and what `members.options` leaves open.
  std::map<std::string, std::string> environment;
  // Requests that this client may have at the upstream at a time when workers fail; it starts at 4
  // and adapts (AIMD). Without members all of it is used at once. 1 to 256.
  std::uint32_t upstream_concurrency_max = 16;
  // Outstanding bytes of one reader, at most. At least two blocks are always allowed. More than
  // what is on its way only makes memory colder: 32 MiB was measured slower over loopback.
  std::uint64_t window_bytes_max = std::uint64_t{16} << 20;
  // The socket of the near worker beside this process, from which OpenVersion's files are then read
  // as far as it has them; empty: there is none.
  std::string near_socket = {};
  // A worker that sent nothing of a block for this long is given up for that block.
  std::chrono::milliseconds stall_patience{2000};
};

// Where the bytes that readers got came from, since the client was made. `local`: from the near
// worker, who may have had to fetch them; `peer`: a worker's memory; `upstream`: read from the
// store by this client, or by a worker because of this read.
struct SourceBytes {
  std::uint64_t local = 0;
  std::uint64_t peer = 0;
  std::uint64_t upstream = 0;
};

// How long an answer about the store may be used.
struct Freshness {
  Clock::time_point as_of;  // No later than the store was asked.
  Clock::time_point until;  // By the dataset's staleness bound; max(): until it is refreshed.
};

struct Looked {
  Attributes attributes;
  Freshness freshness;
};

struct ListedPage {
  ListPage page;
  Freshness freshness;
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
  // A descriptor of all of the file's bytes, that can only read, if the near worker has them; else
  // -1. Valid as long as this file.
  int whole() const;
  // The same as Read, but nothing more than the range is fetched, and reading ahead goes on
  // undisturbed.
  Result<std::size_t> ReadAlone(std::uint64_t offset, std::span<std::byte> buffer,
                                Deadline deadline, std::stop_token stop);

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

// What FillReport and PoolCensus say is by the order of the files that were asked for.
struct PoolFillOptions {
  // So many holders of each block, the home first, are to hold it. At least 1.
  std::uint32_t replicas = 1;
  // So many bytes a second are asked for, at most; 0: as many as the workers take. What they hold
  // already does not count.
  std::uint64_t bytes_per_second = 0;
  // The deadline of each block, from its first request.
  std::chrono::milliseconds block_timeout{30'000};
  // Called with the bytes done so far, from the calling thread. May be empty.
  std::function<void(std::uint64_t)> progress;
};

struct FillReport {
  struct Failure {
    std::size_t file = 0;               // Its place.
    std::vector<std::uint32_t> blocks;  // Empty: what the file is could not be found out.
    Error error;                        // Of the first.
  };
  std::uint64_t bytes = 0;  // Of blocks that all `replicas` hold now.
  std::vector<Failure> failures;
};

struct PoolCensus {
  // How many workers hold each block, 255 meaning that or more; by file, then by block.
  std::vector<std::vector<std::uint8_t>> holders;
  // Workers that did not answer in time: they count as holding nothing.
  std::vector<std::string> silent;
};

struct DropReport {
  std::uint64_t bytes = 0;
  std::vector<std::string> silent;
};

struct PoolMember {
  std::string name;
  std::string address;
};

struct WorkerText {
  std::string worker;
  std::string text;
};

// Thread safety: safe. Threads: those of its Receivers, up to upstream_concurrency_max while it
// reads from the upstream itself, and up to 8 for a ReadFiles that must ask for attributes.
class Client {
 public:
  // Errors: kInvalidArgument (options, naming the field). Touches no network.
  static Result<std::unique_ptr<Client>> Create(ClientOptions options);
  ~Client();

  // Finds out now what the dataset of `url` is, so that the first read need not ask for it. No
  // worker is asked while control, or the copy of what it knows, answers. For a store's URL it only
  // checks it. Errors: kInvalidArgument; kNotFound: the group has no such dataset; kUnavailable.
  Status Resolve(const std::string& url, Deadline deadline, std::stop_token stop);

  // Opens a connection to each worker of the map in force, in the background: for who will read
  // much soon, and has something else to do until then. What is not used for a minute is closed
  // again.
  void ConnectAhead();

  // Asks the group now what the dataset of `url` is: a number that is another one whenever that has
  // changed, or it was refreshed. What is asked from then on is asked of what it is now.
  // Errors: kInvalidArgument: not a dataset's URL; kNotFound: it is gone; any other: nobody knows.
  Result<std::uint64_t> Generation(const std::string& url, Deadline deadline, std::stop_token stop);

  // Through the pool: HEADs and listings are asked once within the staleness bound; straight from
  // the store if no worker answers. Errors: those of Upstream.
  Result<Attributes> Stat(const std::string& url, Deadline deadline, std::stop_token stop);
  Result<ListPage> List(const std::string& url, const std::string& after, Deadline deadline,
                        std::stop_token stop);
  // The same two, saying for how long the answer may be kept. Here `url` is not taken literally,
  // but as the tree shows it: a name that is both a file and a directory is the directory.
  Result<Looked> LookUp(const std::string& url, Deadline deadline, std::stop_token stop);
  Result<ListedPage> ListFor(const std::string& url, const std::string& after, Deadline deadline,
                             std::stop_token stop);

  Result<std::unique_ptr<File>> Open(const std::string& url, Deadline deadline,
                                     std::stop_token stop);
  // The version of `attributes`, which are a file's, and never another. Asks nobody about it but
  // the near worker, which fetches a small file at once.
  Result<std::unique_ptr<File>> OpenVersion(const std::string& url, const Attributes& attributes,
                                            Deadline deadline, std::stop_token stop);

  // What names this version of the file, in every cache.
  Result<FileKey> KeyOf(const std::string& url, const Attributes& attributes, Deadline deadline,
                        std::stop_token stop);

  // Reads whole files in order, overlapping them: attributes and blocks of the next files are on
  // their way while one is handed out. `read_timeout` is the deadline of each block, from its
  // request.
  Status ReadFiles(std::span<const FileToRead> files, FileSink& sink,
                   std::chrono::milliseconds read_timeout, std::stop_token stop);

  // Has the holders of all blocks of `files` hold them; no bytes come back. What fails is reported,
  // and the rest goes on. Errors: kInvalidArgument (`options`), kCancelled.
  Result<FillReport> Fill(std::span<const FileToRead> files, const PoolFillOptions& options,
                          std::stop_token stop);

  // Which blocks of `files`, all of one store and with attributes, are held now. `verify`: workers
  // compare the blocks' checksums first, and forget what does not match.
  // Errors: kInvalidArgument, kCancelled, and those of finding the store.
  Result<PoolCensus> Have(std::span<const FileToRead> files, bool verify, Deadline deadline,
                          std::stop_token stop);
  // Has workers forget the blocks of `paths`, or with none all blocks, of the store or dataset of
  // `url`. Errors: as Have.
  Result<DropReport> Drop(const std::string& url, std::span<const std::string> paths,
                          Deadline deadline, std::stop_token stop);
  // The metrics of those workers that answer in time, by name. Errors: kCancelled.
  Result<std::vector<WorkerText>> Metrics(Deadline deadline, std::stop_token stop);
  // Tells all workers that control has something new. The names of those that did not answer.
  Result<std::vector<std::string>> Refresh(Deadline deadline, std::stop_token stop);

  // Goes by `map` from now on, if it is newer than what is known. Only control has maps before its
  // workers do. Errors: kInvalidArgument.
  Status Adopt(const GroupMap& map);
  // Of the map in force; 0: none is known yet.
  std::uint64_t epoch() const;

  // The workers of that map that it does not mask.
  std::vector<PoolMember> members() const;

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
