#include "cluster/members.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;

TEST(Members, AListIsEnough) {
  const Result<MembersFile> file = ParseMembers(
      "- {name: w-0, address: 127.0.0.1:7400}\n- {name: w-1, address: unix:/run/w1, weight: 3}\n");
  ASSERT_TRUE(file.ok()) << file.error().message();
  ASSERT_EQ(file.value().members.size(), 2u);
  EXPECT_EQ(file.value().members[0].name, "w-0");
  EXPECT_EQ(file.value().members[0].weight, 1u);
  EXPECT_EQ(file.value().members[1].address, "unix:/run/w1");
  EXPECT_EQ(file.value().members[1].weight, 3u);
  EXPECT_EQ(file.value().block_bytes, 4u << 20);
  EXPECT_EQ(file.value().staleness, 60'000ms);
}

TEST(Members, AMapSaysTheRest) {
  const Result<MembersFile> file = ParseMembers(
      "members: [{name: a, address: '[::1]:1'}]\nblockSize: 64KiB\nstaleness: 250ms\n"
      "options: {endpoint: 'http://h:1', path-style: true}\nallow: ['s3://b/p']\n");
  ASSERT_TRUE(file.ok()) << file.error().message();
  EXPECT_EQ(file.value().block_bytes, 64u << 10);
  EXPECT_EQ(file.value().staleness, 250ms);
  EXPECT_EQ(file.value().options.at("endpoint"), "http://h:1");
  EXPECT_EQ(file.value().options.at("path-style"), "true");
  EXPECT_EQ(file.value().allow, std::vector<std::string>{"s3://b/p"});
}

TEST(Members, NobodyIsALegalGroup) {
  for (const char* text : {"[]", "members: []", "members:", "blockSize: 1MiB"}) {
    const Result<MembersFile> file = ParseMembers(text);
    ASSERT_TRUE(file.ok()) << text << ": " << file.error().message();
    EXPECT_TRUE(file.value().members.empty()) << text;
  }
}

struct Refused {
  const char* yaml;
  const char* message;
};

class MembersRefused : public testing::TestWithParam<Refused> {};

TEST_P(MembersRefused, NamesTheFieldTheValueAndWhatWouldDo) {
  const Result<MembersFile> file = ParseMembers(GetParam().yaml);
  ASSERT_FALSE(file.ok()) << GetParam().yaml;
  EXPECT_EQ(file.error().code(), Code::kInvalidArgument);
  EXPECT_NE(file.error().message().find(GetParam().message), std::string::npos)
      << file.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    All, MembersRefused,
    testing::Values(
        Refused{"", "write a list"}, Refused{"hello", "write a list"},
        Refused{"[{name: a", "members file: "}, Refused{"- a", "members[0]: write {name"},
        Refused{"- {name: a}", "members[0].address: missing"},
        Refused{"- {address: 'h:1'}", "members[0].name: missing"},
        Refused{"- {name: 'a b', address: 'h:1'}", "members[0].name \"a b\": write 1 to 63"},
        Refused{"- {name: '', address: 'h:1'}", "members[0].name \"\""},
        Refused{"- {name: [a], address: 'h:1'}", "members[0].name: write a single value"},
        Refused{"- {name: a, address: nowhere}", "members[0].address: "},
        Refused{"- {name: a, address: 'h:1', weight: 0}", "weight \"0\": write a whole number"},
        Refused{"- {name: a, address: 'h:1', weight: 1001}", "weight \"1001\""},
        Refused{"- {name: a, address: 'h:1', weight: 1.5}", "weight \"1.5\""},
        Refused{"- {name: a, address: 'h:1', port: 1}", "key \"port\": unknown; known are name"},
        Refused{"- {name: a, address: 'h:1'}\n- {name: a, address: 'h:2'}",
                "members[1].name \"a\": repeats"},
        Refused{"- {name: a, address: 'h:1'}\n- {name: b, address: 'h:1'}",
                "members[1].address \"h:1\": repeats"},
        Refused{"members: 3", "members: write a list"},
        Refused{"blocksize: 4MiB", "key \"blocksize\": unknown"},
        Refused{"members: []\nmembers: []", "key \"members\": repeats"},
        Refused{"blockSize: 3MiB", "blockSize \"3MiB\": write a power of two"},
        Refused{"blockSize: 32KiB", "blockSize \"32KiB\""},
        Refused{"blockSize: 128MiB", "blockSize \"128MiB\""},
        Refused{"blockSize: many", "blockSize: "}, Refused{"staleness: soon", "staleness: "},
        Refused{"options: [a]", "options: write a map"},
        Refused{"options: {region: [a]}", "options.region: write a single value"},
        Refused{"options: {secret-access-key: hush}", "options.secret-access-key: a secret"},
        Refused{"options: {session-token: hush}", "options.session-token: a secret"},
        Refused{"allow: s3://b", "allow: write a list"},
        Refused{"allow: [b]", "allow[0] \"b\": write a URL prefix"}));

TEST(Members, ASecretIsNotRepeatedInTheMessage) {
  const Result<MembersFile> file = ParseMembers("options: {secret-access-key: hush}");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().message().find("hush"), std::string::npos);
}

TEST(Members, AMissingFileIsNamed) {
  const Result<MembersFile> file = ReadMembersFile("/nonexistent/members.yaml");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code(), Code::kNotFound);
  EXPECT_NE(file.error().message().find("/nonexistent/members.yaml"), std::string::npos);
}

}  // namespace
}  // namespace forebay
