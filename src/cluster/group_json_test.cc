#include "cluster/group_json.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

DatasetUid SomeUid(std::uint8_t byte) {
  DatasetUid uid;
  uid.value.bytes.fill(byte);
  return uid;
}

GroupMap SomeMap() {
  GroupMap map;
  map.epoch = (std::uint64_t{1} << 63) + 5;
  map.ring = {(std::uint64_t{1} << 63) + 1, {{"w-0", 1}, {"w-1", 3}}};
  map.previous = MapRing{7, {{"w-0", 2}}};
  map.members = {{"w-0", "127.0.0.1:1", false}, {"w-1", "unix:/w", true}};
  return map;
}

DatasetEntry SomeDataset() {
  DatasetEntry dataset;
  dataset.uid = SomeUid(0xa1);
  dataset.name = "prices";
  dataset.name_space = "default";
  dataset.generation = 9;
  dataset.mounts = {{"/", "s3://b/p", {{"region", "eu"}}, {{"secret-access-key", Secret("x")}}}};
  dataset.staleness = std::chrono::milliseconds(1500);
  dataset.pinned = true;
  dataset.refreshed = 4;
  dataset.block_bytes = 1u << 20;
  dataset.replicas = 2;
  return dataset;
}

TEST(GroupJson, MapRoundTrip) {
  const Result<GroupMap> decoded = MapFromJson(ToJson(SomeMap()));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(decoded.value(), SomeMap());
  const Result<GroupMap> empty = MapFromJson(ToJson(GroupMap()));
  ASSERT_TRUE(empty.ok()) << empty.error().message();
  EXPECT_EQ(empty.value(), GroupMap());
}

// Pinned: control, workers and clients of different releases read each other's.
TEST(GroupJson, BytesAreTheSameForEver) {
  EXPECT_EQ(ToJson(SomeMap()),
            R"({"epoch":"9223372036854775813","members":[)"
            R"({"address":"127.0.0.1:1","masked":false,"name":"w-0"},)"
            R"({"address":"unix:/w","masked":true,"name":"w-1"}],)"
            R"("previous":{"epoch":"7","members":[{"name":"w-0","weight":2}]},)"
            R"("ring":{"epoch":"9223372036854775809","members":[{"name":"w-0","weight":1},)"
            R"({"name":"w-1","weight":3}]}})");
  EXPECT_EQ(ToJson(SomeDataset(), WithSecrets::kNo),
            R"({"blockBytes":1048576,"generation":9,"mounts":[{"options":{"region":"eu"},)"
            R"("path":"/","url":"s3://b/p"}],"name":"prices","namespace":"default","pinned":true,)"
            R"("refreshed":4,"replicas":2,"stalenessMs":1500,)"
            R"("uid":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"})");
}

TEST(GroupJson, DatasetRoundTripAndSecretsOnlyWhenTold) {
  const std::string text = ToJson(SomeDataset(), WithSecrets::kYes);
  const Result<DatasetEntry> decoded = DatasetFromJson(text);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(ToJson(decoded.value(), WithSecrets::kYes), text);
  EXPECT_EQ(decoded.value().mounts[0].secrets.at("secret-access-key").Reveal(), "x");
  const GroupAnswer answer{SomeMap(), SomeDataset()};
  EXPECT_EQ(ToJson(answer, WithSecrets::kNo).find("secrets"), std::string::npos);
  const GroupFile file{SomeMap(), {SomeDataset()}};
  EXPECT_EQ(ToJson(file).find("secrets"), std::string::npos);
  EXPECT_EQ(ToJson(GroupAnswerFromJson(ToJson(answer, WithSecrets::kNo)).value(), WithSecrets::kNo),
            ToJson(answer, WithSecrets::kNo));
  const Result<GroupAnswer> told = GroupAnswerFromJson(ToJson(answer, WithSecrets::kYes));
  EXPECT_EQ(told.value().dataset->mounts[0].secrets.at("secret-access-key").Reveal(), "x");
  EXPECT_EQ(ToJson(GroupFileFromJson(ToJson(file)).value()), ToJson(file));
}

TEST(GroupJson, HeartbeatAndAnswerRoundTrip) {
  Heartbeat beat;
  beat.name = "w-0";
  beat.instance = "00000000000000ff";
  beat.address = "127.0.0.1:7";
  beat.pid = 4242;
  beat.started_at = "2026-01-01T00:00:00Z";
  beat.known_epoch = 77;
  beat.map = SomeMap();
  beat.leaving = true;
  beat.datasets = {{SomeUid(1), 1, 2, 3, 4, 5, 6, 7, 8}};
  const Result<Heartbeat> decoded = HeartbeatFromJson(ToJson(beat));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(ToJson(decoded.value()), ToJson(beat));
  EXPECT_EQ(decoded.value().datasets, beat.datasets);

  HeartbeatAnswer answer;
  answer.map = SomeMap();
  answer.datasets_generation = 12;
  answer.datasets = {SomeDataset()};
  answer.deleted = {SomeUid(2)};
  answer.full = true;
  const std::string text = ToJson(answer, WithSecrets::kYes);
  const Result<HeartbeatAnswer> back = HeartbeatAnswerFromJson(text);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(ToJson(back.value(), WithSecrets::kYes), text);
}

TEST(GroupJson, UnknownFieldsAreIgnoredAndAbsentOnesHaveDefaults) {
  const Result<HeartbeatAnswer> answer = HeartbeatAnswerFromJson(R"({"news":{"a":[1]}})");
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_FALSE(answer.value().learning);
  EXPECT_FALSE(answer.value().map);
}

TEST(GroupJson, WhatIsWrongIsNamed) {
  const auto message = [](std::string_view text) {
    const Result<DatasetEntry> dataset = DatasetFromJson(text);
    return dataset.ok() ? "" : dataset.error().message();
  };
  const std::string uid = R"("uid":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1")";
  EXPECT_EQ(message("["), "dataset: not JSON");
  EXPECT_EQ(message("[]"), "dataset: not an object");
  EXPECT_EQ(message("{}"), "dataset.uid: not 32 hexadecimal digits");
  EXPECT_EQ(message("{" + uid + R"(,"blockBytes":70000})"),
            "dataset.blockBytes: not a power of two");
  EXPECT_EQ(message("{" + uid + R"(,"blockBytes":1})"),
            "dataset.blockBytes: 1 is not from 65536 to 67108864");
  EXPECT_EQ(message("{" + uid + R"(,"mounts":[{"secrets":{"k":1}}]})"),
            "dataset.mounts[0].secrets: a value is not a text of at most 4096 bytes");
  EXPECT_EQ(message(std::string(100'000, '[')), "dataset: nested too deeply");
  EXPECT_FALSE(MapFromJson(R"({"epoch":"12x"})").ok());
  EXPECT_FALSE(MapFromJson(R"({"epoch":"1","ring":{"epoch":"2"}})").ok());
  EXPECT_FALSE(GroupAnswerFromJson("{}").ok());
}

TEST(GroupJson, StoresOfDatasets) {
  EXPECT_EQ(DatasetStore(SomeUid(1)), "dataset:01010101010101010101010101010101");
  EXPECT_EQ(ParseDatasetStore(DatasetStore(SomeUid(1))), SomeUid(1));
  EXPECT_FALSE(ParseDatasetStore("s3://b"));
  EXPECT_FALSE(ParseDatasetStore("dataset:0101"));
  EXPECT_FALSE(ParseDatasetStore("dataset:+1010101010101010101010101010101"));
}

}  // namespace
}  // namespace forebay
