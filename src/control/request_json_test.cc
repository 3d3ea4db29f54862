#include "control/request_json.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

void ExpectRefused(const Result<DatasetRequest>& request, const std::string& text) {
  ASSERT_FALSE(request.ok());
  EXPECT_EQ(request.error().code(), Code::kInvalidArgument);
  EXPECT_NE(request.error().message().find(text), std::string::npos) << request.error().message();
}

TEST(RequestJson, ADatasetWithAll) {
  const Result<DatasetRequest> request = ParseDatasetRequest(
      R"({"name":"p","namespace":"n","staleness":"pinned","blockSize":"1MiB","mounts":[
          {"path":"/a","url":"s3://b/p","options":{"region":"x"},"secrets":{"session-token":"t"}},
          {"url":"file:///d"}]})");
  ASSERT_TRUE(request.ok());
  const DatasetSpec& spec = request.value().spec;
  EXPECT_EQ(spec.namespace_name, "n");
  EXPECT_EQ(*spec.staleness, DatasetSpec::kPinned);
  EXPECT_EQ(spec.block_bytes, 1u << 20);
  ASSERT_EQ(spec.mounts.size(), 2u);
  EXPECT_EQ(spec.mounts[0].options.at("region"), "x");
  EXPECT_EQ(spec.mounts[1].path, "/");
  EXPECT_EQ(request.value().secrets->at("/a").at("session-token").Reveal(), "t");
}

TEST(RequestJson, WhatIsWrongIsNamed) {
  ExpectRefused(ParseDatasetRequest("["), "JSON");
  ExpectRefused(ParseDatasetRequest(R"({"name":"p"})"), "mounts");
  ExpectRefused(ParseDatasetRequest(R"({"name":1,"mounts":[{"url":"s3://b"}]})"), "name");
  ExpectRefused(ParseDatasetRequest(R"({"name":"p","staleness":"soon","mounts":[{}]})"),
                "staleness \"soon\"");
  ExpectRefused(ParseDatasetRequest(R"({"name":"p","blockSize":"1TiB","mounts":[{}]})"),
                "blockSize \"1TiB\"");
  ExpectRefused(ParseDatasetRequest(R"({"name":"p","mounts":[{"options":{"a":1}}]})"), "options.a");
}

TEST(RequestJson, AWaitNeedsSomethingToWaitFor) {
  EXPECT_FALSE(ParseWaitRequest({}).ok());
  EXPECT_FALSE(ParseWaitRequest({{"cached", "much"}}).ok());
  EXPECT_EQ(*ParseWaitRequest({{"cached", "95%"}}).value().cached, 0.95);
  EXPECT_EQ(ParseWaitRequest({{"workers", "3"}}).value().workers, 3u);
}

TEST(RequestJson, PathsOfEverythingAreNone) {
  EXPECT_TRUE(ParsePaths("").value().empty());
  EXPECT_TRUE(ParsePaths(R"({"paths":["/a","/"]})").value().empty());
  EXPECT_EQ(ParsePaths(R"({"path":"/a"})").value(), std::vector<std::string>{"/a"});
  EXPECT_FALSE(ParsePaths(R"({"paths":[1]})").ok());
}

TEST(RequestJson, ALoadHasBounds) {
  EXPECT_FALSE(ParseLoadRequest("{}").ok());
  EXPECT_FALSE(ParseLoadRequest(R"({"dataset":"p","replicas":0})").ok());
  EXPECT_FALSE(ParseLoadRequest(R"({"dataset":"p","throttle":-1})").ok());
  const Result<LoadTarget> target =
      ParseLoadRequest(R"({"dataset":"p","paths":["a"],"throttle":5,"replicas":2})");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target.value().dataset, (DatasetKey{"default", "p"}));
  EXPECT_EQ(target.value().bytes_per_second_max, 5u);
}

}  // namespace
}  // namespace forebay
