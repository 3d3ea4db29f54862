// HttpClient and Call against a server of a library, over TCP and a unix socket.
#include "io/http_client.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/task_group.h"
#include "io/http_call.h"

namespace forebay {
namespace {

using namespace std::chrono_literals;

// Answers with what it was asked: "METHOD PATH content-type=... expect=... BODY".
std::string Echo(const httplib::Request& request) {
  return fmt::format("{} {} type={} expect={} length={} {}", request.method, request.target,
                     request.get_header_value("Content-Type"), request.has_header("Expect"),
                     request.get_header_value("Content-Length"), request.body);
}

class EchoServer {
 public:
  // On a unix socket if `path` is given.
  explicit EchoServer(const std::string& path = {}) {
    const httplib::Server::Handler echo = [](const httplib::Request& request,
                                             httplib::Response& response) {
      response.set_content(Echo(request), "text/plain");
    };
    server_.Get("/missing", [](const httplib::Request&, httplib::Response& response) {
      response.status = 404;
      response.set_content("{}", "application/problem+json");
    });
    server_.Get("/long", [](const httplib::Request&, httplib::Response& response) {
      constexpr std::size_t kBytes = 5000;
      response.set_content(std::string(kBytes, 'x'), "text/plain");
    });
    server_.Get("/.*", echo).Post("/.*", echo).Put("/.*", echo).Delete("/.*", echo);
    if (path.empty()) {
      endpoint_ = ParseHttpEndpoint(
                      fmt::format("http://127.0.0.1:{}", server_.bind_to_any_port("127.0.0.1")))
                      .value();
    } else {
      server_.set_address_family(AF_UNIX);
      EXPECT_TRUE(server_.bind_to_port(path, 80));
      endpoint_ = ParseHttpEndpoint("unix:" + path).value();
    }
    listener_.Run("echo", [this](std::stop_token) { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~EchoServer() {
    server_.stop();
    listener_.StopAndJoin();
  }

  const HttpEndpoint& endpoint() const { return endpoint_; }

 private:
  httplib::Server server_;
  HttpEndpoint endpoint_;
  TaskGroup listener_{TaskGroupOptions{.stack_bytes = 1u << 20}};
};

std::string BodyOf(HttpClient& client, const HttpEndpoint& endpoint, const HttpCall& call) {
  const Result<HttpAnswer> answer = Call(client, endpoint, call, Clock::now() + 10s, {});
  return answer.ok() ? answer.value().body : "error: " + answer.error().message();
}

TEST(HttpCall, EveryMethodArrivesWithItsBodyOverOneConnection) {
  EchoServer server;
  HttpClient client({.connections_max = 1});
  const HttpEndpoint& at = server.endpoint();
  EXPECT_EQ(BodyOf(client, at, {HttpMethod::kPost, "/a?b=%2F", "{}"}),
            "POST /a?b=%2F type=application/json expect=false length=2 {}");
  EXPECT_EQ(BodyOf(client, at, {HttpMethod::kGet, "/g"}), "GET /g type= expect=false length= ");
  EXPECT_EQ(BodyOf(client, at, {HttpMethod::kPut, "/p", "new", "text/plain"}),
            "PUT /p type=text/plain expect=false length=3 new");
  EXPECT_EQ(BodyOf(client, at, {HttpMethod::kHead, "/h"}), "");
  EXPECT_EQ(BodyOf(client, at, {HttpMethod::kDelete, "/d"}),
            "DELETE /d type= expect=false length=0 ");
  EXPECT_EQ(BodyOf(client, at, {HttpMethod::kPost, "/empty"}),
            "POST /empty type= expect=false length=0 ");
  EXPECT_EQ(BodyOf(client, at, {HttpMethod::kGet, "/again"}),
            "GET /again type= expect=false length= ");
}

TEST(HttpCall, ALongBodyIsSentAtOnce) {
  EchoServer server;
  HttpClient client({});
  constexpr std::size_t kBytes = 3u << 20;  // libcurl asks with Expect above 1 MiB.
  const std::string body(kBytes, 'y');
  EXPECT_EQ(BodyOf(client, server.endpoint(), {HttpMethod::kPost, "/", body}),
            fmt::format("POST / type=application/json expect=false length={} {}", kBytes, body));
}

TEST(HttpCall, UnixSocketAndTcpByOneClient) {
  std::string directory = "/tmp/forebay-io-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  {
    EchoServer local(directory + "/s.sock");
    EchoServer tcp;
    HttpClient client({.connections_max = 1});
    EXPECT_EQ(BodyOf(client, local.endpoint(), {HttpMethod::kPost, "/unix", "1"}),
              "POST /unix type=application/json expect=false length=1 1");
    EXPECT_EQ(BodyOf(client, tcp.endpoint(), {HttpMethod::kGet, "/tcp"}),
              "GET /tcp type= expect=false length= ");
    EXPECT_EQ(BodyOf(client, local.endpoint(), {HttpMethod::kGet, "/back"}),
              "GET /back type= expect=false length= ");
  }
  std::filesystem::remove_all(directory);
}

TEST(HttpCall, StatusAndHeadAreTheAnswers) {
  EchoServer server;
  HttpClient client({});
  const Result<HttpAnswer> answer =
      Call(client, server.endpoint(), {HttpMethod::kGet, "/missing"}, Clock::now() + 10s, {});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer.value().status(), 404);
  ASSERT_NE(answer.value().head.Find("content-type"), nullptr);
  EXPECT_EQ(*answer.value().head.Find("content-type"), "application/problem+json");
}

TEST(HttpCall, AnAnswerAboveItsBoundIsRefused) {
  EchoServer server;
  HttpClient client({});
  HttpCall call{HttpMethod::kGet, "/long"};
  call.answer_bytes_max = 4999;
  const Result<HttpAnswer> longer = Call(client, server.endpoint(), call, Clock::now() + 10s, {});
  ASSERT_FALSE(longer.ok());
  EXPECT_EQ(longer.error().code(), Code::kOverloaded);
  call.answer_bytes_max = 5000;
  EXPECT_TRUE(Call(client, server.endpoint(), call, Clock::now() + 10s, {}).ok());
}

TEST(HttpCall, NobodyListensIsUnavailable) {
  HttpClient client({});
  const HttpEndpoint nobody = ParseHttpEndpoint("unix:/tmp/forebay-io-nobody.sock").value();
  const Result<HttpAnswer> answer =
      Call(client, nobody, {HttpMethod::kGet, "/"}, Clock::now() + 10s, {});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code(), Code::kUnavailable);
}

TEST(HttpEndpoint, WhatIsOneAndWhatIsNot) {
  EXPECT_EQ(ParseHttpEndpoint("http://h:1/").value().base_url, "http://h:1");
  EXPECT_EQ(ParseHttpEndpoint("https://h").value().base_url, "https://h");
  EXPECT_EQ(ParseHttpEndpoint("http://[::1]:7").value().base_url, "http://[::1]:7");
  EXPECT_EQ(ParseHttpEndpoint("unix:/a b").value().unix_path, "/a b");
  for (const char* wrong : {"", "h:1", "http://", "http:///", "http://:80", "ftp://h",
                            "http://h/v1", "http://h?x=1", "http://h o:1", "unix:"}) {
    const Result<HttpEndpoint> endpoint = ParseHttpEndpoint(wrong);
    ASSERT_FALSE(endpoint.ok()) << wrong;
    EXPECT_EQ(endpoint.error().code(), Code::kInvalidArgument);
  }
  EXPECT_FALSE(ParseHttpEndpoint("unix:/" + std::string(107, 'x')).ok());
}

TEST(PercentEncode, OnlyUnreservedStays) {
  EXPECT_EQ(PercentEncode("a-Z_0.~"), "a-Z_0.~");
  EXPECT_EQ(PercentEncode("/a b&c=%\xc3\xa9"), "%2Fa%20b%26c%3D%25%C3%A9");
}

}  // namespace
}  // namespace forebay
