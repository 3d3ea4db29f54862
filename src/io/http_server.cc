#include "io/http_server.h"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <deque>
#include <optional>
#include <thread>

#include "base/mutex.h"
#include "base/task_group.h"

namespace forebay {
namespace {

constexpr int kTimeoutSeconds = 2;  // For a peer to send its request, or to take the answer.
constexpr std::size_t kStackBytes = 1u << 20;  // Reserved: the library keeps buffers on the stack.
constexpr std::chrono::seconds kLinger{5};     // A thread without work.

// Threads that come with the work and go without it: long polls hold a thread each, and nothing is
// held while nobody asks.
class ElasticThreads : public httplib::TaskQueue {
 public:
  explicit ElasticThreads(std::size_t threads_max) : threads_max_(threads_max) {}
  ~ElasticThreads() override { shutdown(); }

  // Waits while all threads are busy; then connections wait in the listener's backlog.
  void enqueue(std::function<void()> task) override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    while (tasks_.size() >= threads_max_ && !closed_) changed_.Wait(mutex_);
    if (closed_) return;
    tasks_.push_back(std::move(task));
    if (threads_ == threads_max_) return;
    ++threads_;
    group_.Run("http", [this](std::stop_token) { Serve(); });
  }

  void shutdown() override EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      closed_ = true;
      changed_.NotifyAll();
    }
    group_.StopAndJoin();
  }

 private:
  void Serve() EXCLUDES(mutex_) {
    while (std::optional<std::function<void()>> task = Next()) (*task)();
  }

  std::optional<std::function<void()>> Next() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (tasks_.empty()) {
      --threads_;
      return std::nullopt;
    }
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    changed_.NotifyAll();
    return task;
  }

  const std::size_t threads_max_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  std::size_t threads_ GUARDED_BY(mutex_) = 0;  // At work.
  bool closed_ GUARDED_BY(mutex_) = false;
  // Last: joined first.
  TaskGroup group_{TaskGroupOptions{.stack_bytes = kStackBytes, .kept_for = kLinger}};
};

// Finds out why an address cannot be listened on, in the words of Listen, and removes a stale
// socket. The library says no more than that binding failed.
Status TryListen(const Address& address) {
  const Result<UniqueFd> listener = Listen(address);
  if (!listener.ok()) return listener.error();
  if (address.is_unix()) unlink(address.unix_path.c_str());
  return {};
}

HttpQuestion QuestionOf(const httplib::Request& request, bool over_unix) {
  HttpQuestion question;
  question.method = request.method;
  question.path = request.path;
  for (const auto& [key, value] : request.params) question.query[key] = value;
  question.body = request.body;
  question.over_unix = over_unix;
  return question;
}

}  // namespace

struct HttpServer::State {
  Address address;
  HttpHandler handler;
  httplib::Server server;
  TaskGroup listener{TaskGroupOptions{.stack_bytes = 1u << 20}};  // Last: uses all of the above.

  Status Bind() {
    if (address.is_unix()) {
      server.set_address_family(AF_UNIX);
      constexpr int kAnyPort = 80;  // Not used for a unix socket, but has to be one.
      if (server.bind_to_port(address.unix_path, kAnyPort)) return {};
    } else if (address.port == "0") {
      const int port = server.bind_to_any_port(address.host);
      if (port > 0) {
        const bool v6 = address.host.find(':') != std::string::npos;
        address.port = std::to_string(port);
        address.text = fmt::format("{}:{}", v6 ? "[" + address.host + "]" : address.host, port);
        return {};
      }
    } else {
      int port = 0;
      const std::string& text = address.port;
      std::from_chars(text.data(), text.data() + text.size(), port);
      if (server.bind_to_port(address.host, port)) return {};
    }
    return Error(Code::kUnavailable, fmt::format("{}: cannot be listened on", address.text));
  }
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const Address& address,
                                                      HttpServerOptions options,
                                                      HttpHandler handler) {
  const Status free = TryListen(address);
  if (!free.ok()) return free.error();
  auto state = std::make_unique<State>();
  state->address = address;
  state->handler = std::move(handler);
  httplib::Server& server = state->server;
  server.new_task_queue = [options] { return new ElasticThreads(options.threads_max); };
  server.set_keep_alive_max_count(1);
  server.set_read_timeout(kTimeoutSeconds);
  server.set_write_timeout(kTimeoutSeconds);
  server.set_payload_max_length(options.body_bytes_max);
  // The library matches routes with regular expressions that recurse for each character of a path,
  // so there are none: what matched no route is answered here.
  const httplib::Server::HandlerWithResponse answer =
      [raw = state.get(), body_bytes_max = options.body_bytes_max](const httplib::Request& request,
                                                                   httplib::Response& response) {
        constexpr int kNoRoute = 404;
        if (response.status != kNoRoute) {  // The library refused to read it.
          response.set_content(fmt::format(R"({{"type":"about:blank","title":"Refused",)"
                                           R"("status":{},"detail":"the request is longer than )"
                                           R"({} bytes, or it is not HTTP"}})"
                                           "\n",
                                           response.status, body_bytes_max),
                               "application/problem+json");
          return httplib::Server::HandlerResponse::Handled;
        }
        const HttpReply reply = raw->handler(QuestionOf(request, raw->address.is_unix()));
        response.status = reply.status;
        if (!reply.allow.empty()) response.set_header("Allow", reply.allow);
        response.set_content(reply.body, reply.content_type.c_str());
        return httplib::Server::HandlerResponse::Handled;
      };
  server.set_error_handler(answer);
  int listening = -1;
  server.set_socket_options([&listening](socket_t fd) {
    httplib::default_socket_options(fd);
    listening = fd;
  });
  const Status bound = state->Bind();
  if (!bound.ok()) return bound.error();
  // The library's own queue of 5 refuses a sixth who comes to a unix socket at the same time.
  listen(listening, SOMAXCONN);
  state->listener.Run("http-accept", [&server](std::stop_token) { server.listen_after_bind(); });
  // A stop that comes before the loop runs would be lost.
  while (!server.is_running() && state->listener.running() > 0) std::this_thread::yield();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::~HttpServer() {
  state_->server.stop();
  state_->listener.StopAndJoin();
  if (state_->address.is_unix()) unlink(state_->address.unix_path.c_str());
}

const Address& HttpServer::address() const {
  return state_->address;
}

}  // namespace forebay
