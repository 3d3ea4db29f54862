#include "client/client.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "base/temporary_directory.h"
#include "rpc/rpc_fixture.h"

namespace forebay {
namespace {

// Control of a group without workers, whose dataset is a directory of this machine.
class FakeControl : public GroupDirectory {
 public:
  explicit FakeControl(int& asked) : asked_(asked) {}

  Result<GroupAnswer> Ask(const DatasetRef& dataset, Deadline, std::stop_token) override {
    ++asked_;
    if (dataset.name != "binaries") return Error(Code::kNotFound, "no such dataset");
    GroupAnswer answer;
    DatasetEntry& entry = answer.dataset.emplace();
    entry.uid.value.bytes.fill(7);
    entry.name = dataset.name;
    entry.name_space = dataset.name_space;
    entry.mounts = {{"/", "file:///usr/bin", {}, {}}};
    return answer;
  }

 private:
  int& asked_;
};

struct ClientTest : testing::Test {
  ClientTest() {
    ClientOptions options;
    options.group = std::make_unique<FakeControl>(asked);
    client = Client::Create(std::move(options)).value();
  }

  static Deadline Soon() { return Clock::now() + std::chrono::seconds(20); }

  int asked = 0;
  std::unique_ptr<Client> client;
};

TEST_F(ClientTest, WhatWasResolvedIsNotAskedForByTheFirstRead) {
  ASSERT_TRUE(client->Resolve("forebay://binaries/bash", Soon(), {}).ok());
  EXPECT_EQ(asked, 1);
  const Result<Attributes> attributes = client->Stat("forebay://binaries/bash", Soon(), {});
  ASSERT_TRUE(attributes.ok()) << attributes.error().message();
  EXPECT_EQ(attributes.value().type, FileType::kFile);
  EXPECT_EQ(asked, 1);
}

// Before it is asked for anything.
TEST(Client, ConnectsAheadToAllWorkers) {
  const TemporaryDirectory directory;
  FakeService service;
  std::array<std::unique_ptr<Server>, 2> servers;
  ClientOptions options;
  for (std::unique_ptr<Server>& server : servers) {
    const std::string name = "w-" + std::to_string(options.members.members.size());
    const std::string address = "unix:" + directory.path() + "/" + name;
    server = Server::Start({.address = ParseAddress(address).value()}, service).value();
    options.members.members.push_back({.name = name, .address = address});
  }
  const std::unique_ptr<Client> client = Client::Create(std::move(options)).value();
  client->ConnectAhead();
  const Deadline patience = Clock::now() + 10s;
  for (const std::unique_ptr<Server>& server : servers) {
    while (server->connections() == 0 && !Passed(patience)) std::this_thread::yield();
    EXPECT_EQ(server->connections(), 1u);
  }
  client->ConnectAhead();  // They are there already.
  const Attributes attributes = client->Stat("s3://b/name", Clock::now() + 10s, {}).value();
  EXPECT_EQ(attributes.version, "v");
  for (const std::unique_ptr<Server>& server : servers) EXPECT_EQ(server->connections(), 1u);
}

TEST_F(ClientTest, ResolvingNamesWhatIsNotThere) {
  const Status missing = client->Resolve("forebay://others/bash", Soon(), {});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  const Status store = client->Resolve("s3://bucket/key", Soon(), {});
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace forebay
