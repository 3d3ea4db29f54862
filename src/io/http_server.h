// HttpServer: requests of bounded size, answered whole. For /metrics of a worker, and for control.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/socket.h"

namespace forebay {

struct HttpQuestion {
  std::string method;  // "GET", "HEAD", "POST", "PUT" or "DELETE".
  std::string path;    // Percent-decoded.
  std::map<std::string, std::string> query;
  std::string body;
  bool over_unix = false;  // Came over a unix socket: from this host.
};

struct HttpReply {
  int status = 200;
  std::string body = {};
  std::string content_type = "text/plain; charset=utf-8";
  std::string allow = {};  // With status 405: the methods that the path takes.
};

// Answers one request. Called from the server's threads, many at a time; may block, but must return
// soon after the server is told to stop: whoever waits in it knows when that is.
using HttpHandler = std::function<HttpReply(const HttpQuestion&)>;

struct HttpServerOptions {
  // Requests that are answered at a time, a thread each; more wait to be accepted. Threads without
  // work end after a few seconds.
  std::size_t threads_max = 4;
  std::size_t body_bytes_max = 4096;
};

// One request a connection.
//
// Thread safety: safe. Threads: 1 that accepts, and up to threads_max that answer.
class HttpServer {
 public:
  // Listens on `address`; a stale unix socket is replaced. Who may connect to one is up to
  // its directory.
  // Errors: kUnavailable (in use), kInvalidArgument (not an address of this host), kDenied.
  static Result<std::unique_ptr<HttpServer>> Start(const Address& address,
                                                   HttpServerOptions options, HttpHandler handler);
  // As soon as the handlers that run have returned. Removes the unix socket.
  ~HttpServer();

  const Address& address() const;  // With the port that was chosen.

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace forebay
