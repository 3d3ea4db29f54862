#include "client/datasets.h"

#include <gtest/gtest.h>

#include "client/fake_pool.h"
#include "cluster/group_json.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// Control, as told.
class FakeSource : public GroupDirectory {
 public:
  explicit FakeSource(Result<GroupAnswer>& answer, int& asked) : answer_(answer), asked_(asked) {}
  Result<GroupAnswer> Ask(const DatasetRef&, Deadline, std::stop_token) override {
    ++asked_;
    return answer_;
  }

 private:
  Result<GroupAnswer>& answer_;
  int& asked_;
};

DatasetEntry Entry(std::uint64_t generation) {
  DatasetEntry entry;
  entry.uid.value.bytes.fill(7);
  entry.name = "prices";
  entry.name_space = "default";
  entry.generation = generation;
  entry.mounts.push_back({.path = "/", .url = "s3://b", .options = {}, .secrets = {}});
  entry.block_bytes = kFakeBlockBytes;
  return entry;
}

// Every use asks again.
struct DatasetsTest : testing::Test {
  DatasetsTest()
      : answer(GroupAnswer{.map = FakePool::FakeMap(2, FakePool::Names(3)), .dataset = Entry(1)}),
        datasets(
            std::make_unique<FakeSource>(answer, asked), pool.backends.workers,
            [this](const DatasetEntry& entry) {
              made_of.push_back(entry);
              return Result<std::shared_ptr<Upstream>>(std::make_shared<UpstreamLink>(pool.store));
            },
            {.use_min = 0ms, .use_max = 0ms, .renew_timeout = 2s}) {}

  Result<StoreRef> Find() { return datasets.Find({"prices", "default"}, Clock::now() + 10s, {}); }
  // What workers know of the dataset.
  void TellWorkers(const DatasetEntry& entry) {
    const GroupAnswer told{.map = FakePool::FakeMap(2, FakePool::Names(3)), .dataset = entry};
    for (FakeWorker* worker : pool.workers) worker->SetGroup(ToJson(told, WithSecrets::kNo));
  }

  FakePool pool{0};
  int asked = 0;
  Result<GroupAnswer> answer;
  std::vector<DatasetEntry> made_of;
  Datasets datasets;
};

TEST_F(DatasetsTest, ControlSaysWhatItIsAndWhoServesIt) {
  const Result<StoreRef> store = Find();
  ASSERT_TRUE(store.ok()) << store.error().message();
  EXPECT_EQ(store.value()->url, "dataset:07070707070707070707070707070707");
  EXPECT_EQ(store.value()->rules.block_bytes, kFakeBlockBytes);
  EXPECT_EQ(pool.backends.workers.epoch(), 2u);
  EXPECT_EQ(pool.backends.workers.Living().size(), 3u);
}

TEST_F(DatasetsTest, AClientMayWantNamesYounger) {
  const auto rules = [&](bool pinned) {
    answer.value().dataset->pinned = pinned;
    Datasets strict(
        std::make_unique<FakeSource>(answer, asked), pool.backends.workers,
        [this](const DatasetEntry&) {
          return Result<std::shared_ptr<Upstream>>(std::make_shared<UpstreamLink>(pool.store));
        },
        {.staleness_max = 500ms});
    return strict.Find({"prices", "default"}, Clock::now() + 10s, {}).value()->rules;
  };
  EXPECT_GT(Find().value()->rules.staleness, 500ms);
  EXPECT_EQ(rules(false).staleness, 500ms);
  EXPECT_TRUE(rules(true).pinned());
}

TEST_F(DatasetsTest, AnUnknownOneIsNamedWithWhatListsThem) {
  answer = Error(Code::kNotFound, "");
  const Result<StoreRef> store = Find();
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code(), Code::kNotFound);
  EXPECT_NE(store.error().message().find("`forebay datasets`"), std::string::npos);
}

TEST_F(DatasetsTest, WhatControlDidNotWriteDownYetWorkersTell) {
  answer.value().dataset.reset();
  const Result<StoreRef> store = Find();
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code(), Code::kUnavailable);
  EXPECT_NE(store.error().message().find("`forebay up`"), std::string::npos);
  TellWorkers(Entry(1));
  EXPECT_TRUE(Find().ok());
}

TEST_F(DatasetsTest, WorkersAreAskedAgainAndControlIsSpared) {
  const StoreRef first = Find().value();
  TellWorkers(Entry(1));
  EXPECT_EQ(Find().value(), first);
  EXPECT_EQ(Find().value(), first);
  EXPECT_EQ(asked, 1);
}

TEST_F(DatasetsTest, AChangeIsTakenOver) {
  const StoreRef first = Find().value();
  DatasetEntry changed = Entry(2);
  changed.refreshed = 1;
  changed.pinned = true;
  TellWorkers(changed);
  answer = GroupAnswer{.map = {}, .dataset = changed};
  const StoreRef second = Find().value();
  EXPECT_EQ(second->rules.refreshed, 1u);
  EXPECT_TRUE(second->rules.pinned());
  EXPECT_EQ(first->rules.refreshed, 0u);         // Whoever has it open goes on.
  EXPECT_EQ(second->upstream, first->upstream);  // The mounts are the same.
}

TEST_F(DatasetsTest, RenewingTellsEveryChange) {
  const auto renew = [&] { return datasets.Renew({"prices", "default"}, Clock::now() + 10s, {}); };
  EXPECT_EQ(renew().value(), 1u);
  TellWorkers(Entry(1));
  EXPECT_EQ(renew().value(), 1u);
  EXPECT_EQ(asked, 1);  // Workers know.
  DatasetEntry changed = Entry(2);
  changed.refreshed = 1;
  TellWorkers(changed);
  answer = GroupAnswer{.map = {}, .dataset = changed};
  EXPECT_EQ(renew().value(), 2u);
  EXPECT_EQ(Find().value()->rules.refreshed, 1u);
  answer = Error(Code::kNotFound, "");
  TellWorkers(Entry(3));
  EXPECT_EQ(renew().error().code(), Code::kNotFound);
  EXPECT_EQ(Find().error().code(), Code::kNotFound);
}

TEST_F(DatasetsTest, AfterTheFirstUseControlMayBeAway) {
  const StoreRef first = Find().value();
  answer = Error(Code::kUnavailable, "dead");
  EXPECT_EQ(Find().value(), first);  // Nobody knows: what was known stays.
  DatasetEntry changed = Entry(3);
  changed.mounts[0].url = "s3://other";
  TellWorkers(changed);
  EXPECT_NE(Find().value(), first);  // Workers know.
  ASSERT_EQ(made_of.size(), 2u);
}

TEST_F(DatasetsTest, SecretsOfControlOutliveWhatWorkersSay) {
  answer.value().dataset->mounts[0].secrets["secret-access-key"] = Secret("hush");
  ASSERT_TRUE(Find().ok());
  DatasetEntry changed = Entry(2);  // Without secrets.
  changed.mounts[0].options["region"] = "eu";
  TellWorkers(changed);
  answer = Error(Code::kUnavailable, "dead");
  ASSERT_TRUE(Find().ok());
  ASSERT_EQ(made_of.size(), 2u);
  EXPECT_EQ(made_of[1].mounts[0].secrets.at("secret-access-key").Reveal(), "hush");
}

TEST_F(DatasetsTest, ADeletedOneIsGone) {
  ASSERT_TRUE(Find().ok());
  answer = Error(Code::kNotFound, "");
  EXPECT_EQ(Find().error().code(), Code::kNotFound);
}

TEST_F(DatasetsTest, WhoKnowsByHeartSeesEveryChangeAtOnce) {
  Datasets own(
      std::make_unique<FakeSource>(answer, asked), pool.backends.workers,
      [this](const DatasetEntry&) {
        return Result<std::shared_ptr<Upstream>>(std::make_shared<UpstreamLink>(pool.store));
      },
      {.directory_at_hand = true});
  const DatasetRef name{"prices", "default"};
  const StoreRef first = own.Find(name, Clock::now() + 10s, {}).value();
  EXPECT_EQ(own.Find(name, Clock::now() + 10s, {}).value(), first);
  answer.value().dataset->uid.value.bytes.fill(8);  // Deleted, and made again.
  EXPECT_NE(own.Find(name, Clock::now() + 10s, {}).value()->dataset, first->dataset);
  EXPECT_EQ(asked, 3);
}

TEST_F(DatasetsTest, WithoutControlAWorkerOfAnotherDatasetTells) {
  ASSERT_TRUE(Find().ok());
  answer = Error(Code::kUnavailable, "dead");
  DatasetEntry other = Entry(1);
  other.name = "trades";
  TellWorkers(other);
  EXPECT_TRUE(datasets.Find({"trades", "default"}, Clock::now() + 10s, {}).ok());
}

TEST_F(DatasetsTest, AnOlderAnswerChangesNothing) {
  answer.value().dataset->generation = 5;
  const StoreRef first = Find().value();
  answer.value().dataset = Entry(4);
  answer.value().dataset->pinned = true;
  EXPECT_EQ(Find().value(), first);
}

}  // namespace
}  // namespace forebay
