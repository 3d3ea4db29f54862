// Server: accepts connections, reads request frames, and sends replies in the send order.
//
// Invariants: a connection's thread never waits for a fill; at most `places` replies are being put
// on the link at a time, and `local_places` to this host, whole runs, first come first served; a
// payload is acknowledged only by a later frame of its own connection (the recycling rule).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "io/socket.h"
#include "io/waker.h"
#include "wire/frame.h"
#include "wire/messages.h"

namespace forebay {

// Bytes of a file to send with sendfile(2). Destroyed without Acknowledge(): its reader may still
// have the pages in its socket.
class SendSource {
 public:
  virtual ~SendSource() = default;
  virtual int fd() const = 0;
  virtual off_t offset() const = 0;
  virtual std::size_t length() const = 0;
  virtual void Sent() = 0;         // All of it is in the socket.
  virtual void Acknowledge() = 0;  // The reader has it.
};

// One frame of a reply. The server fills in request id and queue depth, lengths and checksums.
struct ReplyFrame {
  FrameType type = FrameType::kError;
  std::uint16_t flags = 0;
  std::uint16_t code = 0;
  std::uint16_t holders = 0;
  bool last = true;  // Ends the reply.
  std::vector<std::byte> body;
  std::unique_ptr<SendSource> payload;  // Null: none.
};

// The frame that ends a request with `error`.
ReplyFrame ErrorFrame(const Error& error, std::uint16_t holders = 0);

// A reply that is being made. Its methods run on the connection's thread and never block; it wakes
// the connection's waker whenever Ready() may have become true. Destroyed early if the client went
// away.
class Reply {
 public:
  virtual ~Reply() = default;
  virtual bool Ready() = 0;
  // Whether its frames carry blocks, and so need a place on the link.
  virtual bool NeedsLink() const = 0;
  // The next frame; Ready() was just true. Nothing: not ready after all.
  virtual std::optional<ReplyFrame> Next() = 0;
};

// A reply that is there at once.
class ReadyReply : public Reply {
 public:
  explicit ReadyReply(ReplyFrame frame) : frame_(std::move(frame)) {}

  bool Ready() override { return true; }
  bool NeedsLink() const override { return false; }
  std::optional<ReplyFrame> Next() override { return std::move(frame_); }

 private:
  ReplyFrame frame_;
};

struct RequestContext {
  std::uint64_t reader_id = 0;
  DomainId domain;
  std::uint16_t flags = 0;  // kFlagFillOnly, ...
  Deadline deadline;
  std::uint32_t queue_depth = 0;  // Of this server, before this request.
  std::uint64_t epoch = 0;        // Of the asker's map; 0: it has none.
  std::shared_ptr<Waker> waker;   // Wakes the connection.
};

// What is served. Thread safety: called from all connections at once. No call may block.
class Service {
 public:
  virtual ~Service() = default;
  // Errors refuse the connection, with the message.
  virtual Result<Welcome> Greet(const Hello& hello) = 0;
  virtual std::unique_ptr<Reply> BeginRead(const ReadBlock& request, RequestContext context) = 0;
  virtual std::unique_ptr<Reply> BeginStat(const Lookup& request, RequestContext context) = 0;
  virtual std::unique_ptr<Reply> BeginList(const Lookup& request, RequestContext context) = 0;
  virtual std::unique_ptr<Reply> BeginGroup(const GroupQuestion& request,
                                            RequestContext context) = 0;
  // context.flags may have kFlagVerify.
  virtual std::unique_ptr<Reply> BeginHave(const Have& request, RequestContext context) = 0;
  virtual std::unique_ptr<Reply> BeginDrop(const Drop& request, RequestContext context) = 0;
  virtual std::unique_ptr<Reply> BeginMetrics(RequestContext context) = 0;

  // Of the map in force; goes out with every frame.
  virtual std::uint64_t epoch() const = 0;
  // Somebody says that control has something new.
  virtual void Refresh() = 0;
};

struct ServerOptions {
  Address address;
  std::uint32_t connections_max = 4096;
  // Requests of one connection in flight; more wait in its socket, and so do pings and cancels
  // behind them.
  std::uint32_t outstanding_max = 1024;
  // Of a block's bytes, what may wait in a socket to another host: an eighth of it keeps the send
  // order sharp, and beyond 512 KiB nothing is gained.
  std::uint32_t unsent_bytes_max = 512u << 10;
  // Replies on the link at a time. Source: the simulation in performance.md: few, whole blocks.
  std::uint32_t places = 3;
  // Replies to readers on this host at a time, apart from the link's. They share only processors:
  // with three places, four readers over loopback were at 0.60-0.64 of raw, with eight at 0.66
  // (docs/benchmarks.md), as places are held by readers that are not scheduled.
  std::uint32_t local_places = 8;
};

// Thread safety: safe. Threads: 1 + one a connection, and for ten seconds after it closed; 256 KiB
// of stack reserved each.
class Server {
 public:
  // `service` must outlive the server.
  // Errors: those of Listen.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, Service& service);
  // On a socket of Listen(options.address). Whoever connected to it meanwhile is served now.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, UniqueFd listener,
                                               Service& service);
  // Closes every connection; calls nothing of the service afterwards.
  ~Server();

  const Address& address() const;  // With the port that was chosen.
  std::uint32_t queue_depth() const;
  std::size_t connections() const;

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace forebay
