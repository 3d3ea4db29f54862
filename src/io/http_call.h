// One HTTP call with a body and an answer that fit into memory: how workers, clients and the
// command line talk to control.
#pragma once

#include <cstddef>
#include <stop_token>
#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "io/http_client.h"

namespace forebay {

// Where a server answers.
struct HttpEndpoint {
  std::string text;       // As people write it.
  std::string base_url;   // "http://HOST:PORT", without a slash at its end.
  std::string unix_path;  // Set for a unix socket.
};

// "unix:PATH", "http://HOST:PORT" or "https://HOST[:PORT]", with or without a slash at its end.
// Errors: kInvalidArgument, with the value and what would do; a unix path that does not fit into
// sockaddr_un (107 bytes) is one.
Result<HttpEndpoint> ParseHttpEndpoint(const std::string& text);

struct HttpCall {
  HttpMethod method = HttpMethod::kGet;
  std::string target;  // "/v1/datasets?namespace=default", percent-encoded.
  std::string body = {};
  std::string content_type = "application/json";  // Of `body`; unused if that is empty.
  std::size_t answer_bytes_max = 64u << 20;
};

struct HttpAnswer {
  HttpHead head;
  std::string body;

  int status() const { return head.status; }
};

// Any status is an answer. A long poll must end within the client's stall_timeout.
//
// Obeys `stop` within 100 ms.
// Errors: those of HttpClient::Perform; kOverloaded for an answer above answer_bytes_max.
Result<HttpAnswer> Call(HttpClient& client, const HttpEndpoint& endpoint, const HttpCall& call,
                        Deadline deadline, std::stop_token stop);

// `text` percent-encoded as one segment of a path or one value of a query.
std::string PercentEncode(std::string_view text);

}  // namespace forebay
