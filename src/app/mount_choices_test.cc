#include "app/mount_choices.h"

#include <gtest/gtest.h>

#include "app/flags.h"

namespace forebay {
namespace {

Context ContextOf(const std::string& what, std::vector<std::string> options = {},
                  const std::vector<std::pair<std::string, std::string>>& flags = {}) {
  Context context{.verb = "mount",
                  .arguments = {what, "/mnt"},
                  .settings = DeclareSettings({}),
                  .lists = {},
                  .environment = {}};
  if (!options.empty()) context.lists["options"] = std::move(options);
  for (const auto& [key, value] : flags) EXPECT_TRUE(context.settings.Set(key, value).ok());
  return context;
}

TEST(MountChoices, NamesAndUrlsAreDirectories) {
  for (const auto& [given, root] : std::vector<std::pair<std::string, std::string>>{
           {"prices", "forebay://prices.default/"},
           {"prices.team", "forebay://prices.team/"},
           {"forebay://prices/2024", "forebay://prices/2024/"},
           {"file:///data", "file:///data/"},
           {"s3://lake", "s3://lake/"},
           {"s3://lake/a/", "s3://lake/a/"}}) {
    const Result<MountChoices> choices = MountChoicesOf(ContextOf(given), {});
    ASSERT_TRUE(choices.ok()) << given;
    EXPECT_EQ(choices.value().root, root);
    EXPECT_EQ(choices.value().source, given);
  }
  const auto other = MountChoicesOf(ContextOf("prices", {}, {{"namespace", "team"}}), {});
  EXPECT_EQ(other.value().root, "forebay://prices.team/");
}

TEST(MountChoices, WhoMountsOwnsTheFiles) {
  const MountChoices own = MountChoicesOf(ContextOf("file:///d"), {7, 8}).value();
  EXPECT_EQ(own.uid, 7u);
  EXPECT_EQ(own.gid, 8u);
  EXPECT_EQ(own.file_mode, 0644u);
  EXPECT_EQ(own.directory_mode, 0755u);
  EXPECT_FALSE(own.allow_other);
  EXPECT_TRUE(MountChoicesOf(ContextOf("file:///d"), {0, 0}).value().allow_other);
}

TEST(MountChoices, TakesWhatMountTakes) {
  const MountChoices choices =
      MountChoicesOf(ContextOf("file:///d", {"ro,nofail,x-systemd.automount,uid=5", "allow_other"},
                               {{"gid", "6"}, {"file-mode", "0400"}}),
                     {7, 8})
          .value();
  EXPECT_EQ(choices.uid, 5u);
  EXPECT_EQ(choices.gid, 6u);
  EXPECT_EQ(choices.file_mode, 0400u);
  EXPECT_TRUE(choices.allow_other);
}

TEST(MountChoices, LinesOfFstabAreTaken) {
  const auto choices = [](const std::string& list) {
    return MountChoicesOf(ContextOf("file:///d", {list}), {});
  };
  for (const std::string list :
       {"defaults,ro,_netdev,noauto,nofail,x-systemd.automount,x-systemd.idle-timeout=60,X-a=b",
        "user,exec,nosuid,nodev,noatime,comment=of the team", "user=alice,users,owner,group",
        "auto,async,dev,suid,relatime,nouser"}) {
    EXPECT_TRUE(choices(list).ok()) << list;
  }
  EXPECT_FALSE(choices("ro").value().no_exec);
  EXPECT_TRUE(choices("noexec").value().no_exec);
  EXPECT_TRUE(choices("ro,user").value().no_exec);
  EXPECT_FALSE(choices("user,exec").value().no_exec);
  EXPECT_TRUE(choices("exec,users").value().no_exec);
  EXPECT_FALSE(choices("owner").value().no_exec);
  EXPECT_TRUE(choices("fake").value().only_check);
  EXPECT_FALSE(choices("bogus").ok());
  EXPECT_FALSE(choices("defaults=5").ok());
  EXPECT_FALSE(choices("remount").ok());
  EXPECT_TRUE(choices("bogus,sloppy").ok());
}

TEST(MountChoices, MetadataTtlIsAsMountS3HasIt) {
  using std::chrono::milliseconds;
  const auto ttl = [](const std::string& value) {
    return MountChoicesOf(ContextOf("file:///d", {}, {{"metadata-ttl", value}}), {});
  };
  EXPECT_EQ(ttl("30").value().metadata_ttl, milliseconds(30'000));
  EXPECT_EQ(ttl("0").value().metadata_ttl, milliseconds(0));
  EXPECT_EQ(ttl("2m").value().metadata_ttl, milliseconds(120'000));
  EXPECT_EQ(ttl("minimal").value().metadata_ttl, milliseconds(0));
  EXPECT_EQ(ttl("indefinite").value().metadata_ttl, milliseconds::max());
  EXPECT_FALSE(MountChoicesOf(ContextOf("file:///d"), {}).value().metadata_ttl.has_value());
  for (const std::string wrong : {"never", "-1", "1e3", "99999999999999999999"}) {
    ASSERT_FALSE(ttl(wrong).ok()) << wrong;
    EXPECT_NE(ttl(wrong).error().message().find("--metadata-ttl \"" + wrong + '"'),
              std::string::npos);
  }
}

TEST(MountChoices, SaysWhatIsWrong) {
  const auto message = [](const Context& context) {
    const Result<MountChoices> choices = MountChoicesOf(context, {});
    return choices.ok() ? std::string("taken") : choices.error().message();
  };
  EXPECT_NE(message(ContextOf("file:///d", {"rw"})).find("read-only"), std::string::npos);
  EXPECT_NE(message(ContextOf("file:///d", {"sync_read"})).find("\"sync_read\""),
            std::string::npos);
  EXPECT_NE(message(ContextOf("file:///d", {"uid=me"})).find("-o uid \"me\""), std::string::npos);
  EXPECT_NE(message(ContextOf("file:///d", {}, {{"dir-mode", "9"}})).find("--dir-mode \"9\""),
            std::string::npos);
  EXPECT_NE(message(ContextOf("Not_A_Name")).find("Not_A_Name"), std::string::npos);
  EXPECT_NE(message(ContextOf("ftp://x")).find("ftp://x"), std::string::npos);
}

}  // namespace
}  // namespace forebay
