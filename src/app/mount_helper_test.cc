#include "app/mount_helper.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

using Words = std::vector<std::string>;

Words WordsOf(const Words& arguments) {
  const Result<MountHelperCall> call = ParseMountHelper(arguments);
  return call.ok() ? call.value().words : Words{call.error().message()};
}

TEST(MountHelper, ItsNames) {
  EXPECT_TRUE(IsMountHelper("/sbin/mount.forebay"));
  EXPECT_TRUE(IsMountHelper("mount.forebay"));
  EXPECT_TRUE(IsMountHelper("/usr/sbin/mount.fuse.forebay"));
  EXPECT_FALSE(IsMountHelper("/usr/bin/forebay"));
  EXPECT_FALSE(IsMountHelper("/mount.forebay/forebay"));
  EXPECT_FALSE(IsMountHelper(""));
}

TEST(MountHelper, TakesWhatMountGivesIt) {
  EXPECT_EQ(WordsOf({"prices", "/mnt/p", "-o", "rw,region=eu"}),
            (Words{"mount", "--quiet", "--options=region=eu", "--", "prices", "/mnt/p"}));
  EXPECT_EQ(WordsOf({"-nv", "-oro", "-t", "forebay", "prices", "/m"}),
            (Words{"mount", "--options=ro", "--", "prices", "/m"}));
  EXPECT_EQ(WordsOf({"prices", "/m", "-sf", "-o", "rw"}),
            (Words{"mount", "--quiet", "--options=sloppy,fake", "--", "prices", "/m"}));
  EXPECT_EQ(WordsOf({"prices", "/m", "-o", R"(option=a=b\,c)"}),
            (Words{"mount", "--quiet", R"(--options=option=a=b\,c)", "--", "prices", "/m"}));
}

TEST(MountHelper, SaysWhatIsWrong) {
  EXPECT_NE(WordsOf({"prices"})[0].find("a directory"), std::string::npos);
  EXPECT_NE(WordsOf({"prices", "/m", "more"})[0].find("write mount.forebay SOURCE DIR"),
            std::string::npos);
  EXPECT_NE(WordsOf({"prices", "/m", "-x"})[0].find("-x: no such flag"), std::string::npos);
  EXPECT_NE(WordsOf({"prices", "/m", "-o"})[0].find("-o: a value"), std::string::npos);
}

TEST(MountHelper, TheEnvironmentIsAFile) {
  const auto call = ParseMountHelper({"p", "/m", "-o", "environment-file=/etc/keys,ro"});
  EXPECT_EQ(call.value().environment_file, "/etc/keys");
  EXPECT_EQ(call.value().words[2], "--options=ro");
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"A", "b c"}, {"Q", "in quotes"}, {"S", "'"}, {"E", "a=b"}, {"N", ""}};
  EXPECT_EQ(ParseEnvironment("# no\n;no\n\n  A=b c \nQ=\"in quotes\"\nS='\n=x\nword\nE=a=b\nN="),
            expected);
  EXPECT_FALSE(AddEnvironment({.words = {}, .environment_file = "/nowhere/keys"}).ok());
}

TEST(MountHelper, ExitCodesAreMounts) {
  EXPECT_EQ(MountHelperExitCode(0), 0);
  EXPECT_EQ(MountHelperExitCode(1), 32);
  EXPECT_EQ(MountHelperExitCode(2), 1);
  EXPECT_EQ(MountHelperExitCode(130), 8);
}

}  // namespace
}  // namespace forebay
