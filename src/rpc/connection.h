// Connection: one client of a server, on one thread.
//
// It reads request frames as they come, starts their replies, and sends whatever can be sent: one
// frame at a time, and a frame with a payload only while it has a place on the link.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "io/socket.h"
#include "io/waker.h"
#include "rpc/send_gate.h"
#include "rpc/server.h"
#include "wire/frame.h"

namespace forebay {

// What the connections of a server share. Thread safety: safe.
struct ConnectionShared {
  Service& service;
  SendGate& gate;
  std::uint32_t outstanding_max;
  std::atomic<std::uint32_t>&
      queue_depth;  // Requests accepted and not answered, of all connections.
};

// Thread safety: one thread, but for the waker.
class Connection {
 public:
  Connection(UniqueFd fd, std::shared_ptr<Waker> waker, ConnectionShared shared);
  ~Connection();

  // Serves until the client goes, breaks the protocol, or `stop`. Returns why, for the log.
  Status Run(std::stop_token stop);

 private:
  struct Active {
    std::uint64_t request_id = 0;
    DomainId domain;
    SendClass send_class = SendClass::kClient;
    Deadline deadline;
    std::unique_ptr<Reply> reply;
  };
  struct Outgoing {
    std::vector<std::byte> head;  // Header and body.
    std::size_t head_sent = 0;
    std::unique_ptr<SendSource> payload;
    std::size_t payload_sent = 0;
    bool is_data = false;
    bool last = false;
    std::list<Active>::iterator active;  // end(): a pong.
  };
  struct Unacknowledged {
    std::uint64_t number = 0;  // Of the data frame.
    std::unique_ptr<SendSource> payload;
  };
  enum class Progress { kNone, kSome, kBlocked };

  bool AllDone() const;
  Status Greet(std::stop_token stop);
  // Reads what frames there are. kUnavailable: the client went.
  Status ReadRequests();
  Status ReadFrame();
  Status Handle(const FrameHeader& header, std::span<const std::byte> body);
  Status BeginReply(const FrameHeader& header, std::span<const std::byte> body);
  // Errors: the body of the request makes no sense.
  Result<std::unique_ptr<Reply>> ReplyTo(const FrameHeader& header, std::span<const std::byte> body,
                                         RequestContext context);
  Status Acknowledged(std::uint64_t count);
  void Cancel(std::uint64_t request_id);

  Result<Progress> Advance();
  // Chooses the next frame to send. False: nothing can be sent now.
  bool NextFrame();
  bool MayUseLink(const Active& active);
  void Enqueue(std::list<Active>::iterator active, ReplyFrame frame);
  Result<Progress> SendSome();
  Result<bool> SendStep();
  void FinishFrame();
  void LeaveLink();
  void Wait(bool for_writing);

  const UniqueFd fd_;
  const ConnectionShared shared_;
  const std::shared_ptr<Waker> waker_;
  std::uint64_t reader_id_ = 0;
  std::array<std::byte, 2048> input_{};  // Frames that came: several requests a system call.
  std::uint32_t input_begin_ = 0;
  std::uint32_t input_end_ = 0;
  std::list<Active> active_;
  std::optional<SendGate::Ticket> ticket_;  // At most one a connection.
  std::optional<Outgoing> outgoing_;
  std::deque<Unacknowledged> unacknowledged_;
  std::uint64_t data_frames_ = 0;  // Sent whole on this connection.
  bool pong_due_ = false;
  bool gone_ = false;  // The client.
};

}  // namespace forebay
