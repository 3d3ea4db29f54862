// Channel: the one connection of this process to a worker, with many calls in flight on it.
//
// Invariant: a call's buffer belongs to the channel from StartRead until Done was called or Cancel
// has returned. So a late reply can never write into memory that has a new owner.
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
#include "wire/frame.h"
#include "wire/messages.h"

namespace forebay {

// What every reply of a worker says about itself.
struct LoadReport {
  std::uint32_t queue_depth = 0;  // Requests it has accepted and not answered.
  std::uint16_t holders = 1;      // How many holders the file has now.
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

// Where the bytes of a call go. All methods run on the channel's receiver thread, in order, never
// two at a time; they must not block and must not call the channel.
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
  // empty. Called on the channel's receiver thread, before the call ends; must not block, nor call
  // the channel, and is not called any more once the channel is gone.
  std::function<void(std::uint64_t epoch, std::string_view map)> on_newer = {};
};

// Thread safety: safe. Threads: one, while connected.
class Channel {
 public:
  Channel(Address address, ChannelOptions options);
  // Ends all calls with kCancelled.
  ~Channel();

  using CallId = std::uint64_t;

  // Sends the request, connecting first if need be (in the background: this never waits for the
  // network longer than a full socket buffer). `receiver->Done` is called exactly once unless
  // Cancel comes first; it may be called before this returns. It is kept until then.
  CallId StartRead(const BlockCall& call, std::shared_ptr<BlockReceiver> receiver) EXCLUDES(mutex_);

  // After this returned, the receiver of `id` is not called any more. If its bytes are arriving
  // right now the connection is closed, which ends the other calls with kUnavailable. Do not hold a
  // lock that its methods take.
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

  // The newest report, from any reply.
  LoadReport load() const;

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
  enum class CallState {
    kWaiting,    // For a frame.
    kReceiving,  // The receiver thread is writing into its buffer.
    kFinishing,  // Its Done is running.
  };
  struct Call {
    std::shared_ptr<BlockReceiver> receiver;  // Null: a question.
    std::shared_ptr<Question> question;
    CallState state = CallState::kWaiting;
    bool cancelled = false;  // Somebody waits for it to go; its Done is not called.
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
  std::uint64_t Connected() const EXCLUDES(mutex_);
  void AwaitEnd(CallId id) REQUIRES(mutex_);
  void Run(std::stop_token stop);
  Status Open(std::stop_token stop) EXCLUDES(mutex_);
  Status Greet(int fd, std::uint64_t connection, std::stop_token stop);
  Status ReceiveFrames(int fd, std::stop_token stop) EXCLUDES(mutex_);
  Result<bool> ReceiveHeader(int fd, FrameHeaderBytes& bytes, Deadline until);
  bool CloseIfIdle() EXCLUDES(mutex_);
  void Acknowledge();
  Status Dispatch(int fd, const FrameHeader& header, std::span<const std::byte> body);
  // What it says about the group.
  Status Heard(const FrameHeader& header, std::span<const std::byte> body);
  Status Answer(const FrameHeader& header, std::span<const std::byte> body) EXCLUDES(mutex_);
  Status ReceiveData(int fd, const FrameHeader& header, std::span<const std::byte> body);
  Status ReceiveRun(int fd, BlockReceiver* receiver, const BlockData& run, std::uint32_t length,
                    Status* outcome);
  Status ReceivePayload(int fd, std::span<std::byte> space,
                        std::span<const std::uint32_t> checksums, bool* intact);
  Status Discard(int fd, std::uint32_t bytes);
  BlockReceiver* Claim(CallId id) EXCLUDES(mutex_);
  void Release(CallId id) EXCLUDES(mutex_);
  void Finish(CallId id, BlockReceiver::Outcome outcome) EXCLUDES(mutex_);
  void FailAll(const Error& error) EXCLUDES(mutex_);

  const Address address_;
  const ChannelOptions options_;
  std::atomic<std::uint32_t> queue_depth_ = 0;
  std::atomic<std::uint16_t> holders_ = 1;
  std::atomic<std::uint64_t> epoch_ = 0;
  std::atomic<std::uint64_t> newest_epoch_ = 0;
  std::atomic<Deadline> last_heard_ = Deadline();
  std::atomic<std::uint64_t> received_ = 0;      // Data frames on this connection.
  std::atomic<std::uint64_t> acknowledged_ = 0;  // Of them, by the newest frame that was sent.

  mutable Mutex mutex_;  // Order: mutex_ before write_mutex_.
  CondVar changed_;
  std::map<CallId, Call> calls_ GUARDED_BY(mutex_);
  CallId next_id_ GUARDED_BY(mutex_) = 1;
  bool running_ GUARDED_BY(mutex_) = false;         // The receiver thread lives.
  std::uint64_t connected_ GUARDED_BY(mutex_) = 0;  // The connection that was greeted; 0: none.
  std::vector<std::pair<FrameHeader, std::vector<std::byte>>> unsent_ GUARDED_BY(mutex_);

  Mutex write_mutex_;
  UniqueFd fd_ GUARDED_BY(write_mutex_);
  std::uint64_t fd_connection_ GUARDED_BY(write_mutex_) = 0;  // Counts connections.
  bool refused_ = false;  // At the newest greeting. Of the receiver thread.
  TaskGroup threads_;     // Last: joined before anything else goes.
};

}  // namespace forebay
