#include "rpc/frame_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "io/unique_fd.h"

namespace forebay {
namespace {

std::byte ByteAt(std::size_t i) {
  return static_cast<std::byte>(i * 7 + i / 251);
}

// A frame as it goes over the wire, with body and payload of so many bytes.
std::vector<std::byte> Frame(std::uint64_t id, std::uint32_t body, std::uint32_t payload) {
  FrameHeader header;
  header.type = FrameType::kBlockData;
  header.request_id = id;
  header.body_bytes = body;
  header.payload_bytes = payload;
  const FrameHeaderBytes bytes = EncodeFrameHeader(header);
  std::vector<std::byte> frame(bytes.begin(), bytes.end());
  for (std::size_t i = 0; i < body; ++i) frame.push_back(ByteAt(i + 1));
  for (std::size_t i = 0; i < payload; ++i) frame.push_back(ByteAt(i));
  return frame;
}

// Notes what comes; payloads into spaces of at most `piece` bytes.
class Notes : public FrameSink {
 public:
  struct One {
    std::uint64_t id = 0;
    std::size_t body_bytes = 0;
    std::vector<std::byte> payload;
    bool ended = false;
  };

  Status Head(const FrameHeader& header, std::span<const std::byte> body) override {
    for (std::size_t i = 0; i < body.size(); ++i) EXPECT_EQ(body[i], ByteAt(i + 1));
    frames.push_back({header.request_id, body.size(), {}, false});
    return refuse ? Status(Error(Code::kInvalidArgument, "refused")) : Status();
  }
  std::span<std::byte> Space(std::uint32_t left) override {
    if (drop) return {};
    space_.resize(std::min<std::size_t>(left, piece));
    return space_;
  }
  void Filled(std::size_t bytes) override {
    std::vector<std::byte>& payload = frames.back().payload;
    payload.insert(payload.end(), space_.begin(),
                   space_.begin() + static_cast<std::ptrdiff_t>(bytes));
  }
  void End() override { frames.back().ended = true; }

  std::vector<One> frames;
  std::size_t piece = 1 << 20;
  bool drop = false;
  bool refuse = false;

 private:
  std::vector<std::byte> space_;
};

class FrameStreamTest : public testing::Test {
 protected:
  FrameStreamTest() {
    std::array<int, 2> fds{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    here_ = UniqueFd(fds[0]);
    there_ = UniqueFd(fds[1]);
  }

  void Send(std::span<const std::byte> bytes) {
    ASSERT_EQ(send(there_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  Status Receive() { return stream_.Receive(here_.get(), notes_); }

  static void ExpectWhole(const Notes::One& frame, std::size_t payload) {
    EXPECT_TRUE(frame.ended);
    ASSERT_EQ(frame.payload.size(), payload);
    for (std::size_t i = 0; i < payload; ++i) ASSERT_EQ(frame.payload[i], ByteAt(i)) << i;
  }

  UniqueFd here_;
  UniqueFd there_;
  FrameStream stream_;
  Notes notes_;
};

// Cut anywhere, whatever the size of the spaces: the same frames.
TEST_F(FrameStreamTest, FramesComeInAnyPieces) {
  const std::array<std::pair<std::uint32_t, std::uint32_t>, 6> sizes = {
      {{12, 70'000}, {0, 0}, {900, 0}, {12, 1}, {0, 66'000}, {12, 300}}};
  std::vector<std::byte> sent;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::ranges::copy(Frame(i, sizes[i].first, sizes[i].second), std::back_inserter(sent));
  }
  for (const std::size_t cut : {1u, 63u, 64u, 65u, 500u, 4099u, 100'000u}) {
    notes_.frames.clear();
    notes_.piece = cut % 2 == 0 ? 1000 : 1 << 20;
    for (std::size_t begin = 0; begin < sent.size(); begin += cut) {
      Send(std::span(sent).subspan(begin, std::min(cut, sent.size() - begin)));
      ASSERT_TRUE(Receive().ok());
    }
    ASSERT_EQ(notes_.frames.size(), sizes.size()) << cut;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      EXPECT_EQ(notes_.frames[i].id, i);
      EXPECT_EQ(notes_.frames[i].body_bytes, sizes[i].first);
      ExpectWhole(notes_.frames[i], sizes[i].second);
    }
  }
}

TEST_F(FrameStreamTest, NothingThereIsNoError) {
  ASSERT_TRUE(Receive().ok());
  const std::vector<std::byte> frame = Frame(1, 12, 100);
  Send(std::span(frame).first(70));
  ASSERT_TRUE(Receive().ok());
  ASSERT_TRUE(Receive().ok());
  EXPECT_TRUE(notes_.frames.empty());
}

TEST_F(FrameStreamTest, WhatNobodyWantsIsDroppedAndTheNextFrameFound) {
  notes_.drop = true;
  Send(Frame(1, 12, 150'000));
  ASSERT_TRUE(Receive().ok());
  notes_.drop = false;
  Send(Frame(2, 12, 10));
  ASSERT_TRUE(Receive().ok());
  ASSERT_EQ(notes_.frames.size(), 2u);
  EXPECT_TRUE(notes_.frames[0].ended);
  EXPECT_TRUE(notes_.frames[0].payload.empty());
  ExpectWhole(notes_.frames[1], 10);
}

// In the middle of a frame, too: a call was cancelled.
TEST_F(FrameStreamTest, ThePayloadCanBeDroppedFromAnyByteOn) {
  const std::vector<std::byte> frame = Frame(1, 12, 1000);
  Send(std::span(frame).first(500));
  ASSERT_TRUE(Receive().ok());
  notes_.drop = true;
  Send(std::span(frame).subspan(500));
  ASSERT_TRUE(Receive().ok());
  ASSERT_EQ(notes_.frames.size(), 1u);
  EXPECT_TRUE(notes_.frames[0].ended);
  EXPECT_EQ(notes_.frames[0].payload.size(), 500 - 12 - kFrameHeaderBytes);
}

TEST_F(FrameStreamTest, TheEndNonsenseAndRefusalsAreErrors) {
  notes_.refuse = true;
  Send(Frame(1, 0, 0));
  EXPECT_EQ(Receive().error().code(), Code::kInvalidArgument);
  stream_ = FrameStream();
  Send(std::vector<std::byte>(64, std::byte{0x47}));
  EXPECT_EQ(Receive().error().code(), Code::kInvalidArgument);
  stream_ = FrameStream();
  there_.Reset();
  EXPECT_EQ(Receive().error().code(), Code::kUnavailable);
}

// No more than its share at a time: others on the thread wait.
TEST_F(FrameStreamTest, ALongPayloadTakesSeveralTurns) {
  constexpr std::uint32_t kPayload = 3 << 20;
  const int bytes = 4 << 20;
  ASSERT_EQ(setsockopt(there_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes), 0);
  const std::vector<std::byte> frame = Frame(1, 0, kPayload);
  ASSERT_EQ(fcntl(there_.get(), F_SETFL, O_NONBLOCK), 0);
  std::size_t sent = 0;
  std::size_t turns = 0;
  while (notes_.frames.empty() || !notes_.frames[0].ended) {
    const ssize_t more = send(there_.get(), frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (more > 0) sent += static_cast<std::size_t>(more);
    ASSERT_TRUE(Receive().ok());
    ASSERT_LT(++turns, 10'000u);
  }
  EXPECT_GE(turns, 2u);
  ExpectWhole(notes_.frames[0], kPayload);
}

}  // namespace
}  // namespace forebay
