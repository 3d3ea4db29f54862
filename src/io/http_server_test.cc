#include "io/http_server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>

#include "base/task_group.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

std::string Ask(const Address& address, const std::string& request) {
  const Deadline deadline = Clock::now() + 10s;
  Result<UniqueFd> fd = Connect(address, deadline, {});
  if (!fd.ok()) return fd.error().message();
  const std::span<const std::byte> bytes = std::as_bytes(std::span(request));
  EXPECT_TRUE(SendAll(fd.value().get(), std::span(&bytes, 1), deadline).ok());
  std::string answer;
  std::byte byte{};
  while (ReceiveExactly(fd.value().get(), std::span(&byte, 1), deadline).ok()) {
    answer += static_cast<char>(byte);
  }
  return answer;
}

std::string Get(const Address& address, const std::string& target) {
  return Ask(address, "GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
}

std::unique_ptr<HttpServer> Start(HttpServerOptions options, HttpHandler handler) {
  Result<std::unique_ptr<HttpServer>> server =
      HttpServer::Start(ParseAddress("127.0.0.1:0").value(), options, std::move(handler));
  EXPECT_TRUE(server.ok());
  return std::move(server).value();
}

HttpReply Echo(const HttpQuestion& question) {
  std::string text = question.method + " " + question.path;
  for (const auto& [key, value] : question.query) text += fmt::format(" {}={}", key, value);
  return {.status = 203, .body = text + " " + question.body};
}

TEST(HttpServer, HandsOnMethodPathQueryAndBody) {
  const auto server = Start({}, Echo);
  const std::string answer =
      Ask(server->address(),
          "POST /v1/a%20b?x=1&y=a%2Fb HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 203")) << answer;
  EXPECT_TRUE(answer.ends_with("POST /v1/a b x=1 y=a/b body")) << answer;
}

TEST(HttpServer, RefusesBodiesAndTargetsBeyondTheLimits) {
  const auto server = Start({.body_bytes_max = 16}, Echo);
  EXPECT_TRUE(Ask(server->address(),
                  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n12345678901234567")
                  .starts_with("HTTP/1.1 413"));
  EXPECT_TRUE(Get(server->address(), "/" + std::string(9000, 'a')).starts_with("HTTP/1.1 414"));
  // The longest that is taken does not exhaust a thread's stack.
  EXPECT_TRUE(Get(server->address(), "/" + std::string(8000, 'a')).starts_with("HTTP/1.1 203"));
  EXPECT_TRUE(Get(server->address(), "/a%0Ab").ends_with("GET /a\nb "));
}

TEST(HttpServer, AnswersManyLongPollsAtOnce) {
  constexpr int kPolls = 100;
  std::latch all(kPolls);
  const auto server = Start({.threads_max = kPolls}, [&all](const HttpQuestion&) {
    all.arrive_and_wait();  // Returns only if all of them are being answered.
    return HttpReply{.body = "together"};
  });
  std::atomic<int> answered = 0;
  {
    TaskGroup askers;
    for (int i = 0; i < kPolls; ++i) {
      askers.Run("asker", [&](std::stop_token) {
        if (Get(server->address(), "/").ends_with("together")) ++answered;
      });
    }
    while (askers.running() > 0) std::this_thread::yield();
  }
  EXPECT_EQ(answered, kPolls);
}

TEST(HttpServer, BeyondItsThreadsRequestsWaitForAPlace) {
  const auto server = Start({.threads_max = 2}, Echo);
  std::atomic<int> answered = 0;
  TaskGroup askers;
  for (int i = 0; i < 20; ++i) {
    askers.Run("asker", [&](std::stop_token) {
      if (Get(server->address(), "/").starts_with("HTTP/1.1 203")) ++answered;
    });
  }
  while (askers.running() > 0) std::this_thread::yield();
  EXPECT_EQ(answered, 20);
}

}  // namespace
}  // namespace forebay
