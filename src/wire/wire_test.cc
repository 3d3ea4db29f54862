#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "base/rng.h"
#include "wire/codec.h"
#include "wire/frame.h"
#include "wire/messages.h"

namespace forebay {
namespace {

std::string HexOf(std::span<const std::byte> bytes) {
  return Hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

FrameHeader SomeHeader() {
  FrameHeader header;
  header.type = FrameType::kBlockData;
  header.flags = kFlagLast;
  header.body_bytes = 16;
  header.payload_bytes = 65536;
  header.request_id = 7;
  header.epoch = 3;
  header.acked = 9;
  header.domain = DomainId{1};
  header.queue_depth = 12;
  header.deadline_ms = 30000;
  header.holders = 4;
  header.code = 0;
  return header;
}

// Pinned: these bytes are what another release sends and expects.
TEST(Frame, BytesAreTheSameForEver) {
  EXPECT_EQ(HexOf(EncodeFrameHeader(SomeHeader())),
            "464259310104100010000000000001000700000000000000030000000000000009000000000000000100"
            "0000000000000c0000003075000004000000"
            "56fa2a53");
}

TEST(Frame, DecodesWhatItEncodes) {
  const FrameHeaderBytes bytes = EncodeFrameHeader(SomeHeader());
  const Result<FrameHeader> decoded = DecodeFrameHeader(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(EncodeFrameHeader(decoded.value()), bytes);
  EXPECT_EQ(decoded.value().queue_depth, 12u);
}

TEST(Frame, EveryFlippedBitIsRefused) {
  const FrameHeaderBytes good = EncodeFrameHeader(SomeHeader());
  for (std::size_t bit = 0; bit < kFrameHeaderBytes * 8; ++bit) {
    FrameHeaderBytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_FALSE(DecodeFrameHeader(bad).ok()) << "bit " << bit;
  }
}

TEST(Frame, RefusesAnotherVersionAndSaysWhatToDo) {
  FrameHeader header = SomeHeader();
  header.version = 9;
  const Result<FrameHeader> decoded = DecodeFrameHeader(EncodeFrameHeader(header));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().message(),
            "protocol version 9: this build speaks 1 to 1; upgrade the older side");
}

TEST(Frame, RefusesLengthsOverTheLimit) {
  FrameHeader header = SomeHeader();
  header.body_bytes = kFrameBodyBytesMax + 1;
  EXPECT_FALSE(DecodeFrameHeader(EncodeFrameHeader(header)).ok());
  header = SomeHeader();
  header.payload_bytes = kFramePayloadBytesMax + 1;
  EXPECT_FALSE(DecodeFrameHeader(EncodeFrameHeader(header)).ok());
}

ReadBlock SomeRead() {
  return {"s3://bucket", "prices/a b\n.bin", "\"etag\"", 5'000'000, 1, 65536, 100, 4u << 20};
}

TEST(Messages, BytesAreTheSameForEver) {
  EXPECT_EQ(HexOf(Encode(BlockData{65536, {1, 0xdeadbeef}})),
            "000001000200000001000000efbeaddeff073134");
}

TEST(Messages, ReadBlockRoundTrip) {
  const Result<ReadBlock> decoded = DecodeReadBlock(Encode(SomeRead()));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(Encode(decoded.value()), Encode(SomeRead()));
  EXPECT_EQ(decoded.value().path, "prices/a b\n.bin");
}

TEST(Messages, LookupReplyRoundTrip) {
  LookupReply reply;
  reply.age = std::chrono::milliseconds(1500);
  reply.next = "b";
  reply.left_out = 2;
  reply.entries = {{"a", {1, 5, -3, "v"}}, {"dir", {2, 0, 0, ""}}};
  const Result<LookupReply> decoded = DecodeLookupReply(Encode(reply));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(decoded.value().age, reply.age);
  ASSERT_EQ(decoded.value().entries.size(), 2u);
  EXPECT_EQ(decoded.value().entries[0].attributes.mtime_ns, -3);
  EXPECT_EQ(Encode(decoded.value()), Encode(reply));
}

TEST(Messages, HelloAndLookupRoundTrip) {
  const Hello hello{1, 2, 77, 4u << 20, "http://127.0.0.1:1", "token"};
  const Result<Hello> decoded = DecodeHello(Encode(hello));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(Encode(decoded.value()), Encode(hello));
  const Lookup lookup{"file://", "a/", "x", std::chrono::milliseconds(60'000), 7};
  const Result<Lookup> question = DecodeLookup(Encode(lookup));
  ASSERT_TRUE(question.ok());
  EXPECT_EQ(Encode(question.value()), Encode(lookup));
}

Digest128 SomeDigest(std::uint8_t byte) {
  Digest128 digest;
  digest.bytes.fill(byte);
  return digest;
}

// Pinned, as the frames are: one question and one answer of each kind.
TEST(Messages, BytesOfTheGroupsQuestionsAreTheSameForEver) {
  EXPECT_EQ(HexOf(Encode(GroupQuestion{"ab", "n"})), "020000006162010000006ec829e20b");
  EXPECT_EQ(HexOf(Encode(Have{DatasetUid{SomeDigest(1)}, {{SomeDigest(2), SomeDigest(3), 9}}})),
            "01010101010101010101010101010101"
            "01000000"
            "02020202020202020202020202020202"
            "03030303030303030303030303030303"
            "09000000"
            "4b2bce3f");
  EXPECT_EQ(HexOf(Encode(HaveReply{{0xff, 1}})), "02000000ff01c97b2edd");
  EXPECT_EQ(HexOf(Encode(Drop{DatasetUid{SomeDigest(1)}, {SomeDigest(2)}})),
            "01010101010101010101010101010101"
            "01000000"
            "02020202020202020202020202020202"
            "dd5b2932");
  EXPECT_EQ(HexOf(Encode(DropReply{5})), "0500000000000000c04d09e4");
  EXPECT_EQ(HexOf(Encode(TextReply{"x"})), "01000000785b152286");
}

TEST(Messages, GroupsQuestionsRoundTrip) {
  const Have have{DatasetUid{SomeDigest(1)}, {{SomeDigest(2), SomeDigest(3), 9}, {{}, {}, 0}}};
  EXPECT_EQ(Encode(DecodeHave(Encode(have)).value()), Encode(have));
  EXPECT_EQ(DecodeHaveReply(Encode(HaveReply{{1, 2}})).value().bits,
            (std::vector<std::uint8_t>{1, 2}));
  const Drop drop{DatasetUid{SomeDigest(1)}, {SomeDigest(2), SomeDigest(3)}};
  EXPECT_EQ(Encode(DecodeDrop(Encode(drop)).value()), Encode(drop));
  EXPECT_EQ(DecodeDropReply(Encode(DropReply{5})).value().bytes, 5u);
  EXPECT_EQ(DecodeGroupQuestion(Encode(GroupQuestion{"a", "b"})).value().name_space, "b");
  EXPECT_EQ(DecodeTextReply(Encode(TextReply{"text"})).value().text, "text");
}

TEST(Messages, HaveIsBoundedByItsAnswer) {
  const std::uint32_t most = kHaveBitBytesMax * 8;
  EXPECT_TRUE(DecodeHave(Encode(Have{{}, {{{}, {}, most}}})).ok());
  EXPECT_FALSE(DecodeHave(Encode(Have{{}, {{{}, {}, most}, {{}, {}, 1}}})).ok());
}

TEST(Messages, APinnedBoundTravels) {
  const auto travelled = [](std::chrono::milliseconds age) {
    return DecodeLookup(Encode(Lookup{"s", "p", "", age, 0})).value().max_age;
  };
  EXPECT_EQ(travelled(std::chrono::milliseconds::max()), std::chrono::milliseconds::max());
  EXPECT_EQ(travelled(std::chrono::hours(24)), std::chrono::hours(24));
}

// An older sender does not know the fields that were appended.
TEST(Messages, AppendedFieldsMayBeMissing) {
  Encoder read;
  for (const char* text : {"s", "p", "v"}) read.Text(text);
  read.U64(9);
  for (const std::uint32_t number : {1u, 2u, 3u}) read.U32(number);
  const Result<ReadBlock> decoded = DecodeReadBlock(std::move(read).Finish());
  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(decoded.value().length, 3u);
  EXPECT_EQ(decoded.value().block_bytes, 0u);
  Encoder lookup;
  for (const char* text : {"s", "p", ""}) lookup.Text(text);
  lookup.U32(5);
  const Result<Lookup> question = DecodeLookup(std::move(lookup).Finish());
  ASSERT_TRUE(question.ok()) << question.error().message();
  EXPECT_EQ(question.value().refreshed, 0u);
}

// Property: a body that was cut, or in which any bit changed, is an error and nothing worse.
TEST(Messages, DamagedBodiesAreRefused) {
  const std::vector<std::byte> good = Encode(SomeRead());
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(DecodeReadBlock(std::span(good).first(length)).ok()) << "cut to " << length;
  }
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::vector<std::byte> bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_FALSE(DecodeReadBlock(bad).ok()) << "bit " << bit;
  }
}

// A hostile sender computes checksums too: counts and lengths that the body does not hold.
TEST(Messages, CountsAreNotBelieved) {
  Encoder encoder;
  encoder.U32(0);
  encoder.Text("");
  encoder.U64(0);
  encoder.U32(0xffffffff);
  EXPECT_FALSE(DecodeLookupReply(std::move(encoder).Finish()).ok());
  Encoder checksums;
  checksums.U32(0);
  checksums.U32(0xffffffff);
  EXPECT_FALSE(DecodeBlockData(std::move(checksums).Finish()).ok());
  for (const std::uint32_t count : {0xffffffffu, 2u}) {
    Encoder files;
    files.Bytes(SomeDigest(1).bytes);
    files.U32(count);
    EXPECT_FALSE(DecodeHave(std::move(files).Finish()).ok());
    Encoder paths;
    paths.Bytes(SomeDigest(1).bytes);
    paths.U32(count);
    EXPECT_FALSE(DecodeDrop(std::move(paths).Finish()).ok());
    Encoder bits;
    bits.U32(count);
    bits.U8(1);
    EXPECT_FALSE(DecodeHaveReply(std::move(bits).Finish()).ok());
  }
  Encoder text;
  text.U32(0xfffffff0);
  EXPECT_FALSE(DecodeWelcome(std::move(text).Finish()).ok());
}

TEST(Messages, ATooLongPathIsRefused) {
  ReadBlock read = SomeRead();
  read.path.assign(kPathBytesMax + 1, 'x');
  const Result<ReadBlock> decoded = DecodeReadBlock(Encode(read));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().message(), "path of 4097 bytes: at most 4096");
}

TEST(Messages, UnknownErrorCodesAreInternal) {
  EXPECT_EQ(DecodeError(999, EncodeErrorText("x")).code(), Code::kInternal);
  EXPECT_EQ(DecodeError(2, EncodeErrorText("gone")).code(), Code::kNotFound);
  EXPECT_EQ(DecodeError(2, EncodeErrorText("gone")).message(), "gone");
}

}  // namespace
}  // namespace forebay
