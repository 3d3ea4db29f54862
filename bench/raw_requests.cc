// The least program that does what Forebay's data path has to: blocks are asked for one by one, of
// many workers, in order, and each is checked and acknowledged. What it reaches, a machine can.
//
//   raw_requests serve ADDRESS PORT FILE
//   raw_requests read MODE PROCESSES BLOCKS WINDOW ADDRESS PORT [ADDRESS PORT]...
//
// `serve` prints `ready`; one thread answers all requests (64 bytes) with 64 bytes and a block of
// 64 KiB, the FILE's over and over. `read` starts PROCESSES, each of which connects to all servers,
// prints `ready`, waits for a line on standard input, and prints one line of JSON when each has
// read BLOCKS, with WINDOW under way. MODE: `epoll` (one thread a process), `threads` (one for each
// connection, and one that asks and takes the blocks in order), and `late`: as `epoll`, but
// connected after the line has come. A process asks whom it has asked least of, a hash among
// equals.
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <span>

#include "base/crc32c.h"
#include "base/mutex.h"
#include "base/task_group.h"
#include "raw_sockets.h"

namespace forebay {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBlockBytes = 64u << 10;
constexpr std::size_t kHeldMax = 256;  // Blocks of a process: under way, or ahead of their turn.
constexpr int kEventsMax = 64;

// A request, and what comes before a block.
struct Frame {
  std::uint64_t number = 0;  // Of the block in the order of reading.
  std::uint64_t acked = 0;   // Blocks that this connection has received.
  std::uint32_t checksum = 0;
  std::array<std::byte, 44> padding = {};
};
static_assert(sizeof(Frame) == 64);
constexpr std::size_t kReplyBytes = sizeof(Frame) + kBlockBytes;

int NewEpoll() {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) Die("epoll_create1");
  return epoll;
}

void Watch(int epoll, int operation, int fd, std::uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll, operation, fd, &event) != 0) Die("epoll_ctl");
}

// One thread for all connections. Ends only with the program.
class RequestServer {
 public:
  explicit RequestServer(const char* path) : file_(open(path, O_RDONLY | O_CLOEXEC)) {
    struct stat status = {};
    if (!file_ || fstat(file_.get(), &status) != 0) Die(path);
    std::vector<std::byte> block(kBlockBytes);
    while (checksums_.size() < static_cast<std::size_t>(status.st_size) / kBlockBytes) {
      if (read(file_.get(), block.data(), kBlockBytes) != ssize_t{kBlockBytes}) Die(path);
      checksums_.push_back(Crc32c(block));
    }
    if (checksums_.empty()) Die(path);
  }

  [[noreturn]] void Serve(const char* host, const char* port) {
    const UniqueFd listener = ListenReady(host, port, SOCK_NONBLOCK);
    Watch(epoll_.get(), EPOLL_CTL_ADD, listener.get(), EPOLLIN);
    while (true) {
      std::array<epoll_event, kEventsMax> events = {};
      const int count = epoll_wait(epoll_.get(), events.data(), kEventsMax, -1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.fd == listener.get()) {
          Accept(listener.get());
        } else if (!Handle(event.data.fd, event.events)) {
          connections_.erase(event.data.fd);
        }
      }
    }
  }

 private:
  struct Connection {
    UniqueFd fd;
    std::array<std::byte, 64 * sizeof(Frame)> input = {};
    std::size_t input_bytes = 0;
    std::deque<Frame> replies;
    std::size_t sent = 0;  // Of the first of them.
    std::uint64_t blocks = 0;
    bool waits = false;  // For room in the socket.
  };

  void Accept(int listener) {
    while (true) {
      UniqueFd fd(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) return;
      const int on = 1;
      setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      Watch(epoll_.get(), EPOLL_CTL_ADD, fd.get(), EPOLLIN);
      const int key = fd.get();
      connections_[key].fd = std::move(fd);
    }
  }

  // False: the connection has ended.
  bool Handle(int fd, std::uint32_t events) {
    Connection& connection = connections_.at(fd);
    if ((events & ~EPOLLOUT) != 0 && !TakeRequests(connection)) return false;
    if (!SendReplies(connection)) return false;
    if (connection.waits == connection.replies.empty()) {
      connection.waits = !connection.replies.empty();
      Watch(epoll_.get(), EPOLL_CTL_MOD, fd, EPOLLIN | (connection.waits ? EPOLLOUT : 0u));
    }
    return true;
  }

  bool TakeRequests(Connection& connection) {
    const std::span<std::byte> room = std::span(connection.input).subspan(connection.input_bytes);
    const ssize_t got = recv(connection.fd.get(), room.data(), room.size(), 0);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    connection.input_bytes += static_cast<std::size_t>(got);
    std::size_t taken = 0;
    for (; connection.input_bytes - taken >= sizeof(Frame); taken += sizeof(Frame)) {
      Frame frame;
      std::memcpy(&frame, connection.input.data() + taken, sizeof frame);
      if (frame.acked > connection.blocks) return false;
      frame.checksum = checksums_[frame.number % checksums_.size()];
      connection.replies.push_back(frame);
    }
    std::memmove(connection.input.data(), connection.input.data() + taken,
                 connection.input_bytes -= taken);
    return true;
  }

  bool SendReplies(Connection& connection) {
    while (!connection.replies.empty()) {
      const Frame& frame = connection.replies.front();
      ssize_t sent = 0;
      if (connection.sent < sizeof frame) {
        const auto* bytes = reinterpret_cast<const std::byte*>(&frame);
        sent = send(connection.fd.get(), bytes + connection.sent, sizeof frame - connection.sent,
                    MSG_MORE | MSG_NOSIGNAL);
      } else {
        const std::size_t done = connection.sent - sizeof frame;
        auto offset = static_cast<off_t>(frame.number % checksums_.size() * kBlockBytes + done);
        sent = sendfile(connection.fd.get(), file_.get(), &offset, kBlockBytes - done);
      }
      if (sent < 0) return errno == EAGAIN;
      connection.sent += static_cast<std::size_t>(sent);
      if (connection.sent < kReplyBytes) continue;
      connection.sent = 0;
      ++connection.blocks;
      connection.replies.pop_front();
    }
    return true;
  }

  const UniqueFd file_;
  const UniqueFd epoll_{NewEpoll()};
  std::vector<std::uint32_t> checksums_;  // One for each block of the file.
  std::map<int, Connection> connections_;
};

struct Asked {
  std::uint64_t number = 0;
  std::byte* space = nullptr;
};

// One connection of a process. Blocks come in the order in which they were asked for.
struct Link {
  UniqueFd fd;
  std::size_t under_way = 0;
  Frame head;
  std::size_t received = 0;  // Of the reply that is arriving.
  bool wakes_early = false;  // For the rest of a reply.
  std::atomic<std::uint64_t> blocks = 0;
  Mutex mutex;
  std::deque<Asked> asked GUARDED_BY(mutex);
};

// Blocks are asked for and handed on in order, and arrive in any.
class Order {
 public:
  Order(std::uint64_t blocks, std::size_t window)
      : blocks_(blocks), window_(window), memory_(kHeldMax * kBlockBytes), arrived_(kHeldMax) {
    for (std::size_t i = kHeldMax; i > 0; --i) free_.push_back(&memory_[(i - 1) * kBlockBytes]);
  }

  bool done() const { return handed_on_ == blocks_; }
  bool MayAsk() const { return under_way_ < window_ && next_ < blocks_ && !free_.empty(); }

  Asked Ask() {
    const Asked asked{next_++, free_.back()};  // The newest: it is in a cache.
    free_.pop_back();
    ++under_way_;
    return asked;
  }

  void Arrived(const Asked& asked) {
    --under_way_;
    arrived_[asked.number % kHeldMax] = asked.space;
    for (; std::byte* space = arrived_[handed_on_ % kHeldMax]; ++handed_on_) {
      arrived_[handed_on_ % kHeldMax] = nullptr;
      free_.push_back(space);
    }
  }

 private:
  const std::uint64_t blocks_;
  const std::size_t window_;
  std::vector<std::byte> memory_;
  std::vector<std::byte*> arrived_;  // By number, modulo kHeldMax.
  std::vector<std::byte*> free_;
  std::uint64_t next_ = 0;
  std::uint64_t handed_on_ = 0;
  std::size_t under_way_ = 0;
};

// Wakes whoever waits for `link` once `bytes` are there.
void WakeAt(const Link& link, std::size_t bytes) {
  const int least = static_cast<int>(bytes);
  setsockopt(link.fd.get(), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
}

// What a process does between the line and its last block.
class RequestReader {
 public:
  RequestReader(const std::vector<sockaddr_in>& servers, std::uint64_t seed, std::uint64_t blocks,
                std::size_t window)
      : servers_(servers), seed_(seed), order_(blocks, window) {}

  void Connect() {
    for (const sockaddr_in& server : servers_) {
      Link& link = links_.emplace_back();
      link.fd = NewSocket(SOCK_NONBLOCK);
      const int on = 1;
      setsockopt(link.fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const int done = connect(link.fd.get(), Raw(server), sizeof server);
      if (done != 0 && errno != EINPROGRESS) Die("connect");
    }
    for (Link& link : links_) {
      Await(link, POLLOUT);
      WakeAt(link, kReplyBytes);
    }
  }

  void ReadByEpoll() {
    const UniqueFd epoll(NewEpoll());
    std::map<int, Link*> by_fd;
    for (Link& link : links_) {
      Watch(epoll.get(), EPOLL_CTL_ADD, link.fd.get(), EPOLLIN);
      by_fd[link.fd.get()] = &link;
    }
    AskMore();
    while (!order_.done()) {
      std::array<epoll_event, kEventsMax> events = {};
      const int count = epoll_wait(epoll.get(), events.data(), kEventsMax, -1);
      for (int i = 0; i < count; ++i) {
        Link& link = *by_fd.at(events[static_cast<std::size_t>(i)].data.fd);
        Asked asked;
        if (!Receive(link, asked)) continue;
        --link.under_way;
        order_.Arrived(asked);
        AskMore();
      }
    }
    end_ = Clock::now();
  }

  void ReadByThreads() {
    TaskGroup threads;
    for (Link& link : links_) {
      threads.Run("receive", [this, &link](std::stop_token stop) { ReceiveAll(link, stop); });
    }
    AskMore();
    while (!order_.done()) {
      std::vector<std::pair<Link*, Asked>> came;
      {
        MutexLock lock(mutex_);
        while (came_.empty()) changed_.Wait(mutex_);
        came.swap(came_);
      }
      for (const auto& [link, asked] : came) {
        --link->under_way;
        order_.Arrived(asked);
      }
      AskMore();
    }
    end_ = Clock::now();
    threads.RequestStop();
    for (const Link& link : links_) shutdown(link.fd.get(), SHUT_RDWR);
  }

  // When the last block was handed on.
  Clock::time_point end() const { return end_; }

 private:
  static void Await(const Link& link, short events) {
    pollfd entry{link.fd.get(), events, 0};
    if (poll(&entry, 1, -1) != 1) Die("poll");
  }

  // Every worker holds every block, as those of a pool do what all read.
  Link& Choose(std::uint64_t number) {
    constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15;  // Of Fibonacci hashing.
    const std::uint64_t start = ((seed_ << 32 | number) * kOdd >> 32) % links_.size();
    Link* best = &links_[start];
    for (std::size_t i = 1; i < links_.size(); ++i) {
      Link& link = links_[(start + i) % links_.size()];
      if (link.under_way < best->under_way) best = &link;
    }
    return *best;
  }

  void AskMore() {
    while (order_.MayAsk()) {
      const Asked asked = order_.Ask();
      Link& link = Choose(asked.number);
      ++link.under_way;
      {
        MutexLock lock(link.mutex);
        link.asked.push_back(asked);
      }
      const Frame frame{.number = asked.number, .acked = link.blocks};
      if (send(link.fd.get(), &frame, sizeof frame, MSG_NOSIGNAL) != sizeof frame) Die("send");
    }
  }

  // True: a block is complete, and right; it is `asked`.
  static bool Receive(Link& link, Asked& asked) {
    while (link.received < kReplyBytes) {
      std::span<std::byte> space = std::as_writable_bytes(std::span(&link.head, 1));
      std::size_t done = link.received;
      if (link.received >= sizeof(Frame)) {
        MutexLock lock(link.mutex);
        space = {link.asked.front().space, kBlockBytes};
        done -= sizeof(Frame);
      }
      const ssize_t got = recv(link.fd.get(), space.data() + done, space.size() - done, 0);
      if (got < 0 && errno == EAGAIN) {
        if (link.received > 0) WakeAt(link, kReplyBytes - link.received);
        link.wakes_early |= link.received > 0;
        return false;
      }
      if (got <= 0) Die("recv");
      link.received += static_cast<std::size_t>(got);
    }
    if (std::exchange(link.wakes_early, false)) WakeAt(link, kReplyBytes);
    link.received = 0;
    ++link.blocks;
    MutexLock lock(link.mutex);
    asked = link.asked.front();
    link.asked.pop_front();
    errno = EBADMSG;
    if (link.head.number != asked.number) Die("a block");
    if (link.head.checksum != Crc32c({asked.space, kBlockBytes})) Die("checksum");
    return true;
  }

  void ReceiveAll(Link& link, const std::stop_token& stop) {
    while (true) {
      Await(link, POLLIN);
      if (stop.stop_requested()) return;
      Asked asked;
      if (!Receive(link, asked)) continue;
      MutexLock lock(mutex_);
      came_.emplace_back(&link, asked);
      changed_.NotifyAll();
    }
  }

  const std::vector<sockaddr_in>& servers_;
  const std::uint64_t seed_;
  Order order_;
  std::deque<Link> links_;  // Links do not move.
  Clock::time_point end_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::pair<Link*, Asked>> came_ GUARDED_BY(mutex_);
};

struct Job {
  std::string_view mode;
  std::size_t processes = 0;
  std::uint64_t blocks = 0;
  std::size_t window = 0;
  std::vector<sockaddr_in> servers;
};

struct Report {
  Clock::time_point end;
  double cpu_seconds = 0;
};

// A process: says on `out` that it is there, begins when `go` is closed, and reports on `out`.
[[noreturn]] void ReadInChild(const Job& job, std::size_t number, int go, int out) {
  RequestReader reader(job.servers, number, job.blocks, job.window);
  if (job.mode != "late") reader.Connect();
  Report report;
  const auto tell = [&] {
    if (write(out, &report, sizeof report) != sizeof report) Die("write");
  };
  tell();
  char none = 0;
  if (read(go, &none, 1) != 0) Die("read");
  const double cpu_before = CpuSeconds();
  if (job.mode == "late") reader.Connect();
  job.mode == "threads" ? reader.ReadByThreads() : reader.ReadByEpoll();
  report = {reader.end(), CpuSeconds() - cpu_before};
  tell();
  std::exit(0);
}

// A report of each process; the program ends if one of them does without.
std::vector<Report> Reports(const Job& job, int in) {
  std::vector<Report> reports(job.processes);
  for (Report& report : reports) {
    if (read(in, &report, sizeof report) != sizeof report) Die("a process");
  }
  return reports;
}

int Read(const Job& job) {
  std::array<int, 2> go = {};
  std::array<int, 2> out = {};
  if (pipe2(go.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0) Die("pipe2");
  for (std::size_t i = 0; i < job.processes; ++i) {
    const pid_t pid = fork();
    if (pid < 0) Die("fork");
    if (pid > 0) continue;
    close(go[1]);
    close(out[0]);
    ReadInChild(job, i, go[0], out[1]);
  }
  close(out[1]);
  Reports(job, out[0]);
  AwaitLine();
  const Clock::time_point start = Clock::now();
  close(go[1]);
  Clock::time_point end = start;
  double cpu_seconds = 0;
  for (const Report& report : Reports(job, out[0])) {
    end = std::max(end, report.end);
    cpu_seconds += report.cpu_seconds;
  }
  const std::chrono::duration<double> taken = end - start;
  fmt::print("{{\"bytes\": {}, \"seconds\": {:.6f}, \"cpuSeconds\": {:.6f}}}\n",
             job.processes * job.blocks * kBlockBytes, taken.count(), cpu_seconds);
  return 0;
}

int Run(const std::vector<const char*>& arguments) {
  const std::string_view verb = arguments.empty() ? "" : arguments[0];
  constexpr std::size_t kFirstServer = 5;
  if (verb == "serve" && arguments.size() == 4) {
    RequestServer(arguments[3]).Serve(arguments[1], arguments[2]);
  }
  if (verb != "read" || arguments.size() < kFirstServer + 2 || arguments.size() % 2 == 0) {
    fmt::print(stderr, "usage: at the top of bench/raw_requests.cc\n");
    return 2;
  }
  Job job{.mode = arguments[1],
          .processes = std::stoul(arguments[2]),
          .blocks = std::stoull(arguments[3]),
          .window = std::stoul(arguments[4]),
          .servers = {}};
  for (std::size_t i = kFirstServer; i < arguments.size(); i += 2) {
    job.servers.push_back(AddressOf(arguments[i], arguments[i + 1]));
  }
  return Read(job);
}

}  // namespace
}  // namespace forebay

int main(int argc, char** argv) {
  return forebay::Run(std::vector<const char*>(argv + 1, argv + argc));
}
