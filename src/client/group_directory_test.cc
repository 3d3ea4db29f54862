#include "client/group_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "client/fake_pool.h"
#include "io/http_server.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

namespace fs = std::filesystem;

struct GroupDirectoryTest : testing::Test {
  GroupDirectoryTest() {
    std::string pattern = testing::TempDir() + "group-XXXXXX";
    directory = mkdtemp(pattern.data());
    entry.name = "prices";
    entry.name_space = "quant";
    entry.mounts.push_back({.path = "/", .url = "s3://b", .options = {}, .secrets = {}});
  }
  ~GroupDirectoryTest() override { fs::remove_all(directory); }

  std::string socket() const { return "unix:" + (directory / "control.sock").string(); }
  std::string file() const { return (directory / "group.json").string(); }
  void WriteFile() {
    GroupFile group;
    group.map = FakePool::FakeMap(7, {"w-0"});
    group.datasets.push_back(entry);
    std::ofstream(file()) << ToJson(group);
  }
  Result<GroupAnswer> Ask(const std::string& name) {
    return MakeControlDirectory({.control = socket(), .group_file = file()})
        .value()
        ->Ask({name, "quant"}, Clock::now() + 10s, {});
  }

  fs::path directory;
  DatasetEntry entry;
};

TEST_F(GroupDirectoryTest, ControlIsAsked) {
  std::string target;
  const auto server =
      HttpServer::Start(ParseAddress(socket()).value(), {}, [&](const HttpQuestion& question) {
        target = question.path + " " + question.query.at("dataset") + " " +
                 question.query.at("namespace");
        const GroupAnswer answer{.map = FakePool::FakeMap(9, {"w-0", "w-1"}), .dataset = entry};
        return HttpReply{.status = 200, .body = ToJson(answer, WithSecrets::kNo)};
      });
  ASSERT_TRUE(server.ok());
  const Result<GroupAnswer> answer = Ask("prices");
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_EQ(answer.value().map.epoch, 9u);
  EXPECT_EQ(answer.value().dataset->mounts[0].url, "s3://b");
  EXPECT_EQ(target, "/internal/v1/group prices quant");
}

TEST_F(GroupDirectoryTest, WhileControlIsAwayItsCopyIsRead) {
  WriteFile();
  const Result<GroupAnswer> answer = Ask("prices");
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_EQ(answer.value().map.epoch, 7u);
  EXPECT_EQ(answer.value().dataset->name, "prices");
  const Result<GroupAnswer> newer = Ask("trades");  // Workers may know it.
  ASSERT_TRUE(newer.ok()) << newer.error().message();
  EXPECT_EQ(newer.value().map.epoch, 7u);
  EXPECT_FALSE(newer.value().dataset.has_value());
}

TEST_F(GroupDirectoryTest, WithoutBothItSaysWhatToDo) {
  const Result<GroupAnswer> answer = Ask("prices");
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code(), Code::kUnavailable);
  EXPECT_NE(answer.error().message().find("`forebay up`"), std::string::npos);
  EXPECT_NE(answer.error().message().find("control.sock"), std::string::npos);
}

TEST_F(GroupDirectoryTest, ATornCopyIsNotBelieved) {
  std::ofstream(file()) << "{\"map\": {";
  EXPECT_EQ(Ask("prices").error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace forebay
