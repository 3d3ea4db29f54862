#include "io/http_server.h"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <thread>

#include "base/task_group.h"

namespace forebay {
namespace {

constexpr std::size_t kThreads = 2;
constexpr int kTimeoutSeconds = 2;  // For a peer to send its request, or to take the answer.
constexpr std::size_t kBodyBytesMax = 4096;

// Finds out why an address cannot be listened on, in the words of Listen, and removes a stale
// socket. The library says no more than that binding failed.
Status TryListen(const Address& address) {
  const Result<UniqueFd> listener = Listen(address);
  if (!listener.ok()) return listener.error();
  if (address.is_unix()) unlink(address.unix_path.c_str());
  return {};
}

}  // namespace

struct HttpServer::State {
  Address address;
  HttpHandlers handlers;
  httplib::Server server;
  TaskGroup listener{1u << 20};  // Last: uses all of the above.

  Status Bind() {
    int port = 0;
    std::string host = address.host;
    if (address.is_unix()) {
      server.set_address_family(AF_UNIX);
      host = address.unix_path;
      constexpr int kAnyPort = 80;  // Not used for a unix socket, but has to be one.
      port = kAnyPort;
    } else {
      const std::string& text = address.port;
      std::from_chars(text.data(), text.data() + text.size(), port);
    }
    if (server.bind_to_port(host, port)) return {};
    return Error(Code::kUnavailable, fmt::format("{}: cannot be listened on", address.text));
  }
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const Address& address,
                                                      HttpHandlers handlers) {
  const Status free = TryListen(address);
  if (!free.ok()) return free.error();
  auto state = std::make_unique<State>();
  state->address = address;
  state->handlers = std::move(handlers);
  httplib::Server& server = state->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_keep_alive_max_count(1);
  server.set_read_timeout(kTimeoutSeconds);
  server.set_write_timeout(kTimeoutSeconds);
  server.set_payload_max_length(kBodyBytesMax);
  for (const auto& [path, handler] : state->handlers) {
    server.Get(path, [&handler](const httplib::Request&, httplib::Response& response) {
      response.set_content(handler(), "text/plain; version=0.0.4; charset=utf-8");
    });
  }
  const Status bound = state->Bind();
  if (!bound.ok()) return bound.error();
  state->listener.Run("http", [&server](std::stop_token) { server.listen_after_bind(); });
  // A stop that comes before the loop runs would be lost.
  while (!server.is_running() && state->listener.running() > 0) std::this_thread::yield();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::~HttpServer() {
  state_->server.stop();
  state_->listener.StopAndJoin();
  if (state_->address.is_unix()) unlink(state_->address.unix_path.c_str());
}

}  // namespace forebay
