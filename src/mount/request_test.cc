#include "mount/request.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <cstring>

namespace forebay {
namespace {

template <typename T>
std::vector<std::byte> BytesOfStruct(const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> TextBytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> RequestBytes(std::uint32_t opcode, const std::vector<std::byte>& body,
                                    std::uint64_t node = 7) {
  fuse_in_header header{};
  header.len = static_cast<std::uint32_t>(sizeof(header) + body.size());
  header.opcode = opcode;
  header.unique = 42;
  header.nodeid = node;
  std::vector<std::byte> bytes = BytesOfStruct(header);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

template <typename T>
T CallOf(const std::vector<std::byte>& bytes) {
  const Result<Request> request = ParseRequest(bytes);
  EXPECT_TRUE(request.ok());
  EXPECT_EQ(request.value().unique, 42u);
  EXPECT_TRUE(std::holds_alternative<T>(request.value().call)) << request.value().call.index();
  return std::holds_alternative<T>(request.value().call) ? std::get<T>(request.value().call) : T{};
}

TEST(ParseRequest, Names) {
  const auto bytes = RequestBytes(FUSE_LOOKUP, TextBytes(std::string_view("a b\n\0", 5)));
  EXPECT_EQ(CallOf<LookupCall>(bytes).name, "a b\n");
  for (const std::string_view bad :
       {std::string_view(), std::string_view("\0", 1), std::string_view("abc", 3),
        std::string_view(".\0", 2), std::string_view("..\0", 3), std::string_view("a/b\0", 4)}) {
    CallOf<MalformedCall>(RequestBytes(FUSE_LOOKUP, TextBytes(bad)));
  }
}

TEST(ParseRequest, Reads) {
  fuse_read_in in{};
  in.fh = 1;
  in.offset = 2;
  in.size = 3;
  const auto read = CallOf<ReadCall>(RequestBytes(FUSE_READ, BytesOfStruct(in)));
  EXPECT_EQ(read.handle, 1u);
  EXPECT_EQ(read.offset, 2u);
  EXPECT_EQ(read.size, 3u);
  EXPECT_FALSE(read.is_direct);
  EXPECT_FALSE(CallOf<ReadDirectoryCall>(RequestBytes(FUSE_READDIR, BytesOfStruct(in))).plus);
  EXPECT_TRUE(CallOf<ReadDirectoryCall>(RequestBytes(FUSE_READDIRPLUS, BytesOfStruct(in))).plus);
  std::vector<std::byte> cut = BytesOfStruct(in);
  cut.pop_back();
  CallOf<MalformedCall>(RequestBytes(FUSE_READ, cut));
  in.flags = O_RDONLY | O_DIRECT;
  EXPECT_TRUE(CallOf<ReadCall>(RequestBytes(FUSE_READ, BytesOfStruct(in))).is_direct);
}

TEST(ParseRequest, Forgets) {
  const auto one = RequestBytes(FUSE_FORGET, BytesOfStruct(fuse_forget_in{5}), 9);
  ASSERT_EQ(CallOf<ForgetCall>(one).nodes.size(), 1u);
  EXPECT_EQ(CallOf<ForgetCall>(one).nodes[0].node, 9u);
  EXPECT_EQ(CallOf<ForgetCall>(one).nodes[0].lookups, 5u);
  EXPECT_FALSE(WantsAnswer(ParseRequest(one).value()));

  std::vector<std::byte> body = BytesOfStruct(fuse_batch_forget_in{2, 0});
  for (const fuse_forget_one node : {fuse_forget_one{3, 1}, fuse_forget_one{4, 2}}) {
    const auto bytes = BytesOfStruct(node);
    body.insert(body.end(), bytes.begin(), bytes.end());
  }
  const auto two = CallOf<ForgetCall>(RequestBytes(FUSE_BATCH_FORGET, body));
  ASSERT_EQ(two.nodes.size(), 2u);
  EXPECT_EQ(two.nodes[1].node, 4u);
  EXPECT_EQ(two.nodes[1].lookups, 2u);
  body.pop_back();  // Says two, has less: also if it says very many.
  CallOf<MalformedCall>(RequestBytes(FUSE_BATCH_FORGET, body));
  CallOf<MalformedCall>(
      RequestBytes(FUSE_BATCH_FORGET, BytesOfStruct(fuse_batch_forget_in{0xFFFFFFFF, 0})));
}

TEST(ParseRequest, InitOfOldAndNewKernels) {
  fuse_init_in in{};
  in.major = 7;
  in.minor = 44;
  in.flags = FUSE_ASYNC_READ | FUSE_INIT_EXT;
  in.flags2 = 2;
  EXPECT_EQ(CallOf<InitCall>(RequestBytes(FUSE_INIT, BytesOfStruct(in))).flags,
            (std::uint64_t{2} << 32) | FUSE_ASYNC_READ | FUSE_INIT_EXT);
  std::vector<std::byte> old = BytesOfStruct(in);
  old.resize(offsetof(fuse_init_in, flags2));
  EXPECT_EQ(CallOf<InitCall>(RequestBytes(FUSE_INIT, old)).flags, FUSE_ASYNC_READ | FUSE_INIT_EXT);
  old.pop_back();
  CallOf<MalformedCall>(RequestBytes(FUSE_INIT, old));
}

TEST(ParseRequest, WhateverChangesSomethingIsAChange) {
  for (const std::uint32_t opcode :
       {FUSE_SETATTR, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR, FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME,
        FUSE_RENAME2, FUSE_LINK, FUSE_WRITE, FUSE_SETXATTR, FUSE_REMOVEXATTR, FUSE_CREATE,
        FUSE_TMPFILE, FUSE_FALLOCATE, FUSE_COPY_FILE_RANGE}) {
    CallOf<ChangeCall>(RequestBytes(opcode, {}));
  }
  CallOf<UnknownCall>(RequestBytes(9999, {}));
}

TEST(ParseRequest, ALengthThatIsNotTheRequestsIsRefused) {
  std::vector<std::byte> bytes = RequestBytes(FUSE_GETATTR, {});
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(ParseRequest(bytes).ok());
  bytes.resize(sizeof(fuse_in_header) - 1);
  EXPECT_FALSE(ParseRequest(bytes).ok());
  EXPECT_FALSE(ParseRequest({}).ok());
}

}  // namespace
}  // namespace forebay
