// Opens many connections to a worker, greets on each, and then says nothing.
//
//   idle_connections ADDRESS COUNT BLOCK_BYTES ENDPOINT
//
// Prints `ready` once the worker has answered every greeting, and ends when standard input does.
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>
#include <string>
#include <vector>

#include "io/socket.h"
#include "wire/frame.h"
#include "wire/messages.h"

namespace forebay {
namespace {

constexpr std::chrono::seconds kPatience{30};

Status Greet(int fd, const Hello& hello) {
  const Deadline deadline = Clock::now() + kPatience;
  const std::vector<std::byte> body = Encode(hello);
  FrameHeader header;
  header.type = FrameType::kHello;
  header.body_bytes = static_cast<std::uint32_t>(body.size());
  const FrameHeaderBytes head = EncodeFrameHeader(header);
  const std::span<const std::byte> parts[] = {head, body};
  if (Status status = SendAll(fd, parts, deadline); !status.ok()) return status;

  FrameHeaderBytes bytes;
  if (Status status = ReceiveExactly(fd, bytes, deadline); !status.ok()) return status;
  const Result<FrameHeader> answer = DecodeFrameHeader(bytes);
  if (!answer.ok()) return answer.error();
  std::vector<std::byte> answer_body(answer.value().body_bytes);
  if (Status status = ReceiveExactly(fd, answer_body, deadline); !status.ok()) return status;
  if (answer.value().type == FrameType::kError) {
    return DecodeError(answer.value().code, answer_body);
  }
  if (answer.value().type != FrameType::kWelcome) {
    return Error(Code::kInternal, "it did not answer with a welcome");
  }
  return {};
}

Status Run(const Address& address, std::size_t count, Hello hello) {
  constexpr rlim_t kSpare = 64;
  const rlimit limit = {count + kSpare, count + kSpare};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return Error(Code::kDenied, fmt::format("may not open {} descriptors", limit.rlim_cur));
  }
  std::vector<UniqueFd> connections;
  for (std::size_t i = 0; i < count; ++i) {
    Result<UniqueFd> connection = Connect(address, Clock::now() + kPatience, {});
    if (!connection.ok()) return std::move(connection).error();
    hello.reader_id = i + 1;
    if (Status status = Greet(connection.value().get(), hello); !status.ok()) {
      return Error(status.error()).Within(fmt::format("connection {}", i));
    }
    connections.push_back(std::move(connection).value());
  }
  fmt::print("ready\n");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return {};
}

}  // namespace
}  // namespace forebay

int main(int argc, char** argv) {
  using namespace forebay;
  if (argc != 5) {
    fmt::print(stderr, "usage: at the top of bench/idle_connections.cc\n");
    return 2;
  }
  const Result<Address> address = ParseAddress(argv[1]);
  Hello hello;
  hello.version_min = kProtocolVersionMin;
  hello.version_max = kProtocolVersion;
  hello.block_bytes = static_cast<std::uint32_t>(std::stoul(argv[3]));
  hello.endpoint = argv[4];
  const Status status =
      address.ok() ? Run(address.value(), std::stoul(argv[2]), hello) : Status(address.error());
  if (status.ok()) return 0;
  fmt::print(stderr, "idle_connections: {}\n", status.error().message());
  return 1;
}
