#include "base/digest.h"

#include <gtest/gtest.h>

#include <string>

#include "base/task_group.h"

namespace forebay {
namespace {

template <std::size_t N>
std::string HexOf(const std::array<std::uint8_t, N>& bytes) {
  return Hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

// Source: FIPS 180-4 examples.
TEST(Digest, Sha256Vectors) {
  EXPECT_EQ(HexOf(Sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HexOf(Sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, ThreadsAndCallsDoNotMeet) {
  const std::string abc = HexOf(Sha256("abc"));
  const std::string million = HexOf(Sha256(std::string(1'000'000, 'a')));
  // Source: FIPS 180-4 examples.
  EXPECT_EQ(million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  TaskGroup threads;
  for (int i = 0; i < 4; ++i) {
    threads.Run("digest", [&](const std::stop_token&) {
      for (size_t round = 1; round <= 100; ++round) {
        EXPECT_EQ(HexOf(Sha256("abc")), abc);
        EXPECT_EQ(HexOf(Sha256(std::string(1'000'000 / round, 'b'))).size(), abc.size());
      }
    });
  }
}

// Source: RFC 4231, test cases 1 and 2.
TEST(Digest, HmacSha256Vectors) {
  EXPECT_EQ(HexOf(HmacSha256(std::string(20, '\x0b'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(HexOf(HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

// Pinned: block keys, and with them placement, rest on these.
TEST(Digest, Digest128IsTheFrontOfSha256) {
  const Digest128 digest = DigestOf("abc");
  EXPECT_EQ(digest.Hex(), "ba7816bf8f01cfea414140de5dae2223");
  EXPECT_EQ(digest.Low64(), 0xeacf018fbf1678bau);
  EXPECT_LT(DigestOf("abc"), DigestOf(""));
}

TEST(Digest, HexIsLowerCaseAndKeepsEveryByte) {
  EXPECT_EQ(Hex(std::string_view("\x00\x7f\x80\xff", 4)), "007f80ff");
  EXPECT_EQ(Hex(""), "");
}

}  // namespace
}  // namespace forebay
