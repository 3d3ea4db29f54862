#include "spec/mount_url.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace forebay {
namespace {

std::string Refusal(const std::string& url) {
  const Result<MountUrl> checked = CheckedUrl(url);
  return checked.ok() ? "" : checked.error().message();
}

TEST(MountUrl, KnowsTheStores) {
  for (const char* url : {"s3://bucket", "s3://bucket/a b/%41", "file:///", "local:///data"}) {
    const Result<MountUrl> checked = CheckedUrl(url);
    ASSERT_TRUE(checked.ok()) << url;
    EXPECT_TRUE(checked.value().supported) << url;
  }
  for (const char* url : {"oss://b/", "juicefs:///", "https://host/x", "pvc://claim/sub",
                          "dataset://ns/name/sub", "hdfs://host:9000/x", "nfs://host:/x"}) {
    const Result<MountUrl> checked = CheckedUrl(url);
    ASSERT_TRUE(checked.ok()) << url;
    EXPECT_FALSE(checked.value().supported) << url;
    EXPECT_FALSE(checked.value().remedy.empty()) << url;
  }
  EXPECT_EQ(CheckedUrl("dataset://ns/name/sub").value().dataset, "ns/name");
}

TEST(MountUrl, SaysWhatWouldDo) {
  EXPECT_EQ(Refusal("s3:/b"), "\"s3:/b\": not a URL; write s3://BUCKET/PREFIX");
  EXPECT_EQ(Refusal("/data"), "\"/data\": not a URL; write file:///data");
  EXPECT_EQ(Refusal("b/x"), "\"b/x\": not a URL; write s3://BUCKET/PREFIX or file:///DIR");
  EXPECT_EQ(Refusal("ftp://x/y"),
            "\"ftp://x/y\": \"ftp\" is not a store that is known; write s3://BUCKET/PREFIX or "
            "file:///DIR");
  EXPECT_EQ(Refusal("file://host/x"),
            "\"file://host/x\": \"host\" is not part of a path; write "
            "file:///DIR");
  EXPECT_EQ(Refusal("file://"), "\"file://\": no directory; write file:///DIR");
  EXPECT_EQ(Refusal("s3:///x"),
            "\"s3:///x\": nothing between the slashes; write s3://BUCKET/PREFIX");
  EXPECT_EQ(Refusal("s3://b$/x"),
            "\"s3://b$/x\": no bucket has such a name; write "
            "s3://BUCKET/PREFIX");
  EXPECT_EQ(Refusal("dataset://ns"),
            "\"dataset://ns\": not the name of a dataset; write "
            "dataset://NAMESPACE/NAME");
  EXPECT_NE(Refusal("file:///a\nb").find("control characters"), std::string::npos);
}

TEST(MountUrl, DoesNotRepeatPasswords) {
  for (const char* url : {"s3://key:hunter2@b/x", "key:hunter2@host/x", "file://u:hunter2@h/x"}) {
    EXPECT_NE(Refusal(url), "");
    EXPECT_EQ(Refusal(url).find("hunter2"), std::string::npos) << Refusal(url);
  }
}

TEST(Path, IsNormalised) {
  EXPECT_EQ(NormalisedPath("/").value(), "/");
  EXPECT_EQ(NormalisedPath("/a/b/").value(), "/a/b");
  for (const char* path : {"", "a", "//", "/a//b", "/a/../b", "/.", "/a/..", "/a\tb"}) {
    const Result<std::string> normalised = NormalisedPath(path);
    ASSERT_FALSE(normalised.ok()) << path;
    EXPECT_NE(normalised.error().message().find("write an absolute path like /prices"),
              std::string::npos);
  }
  EXPECT_FALSE(NormalisedPath("/" + std::string(5000, 'a')).ok());
}

TEST(Name, IsADnsLabel) {
  EXPECT_TRUE(IsName("a"));
  EXPECT_TRUE(IsName("metabit-juice-research"));
  EXPECT_TRUE(IsName(std::string(63, 'a')));
  for (const char* name : {"", "1a", "-a", "a-", "A", "a.b", "a_b", "é"}) {
    EXPECT_FALSE(IsName(name)) << name;
  }
  EXPECT_FALSE(IsName(std::string(64, 'a')));
}

TEST(Shortened, KeepsCharactersWhole) {
  EXPECT_EQ(Shortened("short"), "short");
  const std::string most(159, 'a');
  EXPECT_EQ(Shortened(fmt::format("{}é and more", most)), most);
}

}  // namespace
}  // namespace forebay
