#include "io/http_call.h"

#include <fmt/format.h>

#include "io/socket.h"

namespace forebay {
namespace {

class BoundedBody : public HttpReceiver {
 public:
  explicit BoundedBody(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  Status OnHead(const HttpHead& head) override {
    answer_.head = head;
    return {};
  }
  Status OnBody(std::span<const std::byte> bytes) override {
    if (bytes.size() > bytes_max_ - answer_.body.size()) {
      return Error(Code::kOverloaded, fmt::format("the answer is longer than {} B", bytes_max_));
    }
    answer_.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }

  HttpAnswer Take() && { return std::move(answer_); }

 private:
  const std::size_t bytes_max_;
  HttpAnswer answer_;
};

}  // namespace

Result<HttpEndpoint> ParseHttpEndpoint(const std::string& text) {
  HttpEndpoint endpoint{.text = text, .base_url = {}, .unix_path = {}};
  if (text.starts_with("unix:")) {
    Result<Address> address = ParseAddress(text);
    if (!address.ok()) return std::move(address).error();
    endpoint.unix_path = std::move(address).value().unix_path;
    endpoint.base_url = "http://localhost";
    return endpoint;
  }
  const std::size_t host = text.find("://") + 3;
  const bool known = text.starts_with("http://") || text.starts_with("https://");
  if (!known || text.size() == host || text[host] == '/' || text[host] == ':' ||
      text.find_first_of("/?# ", host) < text.size() - 1) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": not an address of a server; write http://HOST:PORT or "
                             "unix:PATH",
                             text));
  }
  endpoint.base_url = text.ends_with('/') ? text.substr(0, text.size() - 1) : text;
  return endpoint;
}

Result<HttpAnswer> Call(HttpClient& client, const HttpEndpoint& endpoint, const HttpCall& call,
                        Deadline deadline, std::stop_token stop) {
  HttpRequest request{.method = call.method,
                      .url = endpoint.base_url + call.target,
                      .headers = {"Accept: application/json, */*"},
                      .body = call.body,
                      .unix_path = endpoint.unix_path};
  if (!call.body.empty()) request.headers.push_back("Content-Type: " + call.content_type);
  BoundedBody body(call.answer_bytes_max);
  const Status status = client.Perform(request, body, deadline, stop);
  if (!status.ok()) return Error(status.error()).Within(endpoint.text);
  return std::move(body).Take();
}

std::string PercentEncode(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  std::string encoded;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace forebay
