// Channel: the one connection of this process to a worker, with many calls in flight on it.
//
// Invariant: a call's buffer belongs to the channel from StartRead until Done was called or Cancel
// has returned. So a late reply can never write into memory that has a new owner: whoever takes
// bytes from the socket claims the call first, and lets go of it when there are no more.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/task_group.h"
#include "io/socket.h"
#include "rpc/frame_stream.h"
#include "rpc/receivers.h"
#include "wire/frame.h"
#include "wire/messages.h"

namespace forebay {

// What every reply of a worker says about itself.
struct LoadReport {
  std::uint32_t queue_depth = 0;  // Requests it has accepted and not answered.
  std::uint16_t holders = 0;      // How many holders the file has now; 0: not said.
};

struct BlockCall {
  ReadBlock block;
  bool fill_only = false;  // Hold the block, send nothing back.
  bool insist = false;     // Queue the request, however long the queue.
  bool recheck = false;    // A copy of it failed its checksum.
  bool peer = false;       // A worker's own fill.
  bool held_only = false;  // From the block's new home to its previous one.
  DomainId domain;
  Deadline deadline;
};

// Where the bytes of a call go. All methods run on a thread of the channel's Receivers (Done also
// on one of the channel's own), in order, never two at a time; they must not block and must not
// call the channel.
class BlockReceiver {
 public:
  virtual ~BlockReceiver() = default;

  // Memory for the `length` bytes at `offset` of the block: a run, or the next MiB of a long one.
  // An empty span refuses: the bytes are read and dropped, and the call ends with kInternal.
  virtual std::span<std::byte> Destination(std::uint32_t offset, std::uint32_t length) = 0;

  // The bytes of the last Destination have arrived and match `checksums`, one a granule.
  virtual void Received(std::uint32_t offset, std::uint32_t length,
                        std::span<const std::uint32_t> checksums) = 0;

  struct Outcome {
    Status status;
    LoadReport load;
    bool waited_for_fill = false;  // The worker did not hold the block.
    bool from_peer = false;        // ... and had it from another worker.
  };
  // The call has ended; nothing follows. kCorrupt: bytes did not match their checksum; neither they
  // nor any after them were passed to Received. kUnavailable: the connection broke. kStale: the
  // epoch moved; ChannelOptions::on_newer was called with the newer map.
  virtual void Done(Outcome outcome) = 0;
};

struct ChannelOptions {
  std::uint64_t reader_id = 0;
  std::uint32_t block_bytes = 4u << 20;  // 0: a group, in which every dataset has its own.
  std::string endpoint = {};
  std::chrono::milliseconds connect_timeout{1000};
  // Without a call for this long the connection is closed; the next call opens it again.
  std::chrono::milliseconds idle_timeout{60'000};
  // The worker knows an epoch that is newer than all that it told before and than ours. `map` is
  // its map (JSON, docs/formats/group.md) if it came along, as it does with every kStale, else
  // empty. Called on a thread of `receivers`, before the call ends; must not block, nor call the
  // channel, and is not called any more once the channel is gone.
  std::function<void(std::uint64_t epoch, std::string_view map)> on_newer = {};
  // Take what the worker sends. Null: some of its own.
  std::shared_ptr<Receivers> receivers = {};
};

// Thread safety: safe. Threads: those of its Receivers, and one while a name is looked up, or while
// what waited for the connection is more than a socket takes at once.
class Channel : private Receiving, private FrameSink {
 public:
  Channel(Address address, ChannelOptions options);
  // Ends all calls with kCancelled. Not from a thread of its Receivers.
  ~Channel() override;

  using CallId = std::uint64_t;

  // Opens the connection, in the background, as the first call would. If that fails, so do the
  // calls that were made meanwhile, and the next one tries again.
  void ConnectAhead() EXCLUDES(mutex_);

  // Sends the request, connecting first if need be (in the background: this never waits for the
  // network longer than a full socket buffer). `receiver->Done` is called exactly once unless
  // Cancel comes first; it may be called before this returns. It is kept until then.
  CallId StartRead(const BlockCall& call, std::shared_ptr<BlockReceiver> receiver) EXCLUDES(mutex_);

  // After this returned, the receiver of `id` is not called any more, nor are its buffers written
  // to. Waits for what is being taken from the socket right now, and for nothing that is still to
  // come. Do not hold a lock that its methods take.
  void Cancel(CallId id) EXCLUDES(mutex_);

  // One name, or one page of a listing, from the directory's home. Waits for the answer.
  // Errors: those of Upstream; kUnavailable, kDeadlineExceeded, kCancelled (within 100 ms), kStale.
  Result<LookupReply> Stat(const Lookup& lookup, Deadline deadline, std::stop_token stop);
  Result<LookupReply> List(const Lookup& lookup, Deadline deadline, std::stop_token stop);

  // Questions about the group and the cache; they wait as the above do.
  // Group: JSON as docs/formats/group.md says. kNotFound: no such dataset.
  Result<std::string> Group(const GroupQuestion& question, Deadline deadline, std::stop_token stop);
  // `verify`: compares the checksums of the blocks first, which takes as long as reading them.
  Result<HaveReply> AskHave(const Have& question, bool verify, Deadline deadline,
                            std::stop_token stop);
  Result<DropReply> AskDrop(const Drop& question, Deadline deadline, std::stop_token stop);
  Result<std::string> AskMetrics(Deadline deadline, std::stop_token stop);
  // Something changed at control: the worker calls it at once. Returns once it knows.
  Status Refresh(Deadline deadline, std::stop_token stop);

  // The epoch that goes out with every frame from now on; 0 before.
  void set_epoch(std::uint64_t epoch) { epoch_ = epoch; }
  // The newest that the worker told.
  std::uint64_t newest_epoch() const { return newest_epoch_; }

  // Asks the worker for a sign of life. Not connected: does nothing.
  void Ping();
  // When the newest bytes came in; the clock's epoch before the first.
  Deadline last_heard() const { return last_heard_.load(); }

  // Calls in flight.
  std::size_t outstanding() const EXCLUDES(mutex_);

 private:
  // What waits for a reply in one frame.
  struct Question {
    FrameType expected{};
    std::optional<Result<std::vector<std::byte>>> reply;
  };
  struct Call {
    std::shared_ptr<BlockReceiver> receiver;  // Null: a question.
    std::shared_ptr<Question> question;
    bool in_use = false;     // Its receiver is being called, or its buffer written to.
    bool cancelled = false;  // Somebody waits for that to end; its Done is not called.
  };
  // A data frame that is arriving, as far as it has come.
  struct Run {
    CallId id = 0;
    BlockData data;
    std::uint32_t length = 0;
    std::uint32_t handed_on = 0;  // Bytes that were passed to Received.
    std::span<std::byte> space;   // For those after them.
    std::size_t filled = 0;       // Of it.
    std::size_t compared = 0;     // Of that, with their checksums.
    bool last = false;
    BlockReceiver* receiver = nullptr;  // While its call is in use.
    bool wanted = true;                 // False: the rest is dropped.
    BlockReceiver::Outcome outcome;
  };

  // Sends a request of `header`'s type and flags, and waits for the body of its reply.
  Result<std::vector<std::byte>> Ask(FrameHeader header, std::vector<std::byte> body,
                                     Deadline deadline, std::stop_token stop) EXCLUDES(mutex_);
  template <typename T>
  Result<T> Decoded(const Result<std::vector<std::byte>>& body,
                    Result<T> (*decode)(std::span<const std::byte>)) const;
  CallId Begin(FrameHeader header, std::vector<std::byte> body, Call call) EXCLUDES(mutex_);
  void Write(std::uint64_t connection, FrameHeader header, std::span<const std::byte> body)
      EXCLUDES(write_mutex_);
  // Breaks the connection if the frame is not sent by then.
  void WriteHeld(FrameHeader header, std::span<const std::byte> body, Deadline until)
      REQUIRES(write_mutex_);
  std::uint64_t Connected() const EXCLUDES(mutex_);

  void StartOpening() REQUIRES(mutex_);
  Status Connect();
  Status AwaitConnected();
  std::optional<Deadline> ContinueConnecting(bool writable);
  Deadline Greet() EXCLUDES(mutex_, write_mutex_);
  bool FewUnsent() const REQUIRES(mutex_);
  Status Greeted(const FrameHeader& header, std::span<const std::byte> body);
  void EndConnection(const Error& error) EXCLUDES(mutex_);
  bool CloseIfIdle() EXCLUDES(mutex_);

  std::optional<Deadline> Receive(bool ready) override EXCLUDES(mutex_);
  std::chrono::milliseconds Patience() const;
  void Acknowledge() EXCLUDES(write_mutex_);
  Status Head(const FrameHeader& header, std::span<const std::byte> body) override;
  // What it says about the group.
  Status Heard(const FrameHeader& header, std::span<const std::byte> body);
  Status Answer(const FrameHeader& header, std::span<const std::byte> body) EXCLUDES(mutex_);
  Status BeginRun(const FrameHeader& header, std::span<const std::byte> body);
  std::span<std::byte> Space(std::uint32_t left) override;
  void Filled(std::size_t bytes) override;
  bool Matches(const Run& run, std::size_t until) const;
  void Spoil(Error error);
  void End() override;

  BlockReceiver* Claim(CallId id) EXCLUDES(mutex_);
  void Release(CallId id) EXCLUDES(mutex_);
  void Finish(CallId id, BlockReceiver::Outcome outcome) EXCLUDES(mutex_);

  const Address address_;
  const ChannelOptions options_;
  const std::shared_ptr<Receivers> receivers_;
  std::atomic<std::uint32_t> queue_depth_ = 0;
  std::atomic<std::uint64_t> epoch_ = 0;
  std::atomic<std::uint64_t> newest_epoch_ = 0;
  std::atomic<Deadline> last_heard_ = Deadline();
  std::atomic<std::uint64_t> received_ = 0;        // Data frames on this connection.
  std::atomic<std::uint64_t> acknowledged_ = 0;    // Of them, by the newest frame that was sent.
  std::atomic<std::uint64_t> received_bytes_ = 0;  // In data frames.
  std::atomic<std::uint64_t> acknowledged_bytes_ = 0;

  mutable Mutex mutex_;  // Order: mutex_ before write_mutex_.
  CondVar changed_;
  std::map<CallId, Call> calls_ GUARDED_BY(mutex_);
  CallId next_id_ GUARDED_BY(mutex_) = 1;
  bool opening_ GUARDED_BY(mutex_) = false;         // A connection, or ending the calls of one.
  bool closing_ GUARDED_BY(mutex_) = false;         // For good.
  std::uint64_t connected_ GUARDED_BY(mutex_) = 0;  // The connection that stands; 0: none.
  std::vector<std::pair<FrameHeader, std::vector<std::byte>>> unsent_ GUARDED_BY(mutex_);

  Mutex write_mutex_;
  UniqueFd fd_ GUARDED_BY(write_mutex_);
  std::uint64_t fd_connection_ GUARDED_BY(write_mutex_) = 0;  // Counts connections.
  // Of whoever opens a connection, then of the thread that receives from it.
  std::optional<Connecting> connecting_;
  int receiving_fd_ = -1;
  std::optional<Deadline> greeting_until_;  // The worker has not answered Hello yet.
  bool refused_ = false;                    // At the newest greeting.
  FrameStream stream_;
  std::optional<Run> run_;
  TaskGroup threads_;  // Last: joined before anything else goes.
};

}  // namespace forebay
