#include "spec/explain.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "spec/schema.h"

namespace forebay {
namespace {

using Level = Explanation::Level;

std::vector<Explanation> Explained(const std::string& kind, const std::string& spec) {
  const Result<ParsedDocuments> parsed =
      ParseDocuments("apiVersion: data.fluid.io/v1alpha1\nkind: " + kind +
                         "\nmetadata: {name: prices}\nspec: " + spec + "\n",
                     "f");
  EXPECT_TRUE(parsed.ok()) << parsed.error().message();
  return Explain(parsed.value());
}

Explanation RowAt(const std::vector<Explanation>& rows, const std::string& path) {
  const auto found = std::ranges::find(rows, path, &Explanation::path);
  EXPECT_NE(found, rows.end()) << path;
  return found == rows.end() ? Explanation() : *found;
}

TEST(Explain, TheArticlesQuotaIsMib) {
  const auto rows =
      Explained("JuiceFSRuntime",
                "{tieredstore: {levels: [{mediumtype: MEM, quota: 40960, low: '0.1'}]},"
                " worker: {options: {cache-size: 409600}}}");
  const Explanation quota = RowAt(rows, "spec.tieredstore.levels[0].quota");
  EXPECT_EQ(quota.value, "40960");
  EXPECT_EQ(quota.level, Level::kWarning);
  EXPECT_NE(quota.meaning.find("40 GiB"), std::string::npos);
  EXPECT_EQ(quota.remedy, "write 40960Mi, which means the same everywhere");
  const Explanation size = RowAt(rows, "spec.worker.options.cache-size");
  EXPECT_EQ(size.level, Level::kWarning);
  EXPECT_NE(size.meaning.find("400 GiB"), std::string::npos);
  EXPECT_EQ(RowAt(rows, "spec.tieredstore.levels[0].low").level, Level::kWarning);
  EXPECT_EQ(RowAt(Explained("JuiceFSRuntime",
                            "{tieredstore: {levels: [{mediumtype: MEM, quota: 40Gi}]}}"),
                  "spec.tieredstore.levels[0].quota")
                .level,
            Level::kOk);
}

TEST(Explain, WhatOneMachineCannotHonour) {
  const auto rows =
      Explained("Dataset",
                "{mounts: [{mountPoint: 'oss://b/', name: x}], nodeAffinity: {required: "
                "{nodeSelectorTerms: []}}, tolerations: []}");
  EXPECT_EQ(RowAt(rows, "spec.nodeAffinity.required").level, Level::kUnsupported);
  EXPECT_EQ(RowAt(rows, "spec.tolerations").level, Level::kUnsupported);
  const Explanation url = RowAt(rows, "spec.mounts[0].mountPoint");
  EXPECT_EQ(url.level, Level::kUnsupported);
  EXPECT_NE(url.meaning.find("SchemeNotSupported"), std::string::npos);
  EXPECT_NE(url.remedy.find("write s3://"), std::string::npos);
}

TEST(Explain, OptionsSayWhatTheyBecome) {
  const auto rows =
      Explained("Dataset",
                "{sharedOptions: {region: r}, mounts: [{mountPoint: 's3://b', options: "
                "{alluxio.underfs.s3.endpoint: 'h:1', cache-group: g, metaPolicy: ONCE}}]}");
  EXPECT_EQ(RowAt(rows, "spec.mounts[0].options.alluxio.underfs.s3.endpoint").meaning,
            "the store's option endpoint, in our words, taken as https://h:1");
  EXPECT_EQ(RowAt(rows, "spec.sharedOptions.region").level, Level::kOk);
  EXPECT_EQ(RowAt(rows, "spec.mounts[0].options.cache-group").level, Level::kWarning);
}

TEST(Explain, DefaultsAndUnknownFieldsHaveRows) {
  const auto rows = Explained("Dataset", "{mounts: [{mountPoint: 's3://b'}], mount: 7}");
  EXPECT_EQ(RowAt(rows, "metadata.namespace").value, "default");
  EXPECT_EQ(RowAt(rows, "spec.accessModes").value, "ReadOnlyMany");
  EXPECT_EQ(RowAt(rows, "metadata.annotations.forebay.io/staleness").value, "60s");
  EXPECT_EQ(RowAt(rows, "metadata.annotations.forebay.io/block-size").value, "4 MiB");
  const Explanation unknown = RowAt(rows, "spec.mount");
  EXPECT_EQ(unknown.level, Level::kWarning);
  EXPECT_EQ(unknown.value, "7");
  EXPECT_EQ(unknown.remedy, "the nearest is `mounts`");
}

// The fields of Fluid's own tables, one by one.
TEST(Schema, KnowsEveryFieldOfDataset) {
  const Kind* const dataset = FindKind("Dataset");
  for (const char* field : {"mounts[].mountPoint",
                            "mounts[].name",
                            "mounts[].path",
                            "mounts[].options",
                            "mounts[].readOnly",
                            "mounts[].shared",
                            "mounts[].encryptOptions[].valueFrom.secretKeyRef.key",
                            "owner.uid",
                            "owner.gid",
                            "owner.user",
                            "owner.group",
                            "nodeAffinity.required",
                            "tolerations",
                            "accessModes[]",
                            "runtimes[].name",
                            "runtimes[].namespace",
                            "runtimes[].category",
                            "runtimes[].type",
                            "runtimes[].masterReplicas",
                            "placement",
                            "dataRestoreLocation.path",
                            "dataRestoreLocation.nodeName",
                            "sharedOptions",
                            "sharedEncryptOptions[].valueFrom.secretKeyRef.name"}) {
    EXPECT_NE(FindField(*dataset, std::string("spec.") + field), nullptr) << field;
  }
}

TEST(Schema, KnowsEveryFieldOfJuiceFSRuntime) {
  const Kind* const runtime = FindKind("JuiceFSRuntime");
  for (const char* field : {"juicefsVersion",
                            "replicas",
                            "worker.replicas",
                            "worker.options",
                            "worker.resources",
                            "worker.env",
                            "worker.nodeSelector",
                            "worker.volumeMounts",
                            "worker.podMetadata",
                            "worker.networkMode",
                            "worker.ports",
                            "worker.enabled",
                            "fuse.image",
                            "fuse.imageTag",
                            "fuse.imagePullPolicy",
                            "fuse.options",
                            "fuse.resources",
                            "fuse.env",
                            "fuse.nodeSelector",
                            "fuse.volumeMounts",
                            "fuse.podMetadata",
                            "fuse.networkMode",
                            "fuse.cleanPolicy",
                            "tieredstore.levels[].mediumtype",
                            "tieredstore.levels[].volumeType",
                            "tieredstore.levels[].volumeSource",
                            "tieredstore.levels[].path",
                            "tieredstore.levels[].quota",
                            "tieredstore.levels[].quotaList",
                            "tieredstore.levels[].high",
                            "tieredstore.levels[].low",
                            "configs",
                            "volumes",
                            "volumeClaimTemplates",
                            "podMetadata",
                            "management.cleanCachePolicy",
                            "management.metadataSyncPolicy",
                            "master",
                            "jobWorker",
                            "initUsers",
                            "runAs",
                            "disablePrometheus"}) {
    EXPECT_NE(FindField(*runtime, std::string("spec.") + field), nullptr) << field;
  }
  EXPECT_EQ(FindField(*runtime, "spec.fuse.tieredstore"), nullptr);
}

}  // namespace
}  // namespace forebay
