#include "control/dataset_table.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "control/fake_registry.h"
#include "control/files.h"

namespace forebay {
namespace {

class DatasetTableTest : public testing::Test {
 protected:
  DatasetTableTest() {
    std::string name = testing::TempDir() + "dataset-table-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  ~DatasetTableTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<DatasetTable> Open() {
    Result<std::unique_ptr<DatasetTable>> table =
        DatasetTable::Open(registry_, directory_ + "/secrets", {{"TOKEN", "from-environment"}});
    EXPECT_TRUE(table.ok()) << (table.ok() ? "" : table.error().message());
    return std::move(table).value();
  }

  static DatasetSpec Spec(const std::string& name, const std::string& url = "s3://bucket/p") {
    DatasetSpec spec;
    spec.name = name;
    spec.mounts.push_back({});
    spec.mounts.back().url = url;
    return spec;
  }

  std::string directory_;
  FakeRegistry registry_;
};

const DatasetKey kPrices{"default", "prices"};

TEST_F(DatasetTableTest, SaysWhetherAnythingChanged) {
  const auto table = Open();
  EXPECT_EQ(table->Put(Spec("prices"), std::nullopt).value(), DatasetChange::kCreated);
  EXPECT_EQ(table->Put(Spec("prices"), std::nullopt).value(), DatasetChange::kUnchanged);
  DatasetSpec pinned = Spec("prices");
  pinned.staleness = DatasetSpec::kPinned;
  EXPECT_EQ(table->Put(pinned, std::nullopt).value(), DatasetChange::kConfigured);
}

TEST_F(DatasetTableTest, PutsAllOrNone) {
  const auto table = Open();
  ASSERT_TRUE(table->Put(Spec("prices"), std::nullopt).ok());
  const StoredObject runtime{"JuiceFSRuntime", "default", "prices", 0, "{}"};
  const std::vector<DatasetSpec> specs = {Spec("prices", "s3://other/p"), Spec("news")};
  registry_.fails = true;
  EXPECT_FALSE(table->PutAll(specs, {runtime}).ok());
  EXPECT_EQ(table->Find(kPrices)->spec.mounts[0].url, "s3://bucket/p");
  EXPECT_EQ(table->All().size(), 1u);
  registry_.fails = false;
  DatasetSpec wrong = Spec("wrong", "no URL");
  EXPECT_FALSE(table->PutAll({Spec("news"), wrong}, {}).ok());
  EXPECT_EQ(table->All().size(), 1u);

  const std::vector<DatasetChange> expected = {DatasetChange::kConfigured, DatasetChange::kCreated};
  const std::uint64_t before = table->Since(0).generation;
  EXPECT_EQ(table->PutAll(specs, {runtime}).value(), expected);
  EXPECT_EQ(table->Since(before).datasets.size(), 2u);
  EXPECT_EQ(table->Since(before).deleted.size(), 1u) << "what was prices is gone";
  EXPECT_TRUE(registry_.objects.contains({"JuiceFSRuntime", "default", "prices"}));
  EXPECT_EQ(table->PutAll(specs, {}).value(),
            (std::vector<DatasetChange>{DatasetChange::kUnchanged, DatasetChange::kUnchanged}));
  EXPECT_EQ(Open()->All().size(), 2u);
}

// Nobody may take what was known under one rule, or of one snapshot, for what is known now.
TEST_F(DatasetTableTest, PinningAndUnpinningCountAsRefreshes) {
  const auto table = Open();
  ASSERT_TRUE(table->Put(Spec("prices"), std::nullopt).ok());
  DatasetSpec pinned = Spec("prices");
  pinned.staleness = DatasetSpec::kPinned;
  ASSERT_TRUE(table->Put(pinned, std::nullopt).ok());
  const DatasetPointer dataset = table->Find(kPrices);
  EXPECT_EQ(dataset->refreshed, 1u);
  ASSERT_TRUE(table->RefreshFrom(dataset->uid, 1).ok());
  EXPECT_EQ(table->RefreshFrom(dataset->uid, 1).error().code(), Code::kUnavailable);
  ASSERT_TRUE(table->Put(Spec("prices"), std::nullopt).ok());
  EXPECT_EQ(table->Find(kPrices)->refreshed, 3u);
  ASSERT_TRUE(table->Delete(kPrices).ok());
  EXPECT_EQ(table->RefreshFrom(dataset->uid, 3).error().code(), Code::kNotFound);
}

TEST_F(DatasetTableTest, OtherBytesGetAnotherUidAndOthersKeepTheirs) {
  const auto table = Open();
  ASSERT_TRUE(table->Put(Spec("prices"), std::nullopt).ok());
  const DatasetUid first = table->Find(kPrices)->uid;
  DatasetSpec fresher = Spec("prices");
  fresher.staleness = std::chrono::milliseconds(5);
  ASSERT_TRUE(table->Put(fresher, std::nullopt).ok());
  EXPECT_EQ(table->Find(kPrices)->uid, first);
  ASSERT_TRUE(table->Put(Spec("prices", "s3://other/p"), std::nullopt).ok());
  EXPECT_NE(table->Find(kPrices)->uid, first);
  EXPECT_EQ(table->FindUid(first), nullptr);
  ASSERT_TRUE(table->Delete(kPrices).ok());
  ASSERT_TRUE(table->Put(Spec("prices", "s3://other/p"), std::nullopt).ok());
  EXPECT_NE(table->Find(kPrices)->uid, first);
}

TEST_F(DatasetTableTest, IsThereAgainAfterARestart) {
  DatasetUid uid;
  {
    const auto table = Open();
    const MountSecrets secrets = {{"/", {{"secret-access-key", Secret("s3cr3t")}}}};
    ASSERT_TRUE(table->Put(Spec("prices"), secrets).ok());
    ASSERT_TRUE(table->Refresh(kPrices).ok());
    ASSERT_TRUE(table->RaiseReplicas(kPrices, 3).ok());
    uid = table->Find(kPrices)->uid;
  }
  const auto table = Open();
  const DatasetPointer prices = table->Find(kPrices);
  ASSERT_NE(prices, nullptr);
  EXPECT_EQ(prices->uid, uid);
  EXPECT_EQ(prices->refreshed, 1u);
  EXPECT_EQ(prices->replicas, 3u);
  EXPECT_EQ(prices->secrets.at("/").at("secret-access-key").Reveal(), "s3cr3t");
  for (const auto& [key, object] : registry_.objects) {
    EXPECT_EQ(object.json.find("s3cr3t"), std::string::npos);
  }
}

TEST_F(DatasetTableTest, SecretsArePrivateAndGoWithTheDataset) {
  const auto table = Open();
  const MountSecrets secrets = {{"/", {{"secret-access-key", Secret("s3cr3t")}}}};
  ASSERT_TRUE(table->Put(Spec("prices"), secrets).ok());
  const std::string file = directory_ + "/secrets/prices.default.json";
  struct stat status = {};
  ASSERT_EQ(stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const DatasetPointer prices = table->Find(kPrices);
  EXPECT_TRUE(EntryOf(*prices, WithSecrets::kNo).mounts.front().secrets.empty());
  EXPECT_FALSE(EntryOf(*prices, WithSecrets::kYes).mounts.front().secrets.empty());
  ASSERT_TRUE(table->Delete(kPrices).ok());
  EXPECT_NE(access(file.c_str(), F_OK), 0);
}

TEST_F(DatasetTableTest, WhatCannotBeStoredDoesNotHappen) {
  const auto table = Open();
  ASSERT_TRUE(table->Put(Spec("prices"), std::nullopt).ok());
  registry_.fails = true;
  EXPECT_FALSE(table->Put(Spec("prices", "s3://other/p"), std::nullopt).ok());
  EXPECT_FALSE(table->Put(Spec("news"), std::nullopt).ok());
  EXPECT_FALSE(table->Delete(kPrices).ok());
  EXPECT_FALSE(table->Refresh(kPrices).ok());
  EXPECT_EQ(table->Find(kPrices)->spec.mounts.front().url, "s3://bucket/p");
  EXPECT_EQ(table->Find({"default", "news"}), nullptr);
}

TEST_F(DatasetTableTest, WorkersAreToldWhatChangedSince) {
  const auto table = Open();
  ASSERT_TRUE(table->Put(Spec("prices"), std::nullopt).ok());
  const std::uint64_t known = table->Since(0).generation;
  EXPECT_TRUE(table->Since(known).datasets.empty());
  ASSERT_TRUE(table->Put(Spec("news"), std::nullopt).ok());
  const DatasetUid gone = table->Find(kPrices)->uid;
  ASSERT_TRUE(table->Delete(kPrices).ok());
  const DatasetTable::Changes changes = table->Since(known);
  EXPECT_FALSE(changes.full);
  ASSERT_EQ(changes.datasets.size(), 1u);
  EXPECT_EQ(changes.datasets.front()->name.name, "news");
  EXPECT_EQ(changes.deleted, std::vector<DatasetUid>{gone});
}

TEST_F(DatasetTableTest, AfterARestartOldKnowledgeIsReplacedWhole) {
  std::uint64_t known = 0;
  {
    const auto table = Open();
    ASSERT_TRUE(table->Put(Spec("prices"), std::nullopt).ok());
    ASSERT_TRUE(table->Put(Spec("news"), std::nullopt).ok());
    known = table->Since(0).generation;
    ASSERT_TRUE(table->Delete(kPrices).ok());
  }
  const auto table = Open();
  const DatasetTable::Changes changes = table->Since(known);
  EXPECT_TRUE(changes.full);
  EXPECT_EQ(changes.datasets.size(), 1u);
  EXPECT_FALSE(table->Since(changes.generation).full);
}

TEST_F(DatasetTableTest, AReferenceIsResolvedOrSaysWhereToWriteIt) {
  const auto table = Open();
  DatasetSpec spec = Spec("prices");
  spec.mounts.front().secrets.push_back({"secret-access-key", "secret:s3/key"});
  ASSERT_TRUE(table->Put(spec, std::nullopt).ok());
  DatasetPointer prices = table->Find(kPrices);
  ASSERT_TRUE(prices->not_bound.has_value());
  EXPECT_EQ(prices->not_bound->reason, "SecretNotFound");
  const std::string file = directory_ + "/secrets/default/s3/key";
  EXPECT_NE(prices->not_bound->message.find(file), std::string::npos);
  ASSERT_TRUE(MakePrivateDirectory(directory_ + "/secrets/default/s3").ok());
  ASSERT_TRUE(ReplaceFile(file, "value\n").ok());
  EXPECT_EQ(table->Put(spec, std::nullopt).value(), DatasetChange::kConfigured);
  prices = table->Find(kPrices);
  EXPECT_FALSE(prices->not_bound.has_value());
  EXPECT_EQ(
      EntryOf(*prices, WithSecrets::kYes).mounts.front().secrets.at("secret-access-key").Reveal(),
      "value");
}

}  // namespace
}  // namespace forebay
