#include "app/cli.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

using Flags = std::vector<std::pair<std::string, std::string>>;

TEST(CommandLine, TakesBothWaysToWriteAFlag) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"cat", "s3://b/k", "--members", "m.yaml"}, {"cat", "--members=m.yaml", "s3://b/k"}}) {
    const Result<Invocation> parsed = InvocationOf(words);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed.value().verb->name, "cat");
    EXPECT_EQ(parsed.value().flags, (Flags{{"members", "m.yaml"}}));
    EXPECT_EQ(parsed.value().arguments, (std::vector<std::string>{"s3://b/k"}));
  }
}

TEST(CommandLine, SwitchesAndRepeats) {
  const Result<Invocation> parsed =
      InvocationOf({"ls", "-R", "--quiet=false", "--option", "a=1", "--option=b=[2]", "-ojson",
                    "--region", "x", "--region", "y", "file:///"});
  ASSERT_TRUE(parsed.ok());
  const std::map<std::string, std::string> flags(parsed.value().flags.begin(),
                                                 parsed.value().flags.end());
  EXPECT_EQ(flags.at("recursive"), "true");
  EXPECT_EQ(flags.at("quiet"), "false");
  EXPECT_EQ(flags.at("option"), "a=1,b=[2]");
  EXPECT_EQ(flags.at("output"), "json");
  EXPECT_EQ(flags.at("region"), "y");
}

TEST(CommandLine, ArgumentsAreTakenAsTheyAre) {
  const std::vector<std::string> names = {"[a,b]", "file:///x y\n", "s3://b/--quiet", "-",
                                          "",      "%41",           "\"q\""};
  std::vector<std::string> words = {"cat"};
  words.insert(words.end(), names.begin(), names.end());
  const Result<Invocation> parsed = InvocationOf(words);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().arguments, names);
  const Result<Invocation> marked = InvocationOf({"cp", "--", "file:///a", "-d"});
  ASSERT_TRUE(marked.ok());
  EXPECT_EQ(marked.value().arguments, (std::vector<std::string>{"file:///a", "-d"}));
}

TEST(CommandLine, WrongUsageSaysWhatWouldDo) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "no verb; `forebay --help` shows them"},
      {{"bake"}, "\"bake\": no such verb; `forebay --help` shows them"},
      {{"bench"}, "bench: what? write bench read URL... or bench fill URL..."},
      {{"cat"}, "cat: arguments are missing; write forebay cat URL..."},
      {{"cp", "file:///a"}, "cp: arguments are missing; write forebay cp URL... DIR"},
      {{"cat", "--membrs=x", "file:///a"},
       "cat: --membrs: no such flag; `forebay cat --help` shows them"},
      {{"worker", "x"}, "worker: \"x\": takes no arguments; leave it out"},
  };
  for (const auto& [words, message] : cases) {
    const Result<Invocation> parsed = InvocationOf(words);
    ASSERT_FALSE(parsed.ok()) << message;
    EXPECT_EQ(parsed.error().message(), message);
    EXPECT_EQ(parsed.error().code(), Code::kInvalidArgument);
  }
  EXPECT_FALSE(InvocationOf({"cat", "file:///a", "--members"}).ok());
}

TEST(CommandLine, EveryVerbHasHelpThatNamesItsFlags) {
  for (const Verb& verb : AllVerbs()) {
    std::vector<std::string> words = {std::string(verb.name), "--help"};
    if (const std::size_t space = verb.name.find(' '); space != std::string_view::npos) {
      words = {std::string(verb.name.substr(0, space)), std::string(verb.name.substr(space + 1)),
               "-h"};
    }
    const Result<Invocation> parsed = InvocationOf(words);
    ASSERT_TRUE(parsed.ok()) << verb.name;
    EXPECT_EQ(parsed.value().verb, nullptr);
    for (const std::string_view flag : verb.flags) {
      EXPECT_NE(parsed.value().text.find("--" + std::string(flag)), std::string::npos)
          << verb.name << " " << flag;
    }
  }
}

TEST(CommandLine, EveryFlagOfAVerbIsDeclared) {
  const Settings settings = DeclareSettings({{"HOME", "/home/x"}});
  for (const Verb& verb : AllVerbs()) {
    for (const std::string_view flag : verb.flags) EXPECT_EQ(FlagOf(flag).key, flag);
  }
  EXPECT_EQ(settings.Duration("read-timeout"), std::chrono::seconds(30));
}

}  // namespace
}  // namespace forebay
