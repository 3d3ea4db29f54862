#include "client/client.h"

#include <gtest/gtest.h>

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
