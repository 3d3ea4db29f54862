#include "app/option_list.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

using Words = std::vector<std::string>;
using Pairs = std::vector<std::pair<std::string, std::string>>;

Invocation Mount(Words words) {
  words.insert(words.begin(), "mount");
  words.insert(words.end(), {"prices", "/mnt"});
  return InvocationOf(words).value();
}

TEST(OptionList, CommasSeparate) {
  EXPECT_EQ(SplitOptions(""), Words());
  EXPECT_EQ(SplitOptions("ro,,uid=5,"), (Words{"ro", "uid=5"}));
  EXPECT_EQ(SplitOptions(R"(a\,b,c\\,d\e,f\)"), (Words{"a,b", R"(c\)", R"(d\e)", R"(f\)"}));
}

TEST(OptionList, EveryFlagMayStandInIt) {
  const Invocation invocation =
      Mount({"-o", "ro,region=eu,force-path-style,uid=5", "-o", "file_mode=0400,allow_other"});
  EXPECT_EQ(invocation.flags, (Pairs{{"region", "eu"},
                                     {"force-path-style", "true"},
                                     {"file-mode", "0400"},
                                     {"allow-other", "true"},
                                     {"options", "ro,uid=5"}}));
  EXPECT_EQ(invocation.lists.at("options"), (Words{"ro", "uid=5"}));
  for (const std::string_view key : invocation.verb->flags) {
    if (key == "options" || key == "foreground" || key == "print-config") continue;
    const bool is_switch = FlagOf(key).kind == SettingKind::kSwitch;
    const std::string option = std::string(key) + (is_switch ? "" : "=1");
    const Invocation one = Mount({"-o", option});
    if (key == "uid" || key == "gid") continue;
    EXPECT_TRUE(one.lists.at("options").empty()) << key;
    EXPECT_EQ(one.flags.at(0).first, key);
  }
}

TEST(OptionList, AFlagOnTheCommandLineWins) {
  const Invocation invocation = Mount({"--region", "here", "-o", "region=there"});
  EXPECT_EQ(invocation.flags, (Pairs{{"region", "there"}, {"region", "here"}}));
}

TEST(OptionList, WhatMayBeRepeatedIsJoined) {
  const Invocation invocation = Mount({"--option", "a=1", "-o", R"(option=b=2\,3,option=c=4)"});
  EXPECT_EQ(invocation.lists.at("option"), (Words{"a=1", "b=2,3", "c=4"}));
}

TEST(OptionList, AValueMayBeMissing) {
  const auto wrong = InvocationOf({"mount", "p", "/m", "-o", "ro,region"});
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().message(), "mount: -o \"region\": a value is missing; write region=NAME");
}

TEST(OptionList, WhatIsForTheCommandLineStaysAnOption) {
  EXPECT_EQ(Mount({"-o", "foreground,print-config"}).lists.at("options"),
            (Words{"foreground", "print-config"}));
}

}  // namespace
}  // namespace forebay
