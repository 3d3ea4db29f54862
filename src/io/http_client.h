// HttpClient: HTTP/1.1 over a bounded pool of kept-alive connections (libcurl), TCP or unix.
//
// Sends the URL as given (no squashing of "..", no re-encoding), follows no redirect and decodes no
// content: what a signature covers is what leaves, and what the server stores is what arrives.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"

namespace forebay {

struct HttpClientOptions {
  // Connections at once; further calls wait for one. At least 1.
  std::uint32_t connections_max = 64;
  std::string ca_bundle = {};  // PEM file; empty: the system's.

  // A connection that is not up after this long counts as kUnavailable.
  std::chrono::milliseconds connect_timeout{5'000};

  // A transfer in which nothing moves for this long counts as kUnavailable. Half a read's usual
  // deadline of 30 s, so that a hung server leaves time for another try.
  std::chrono::milliseconds stall_timeout{15'000};
};

enum class HttpMethod : std::uint8_t { kGet, kHead, kPost, kPut, kDelete };

struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  std::string url;                   // http or https, percent-encoded.
  std::vector<std::string> headers;  // "Name: value", without line ends.
  // Of POST, PUT and DELETE. Sent with its length; no Content-Type is added.
  std::string body = {};
  // Not empty: the unix socket to connect to; the URL's host is then only a name in the request.
  std::string unix_path = {};
};

// Status line and headers of an answer. Names are in lower case; of a repeated one the last counts.
struct HttpHead {
  int status = 0;
  std::map<std::string, std::string, std::less<>> headers;

  // The value of `name`, or nullptr.
  const std::string* Find(std::string_view name) const;
};

// Called on the thread that called Perform. An error ends the transfer with that error.
class HttpReceiver {
 public:
  virtual ~HttpReceiver() = default;
  // Once, before any body. Interim (1xx) answers are not shown.
  virtual Status OnHead(const HttpHead& head) = 0;
  // The next part of the body, at most 512 KiB.
  virtual Status OnBody(std::span<const std::byte> bytes) = 0;
};

// Thread safety: safe; calls run in parallel. Outlives the calls.
class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Sends `request` and hands the answer, whatever its status, to `receiver`. Success means that
  // the answer ended as its framing promised.
  //
  // Obeys `stop` within 100 ms (unless the receiver blocks longer).
  // Errors: kUnavailable (no connection, reset, cut short, stalled, garbage), kDeadlineExceeded,
  // kCancelled, kDenied (the server's certificate is not trusted), kInvalidArgument (URL, CA
  // bundle), and the receiver's own.
  Status Perform(const HttpRequest& request, HttpReceiver& receiver, Deadline deadline,
                 std::stop_token stop) EXCLUDES(mutex_);

 private:
  class Connection;

  // Waits for a place in the pool. The connection used last is reused first.
  Result<std::unique_ptr<Connection>> Borrow(Deadline deadline, const std::stop_token& stop)
      EXCLUDES(mutex_);
  void GiveBack(std::unique_ptr<Connection> connection) EXCLUDES(mutex_);

  const HttpClientOptions options_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::unique_ptr<Connection>> idle_ GUARDED_BY(mutex_);
  std::uint32_t borrowed_ GUARDED_BY(mutex_) = 0;
};

}  // namespace forebay
