#include "config/settings.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

Settings Declared() {
  Settings settings;
  settings.Declare({"read-timeout", SettingKind::kDuration, "30s", "How long a read may take."});
  settings.Declare({"memory", SettingKind::kSize, "", "Quota."});
  settings.Declare({"high-fill", SettingKind::kRatio, "95%", "Eviction starts."});
  settings.Declare({"tasks", SettingKind::kCount, "1", "Tasks."});
  settings.Declare({"insecure", SettingKind::kSwitch, "false", "Listen beyond loopback."});
  settings.Declare({"endpoint", SettingKind::kText, "", "Of the store."});
  settings.Declare({"session-token", SettingKind::kSecret, "", "Of the store."});
  return settings;
}

std::string MessageOf(const Status& status) {
  return status.ok() ? "" : status.error().message();
}

TEST(Settings, DefaultsHaveTheirKind) {
  const Settings settings = Declared();
  EXPECT_EQ(settings.Duration("read-timeout"), 30s);
  EXPECT_EQ(settings.Ratio("high-fill"), 0.95);
  EXPECT_EQ(settings.Count("tasks"), 1u);
  EXPECT_FALSE(settings.Switch("insecure"));
  EXPECT_FALSE(settings.Has("memory"));
  EXPECT_TRUE(settings.Has("tasks"));
}

TEST(Settings, TheStrongerSourceWinsInWhateverOrderTheyAreLoaded) {
  Settings settings = Declared();
  ASSERT_TRUE(settings.Set("read-timeout", "4s").ok());
  ASSERT_TRUE(settings
                  .LoadEnvironment(
                      {{"FOREBAY_READ_TIMEOUT", "3s"}, {"FOREBAY_TASKS", "3"}, {"PATH", "/bin"}})
                  .ok());
  ASSERT_TRUE(settings.LoadFile("read-timeout: 2s\ntasks: 2\nmemory: 2GiB\n", "f.yaml").ok());
  EXPECT_EQ(settings.Duration("read-timeout"), 4s);
  EXPECT_EQ(settings.Count("tasks"), 3u);
  EXPECT_EQ(settings.Size("memory"), 2u << 30);
}

TEST(Settings, AnUnknownKeyNamesTheNearest) {
  Settings settings = Declared();
  EXPECT_EQ(MessageOf(settings.Set("read-timout", "1s")),
            "flag --read-timout: no such setting; the nearest is --read-timeout");
  EXPECT_EQ(MessageOf(settings.LoadFile("task: 1", "f.yaml")),
            "file f.yaml: `task`: no such setting; the nearest is tasks");
}

// As Kubernetes sets it for a Service called "forebay".
TEST(Settings, OtherVariablesWithOurPrefixAreLeftAlone) {
  Settings settings = Declared();
  EXPECT_TRUE(settings.LoadEnvironment({{"FOREBAY_PORT", "tcp://10.0.0.1:80"}}).ok());
}

TEST(Settings, AWrongValueNamesSourceValueAndRemedy) {
  Settings settings = Declared();
  EXPECT_EQ(MessageOf(settings.Set("memory", "lots")),
            "flag --memory: \"lots\": not a size; write 4GiB, 512M or 4096 (bytes)");
  EXPECT_EQ(MessageOf(settings.Set("tasks", "-1")),
            "flag --tasks: \"-1\": not a number; write one like 8");
  EXPECT_EQ(MessageOf(settings.LoadFile("insecure: maybe", "f.yaml")),
            "file f.yaml: insecure: \"maybe\": not a switch; write true or false");
}

TEST(Settings, FilesThatAreNotAMapOfScalarsAreRefused) {
  for (const char* yaml : {"- a\n", "just text", "tasks: [1, 2]", "tasks: {a: 1}",
                           "tasks:", "tasks: 1\ntasks: 2", "{: :", "[a]: 1", "tasks: *nowhere"}) {
    Settings settings = Declared();
    const Status loaded = settings.LoadFile(yaml, "f.yaml");
    ASSERT_FALSE(loaded.ok()) << yaml;
    EXPECT_EQ(loaded.error().code(), Code::kInvalidArgument) << yaml;
  }
  Settings settings = Declared();
  EXPECT_FALSE(settings.LoadFile(std::string((1u << 20) + 1, ' '), "f.yaml").ok());
  EXPECT_TRUE(settings.LoadFile("", "f.yaml").ok());
}

TEST(Settings, PrintSaysWhereEachValueCameFrom) {
  Settings settings = Declared();
  ASSERT_TRUE(settings.LoadFile("tasks: 2", "/etc/f.yaml").ok());
  ASSERT_TRUE(settings.Set("endpoint", "http://me:hunter2@10.0.0.1:80/x@y").ok());
  ASSERT_TRUE(settings.LoadEnvironment({{"FOREBAY_SESSION_TOKEN", "hunter2"}}).ok());
  const std::string text = settings.Print({});
  EXPECT_EQ(text,
            "read-timeout: 30s  # default\n"
            "memory: \"\"  # default\n"
            "high-fill: 95%  # default\n"
            "tasks: 2  # file /etc/f.yaml\n"
            "insecure: false  # default\n"
            "endpoint: \"http://10.0.0.1:80/x@y\"  # flag --endpoint\n"
            "# session-token: ***  # environment FOREBAY_SESSION_TOKEN\n");
  EXPECT_EQ(settings.Print({"tasks"}), "tasks: 2  # file /etc/f.yaml\n");
  Settings again = Declared();
  EXPECT_TRUE(again.LoadFile(text, "printed").ok());
  EXPECT_EQ(again.Text("endpoint"), "http://10.0.0.1:80/x@y");
}

TEST(Settings, SecretsAreRefusedAsFlagsAndNeverEchoed) {
  Settings settings = Declared();
  const std::string message = MessageOf(settings.Set("session-token", "hunter2"));
  EXPECT_EQ(message,
            "flag --session-token: every user of the machine can read flags; set "
            "FOREBAY_SESSION_TOKEN");
  EXPECT_FALSE(settings.Has("session-token"));
  ASSERT_TRUE(settings.LoadEnvironment({{"FOREBAY_SESSION_TOKEN", "hunter2"}}).ok());
  EXPECT_EQ(settings.SecretValue("session-token").Reveal(), "hunter2");
}

TEST(SettingsDeathTest, WrongUseStopsTheProcess) {
  Settings settings = Declared();
  EXPECT_DEATH(settings.Declare({"tasks", SettingKind::kCount, "1", ""}), "broken invariant");
  EXPECT_DEATH(settings.Declare({"my-password", SettingKind::kText, "", ""}), "broken invariant");
  EXPECT_DEATH(settings.Declare({"n", SettingKind::kCount, "x", ""}), "broken invariant");
  EXPECT_DEATH(static_cast<void>(settings.Text("tasks")), "broken invariant");
  EXPECT_DEATH(static_cast<void>(settings.Size("memory")), "broken invariant");
}

}  // namespace
}  // namespace forebay
