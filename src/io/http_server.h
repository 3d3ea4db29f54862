// HttpServer: a few fixed paths, answered with text. For /metrics and /healthz.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/socket.h"

namespace forebay {

// What GET of a path answers, as text/plain with status 200. Called from the server's threads.
using HttpHandlers = std::map<std::string, std::function<std::string()>>;

// Any other path is 404. One request a connection.
//
// Thread safety: safe. Threads: 1 that accepts, and 2 that answer.
class HttpServer {
 public:
  // Listens on `address`; a stale unix socket is replaced.
  // Errors: kUnavailable (in use), kInvalidArgument (not an address of this host), kDenied.
  static Result<std::unique_ptr<HttpServer>> Start(const Address& address, HttpHandlers handlers);
  // Within 3 s. Removes the unix socket.
  ~HttpServer();

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace forebay
