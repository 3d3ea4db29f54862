#include "rpc/server.h"

#include <poll.h>

#include <array>
#include <atomic>
#include <utility>

#include "base/log.h"
#include "base/task_group.h"
#include "rpc/connection.h"

namespace forebay {
namespace {

// After a failed accept (out of descriptors): so long until the next try.
constexpr std::chrono::milliseconds kAcceptPause{100};
// Tasks come in bursts, and each connects to every worker: the next ones find threads.
constexpr std::chrono::seconds kThreadsKeptFor{10};

}  // namespace

struct Server::State {
  State(ServerOptions server_options, Service& server_service, UniqueFd socket)
      : options(std::move(server_options)),
        service(server_service),
        listener(std::move(socket)),
        link(options.places),
        local(options.local_places) {}

  void Accept(std::stop_token stop);
  void Serve(UniqueFd fd, SendGate& gate, std::shared_ptr<Waker> connection_waker,
             std::stop_token stop);

  const ServerOptions options;
  Service& service;
  const UniqueFd listener;
  SendGate link;   // To other hosts.
  SendGate local;  // To this one.
  Address address;
  std::atomic<std::uint32_t> queue_depth = 0;
  std::atomic<std::size_t> connections = 0;
  Waker waker;
  // After what they use.
  TaskGroup connection_threads{TaskGroupOptions{.kept_for = kThreadsKeptFor}};
  TaskGroup acceptor;
};

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, Service& service) {
  Result<UniqueFd> listener = Listen(options.address);
  if (!listener.ok()) return std::move(listener).error();
  return Start(std::move(options), std::move(listener).value(), service);
}

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, UniqueFd listener,
                                              Service& service) {
  auto state = std::make_unique<State>(std::move(options), service, std::move(listener));
  Result<Address> bound = BoundAddress(state->listener.get(), state->options.address);
  if (!bound.ok()) return std::move(bound).error();
  state->address = std::move(bound).value();
  State* raw = state.get();
  state->acceptor.Run("accept", [raw](std::stop_token stop) { raw->Accept(stop); });
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() {
  state_->acceptor.RequestStop();
  state_->waker.Wake();
  state_->acceptor.StopAndJoin();
  state_->connection_threads.StopAndJoin();
  if (state_->address.is_unix()) unlink(state_->address.unix_path.c_str());
}

const Address& Server::address() const {
  return state_->address;
}
std::uint32_t Server::queue_depth() const {
  return state_->queue_depth;
}
std::size_t Server::connections() const {
  return state_->connections;
}

void Server::State::Accept(std::stop_token stop) {
  while (!stop.stop_requested()) {
    std::array<pollfd, 2> entries = {{{listener.get(), POLLIN, 0}, {waker.fd(), POLLIN, 0}}};
    if (poll(entries.data(), entries.size(), -1) <= 0 || entries[0].revents == 0) continue;
    Result<UniqueFd> accepted = forebay::Accept(listener.get());
    if (!accepted.ok()) {
      Log(Level::kWarning, "accept failed", {{"error", accepted.error().message()}});
      pollfd pause{waker.fd(), POLLIN, 0};
      poll(&pause, 1, static_cast<int>(kAcceptPause.count()));
      continue;
    }
    if (connections >= options.connections_max) {
      Log(Level::kWarning, "connection refused: too many", {{"max", options.connections_max}});
      continue;
    }
    std::shared_ptr<Waker> connection_waker = Waker::TryMake();
    if (!connection_waker) {
      Log(Level::kWarning, "connection refused: out of descriptors");
      continue;
    }
    const bool same_host = SameHost(accepted.value().get());
    if (!same_host) LimitUnsent(accepted.value().get(), options.unsent_bytes_max);
    ++connections;
    // std::function wants copies, and a descriptor has one owner.
    auto fd = std::make_shared<UniqueFd>(std::move(accepted).value());
    connection_threads.Run("connection",
                           [this, fd, connection_waker,
                            &gate = same_host ? local : link](std::stop_token connection_stop) {
                             Serve(std::move(*fd), gate, connection_waker, connection_stop);
                             --connections;
                           });
  }
}

void Server::State::Serve(UniqueFd fd, SendGate& gate, std::shared_ptr<Waker> connection_waker,
                          std::stop_token stop) {
  Connection connection(std::move(fd), std::move(connection_waker),
                        ConnectionShared{service, gate, options.outstanding_max, queue_depth});
  const Status ended = connection.Run(stop);
  // A client that goes is everyday life; one that talks nonsense is worth a line.
  if (!ended.ok() && ended.error().code() != Code::kUnavailable) {
    Log(Level::kWarning, "connection closed", {{"error", ended.error().message()}});
  }
}

}  // namespace forebay
