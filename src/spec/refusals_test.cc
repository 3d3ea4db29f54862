// What is refused, and in which words: each case is a whole document with one thing wrong.
#include <gtest/gtest.h>

#include "spec/document.h"

namespace forebay {
namespace {

std::string Refusal(const std::string& yaml) {
  const Result<ParsedDocuments> parsed = ParseDocuments(yaml, "f");
  if (parsed.ok()) return "";
  EXPECT_EQ(parsed.error().code(), Code::kInvalidArgument);
  return parsed.error().message();
}

std::string Object(const std::string& kind, const std::string& metadata, const std::string& spec) {
  return "apiVersion: data.fluid.io/v1alpha1\nkind: " + kind + "\nmetadata: " + metadata +
         "\nspec: " + spec + "\n---\n";
}
std::string OfDataset(const std::string& spec) {
  return Refusal(Object("Dataset", "{name: prices}", spec));
}
std::string OfMount(const std::string& mount) {
  return OfDataset("{mounts: [" + mount + "]}");
}
std::string OfLevel(const std::string& level) {
  return Refusal(
      Object("JuiceFSRuntime", "{name: prices}", "{tieredstore: {levels: [" + level + "]}}"));
}

const std::string kAt = "f: document 1 (Dataset prices): spec.";
const std::string kLevelAt = "f: document 1 (JuiceFSRuntime prices): spec.tieredstore.levels[0].";

TEST(Refusals, WhatIsNotADocument) {
  EXPECT_EQ(Refusal("").find("f: no document in it; write one of Dataset, AlluxioRuntime"), 0u);
  EXPECT_EQ(Refusal("- a\n"),
            "f: document 1: not a map; write apiVersion, kind, metadata and spec");
  EXPECT_EQ(Refusal("a: [").find("f: not YAML: line 1"), 0u);
  EXPECT_EQ(Refusal("a: 1\n").find("f: document 1: kind: missing; accepted are Dataset, "), 0u);
  EXPECT_EQ(Refusal("kind: Pod\n").find("f: document 1: kind \"Pod\": unknown; accepted are"), 0u);
  EXPECT_EQ(Refusal("kind: [x]\n").find("f: document 1: kind: write a single value"), 0u);
  EXPECT_EQ(Refusal("kind: DataLoad\n")
                .find("f: document 1: kind \"DataLoad\": not accepted by "
                      "this version; accepted now are Dataset,"),
            0u);
  EXPECT_EQ(Refusal("kind: Dataset\napiVersion: v1\n"),
            "f: document 1: apiVersion \"v1\": write data.fluid.io/v1alpha1");
  EXPECT_EQ(Refusal("kind: Dataset\n"),
            "f: document 1: apiVersion: missing; write data.fluid.io/v1alpha1");
}

TEST(Refusals, Names) {
  EXPECT_EQ(Refusal(Object("Dataset", "{}", "{}")),
            "f: document 1 (Dataset): metadata.name: missing; write a name like prices");
  EXPECT_EQ(Refusal(Object("Dataset", "{name: A_b}", "{}"))
                .find("f: document 1 (Dataset A_b): metadata.name \"A_b\": not a name; write at "
                      "most 63 of a-z"),
            0u);
  EXPECT_NE(Refusal(Object("Dataset", "{name: a, namespace: 7}", "{}"))
                .find("metadata.namespace \"7\": not a name"),
            std::string::npos);
  EXPECT_NE(Refusal(Object("Dataset", "{name: a}", "~")).find("spec: missing"), std::string::npos);
}

TEST(Refusals, WrongTypes) {
  EXPECT_EQ(OfDataset("[]"), "f: document 1 (Dataset prices): spec: a list; write a map");
  EXPECT_EQ(OfDataset("{mounts: {}}"), kAt + "mounts: a map; write a list");
  EXPECT_EQ(OfDataset("{mounts: x}"), kAt + "mounts \"x\": a single value; write a list");
  EXPECT_EQ(OfDataset("{mounts: [~]}"), kAt + "mounts[0]: empty; write a map");
  EXPECT_EQ(OfMount("{mountPoint: [x]}"),
            kAt + "mounts[0].mountPoint: a list; write a single value");
  EXPECT_EQ(OfMount("{mountPoint: 's3://b', readOnly: maybe}"),
            kAt + "mounts[0].readOnly \"maybe\": not a switch; write true or false");
  EXPECT_EQ(OfMount("{mountPoint: 's3://b', options: {region: [x]}}"),
            kAt + "mounts[0].options.region: a list; write a single value");
  EXPECT_EQ(OfMount("{mountPoint: 's3://b', options: [region]}"),
            kAt + "mounts[0].options: a list; write a map of NAME: VALUE");
  EXPECT_EQ(
      OfDataset("{accessModes: [Sometimes]}").find(kAt + "accessModes[0] \"Sometimes\": write"),
      0u);
  EXPECT_EQ(OfDataset("{placement: Alone}"),
            kAt + "placement \"Alone\": write Exclusive, Shared or nothing");
}

TEST(Refusals, WhatIsMissing) {
  EXPECT_EQ(OfDataset("{mounts: []}"),
            kAt + "mounts[0]: missing; write at least one {mountPoint: URL}");
  EXPECT_EQ(OfMount("{name: x}").find(kAt + "mounts[0].mountPoint: missing; write s3://"), 0u);
  EXPECT_EQ(OfDataset("{owner: {uid: 0, gid: 0, user: root}}"),
            kAt + "owner.group: missing; write all of uid, gid, user and group");
  EXPECT_EQ(OfMount("{mountPoint: 's3://b', encryptOptions: [{name: token}]}"),
            kAt +
                "mounts[0].encryptOptions[0].valueFrom.secretKeyRef: missing; write {name: "
                "SECRET, key: KEY}");
  EXPECT_EQ(OfDataset("{mounts: [{mountPoint: 's3://b', path: /a}, {mountPoint: 's3://c'}]}")
                .find(kAt + "mounts[1].path: missing; write where"),
            0u);
  EXPECT_EQ(OfLevel("{quota: 1Gi}"), kLevelAt + "mediumtype: missing; write MEM, SSD or HDD");
}

TEST(Refusals, Mounts) {
  EXPECT_EQ(OfMount("{mountPoint: 's3:/b'}"),
            kAt + "mounts[0].mountPoint \"s3:/b\": not a URL; write s3://BUCKET/PREFIX");
  EXPECT_EQ(
      OfMount("{mountPoint: 's3://b', path: a}"),
      kAt + "mounts[0].path \"a\": does not begin with /; write an absolute path like /prices");
  const auto two = [](const std::string& a, const std::string& b) {
    return OfDataset("{mounts: [{mountPoint: 's3://b', path: " + a +
                     "}, {mountPoint: 's3://c', path: " + b + "}]}");
  };
  EXPECT_EQ(two("/a", "/a/"), kAt +
                                  "mounts[1].path \"/a\": lies in spec.mounts[0], which is at /a; "
                                  "give each mount a place of its own");
  EXPECT_EQ(two("/a", "/a/b").find(kAt + "mounts[1].path \"/a/b\": lies in spec.mounts[0]"), 0u);
  EXPECT_EQ(two("/a/b", "/a").find(kAt + "mounts[0].path \"/a/b\": lies in spec.mounts[1]"), 0u);
  EXPECT_EQ(two("/", "/b").find(kAt + "mounts[1].path \"/b\": lies in spec.mounts[0]"), 0u);
  EXPECT_EQ(two("/a", "/ab"), "");
}

TEST(Refusals, Settings) {
  const auto annotated = [](const std::string& annotation) {
    return Refusal(
        Object("Dataset", "{name: prices, annotations: {forebay.io/" + annotation + "}}", "{}"));
  };
  EXPECT_NE(annotated("staleness: soon")
                .find("annotations.forebay.io/staleness \"soon\": not a "
                      "duration; write 250ms"),
            std::string::npos);
  for (const char* size : {"3MiB", "32KiB", "128MiB", "0", "64GiB"}) {
    EXPECT_NE(
        annotated(std::string("block-size: ") + size).find("a power of two from 64KiB to 64MiB"),
        std::string::npos)
        << size;
  }
  EXPECT_NE(annotated("block-size: big").find("not a size"), std::string::npos);
  EXPECT_NE(
      OfMount("{mountPoint: 's3://b', options: {anonymous: yes}}").find("write true or false"),
      std::string::npos);
}

TEST(Refusals, SecretsInClearAreNotRepeated) {
  for (const std::string option : {"secret-access-key", "aws.secretKey", "session-token", "token",
                                   "fs.oss.accessKeySecret", "password"}) {
    const std::string refusal =
        OfMount("{mountPoint: 's3://b', options: {" + option + ": hunter2}}");
    EXPECT_EQ(refusal.find(kAt + "mounts[0].options." + option + ": a secret in clear"), 0u)
        << option;
    EXPECT_EQ(refusal.find("hunter2"), std::string::npos);
  }
  EXPECT_NE(OfDataset("{sharedOptions: {metaurl: 'redis://:hunter2@h:6379/1'}}").find("in clear"),
            std::string::npos);
  EXPECT_NE(Refusal(Object("JindoRuntime", "{name: a}",
                           "{worker: {properties: {fs.oss.accessKeySecret: hunter2}}}"))
                .find("spec.worker.properties.fs.oss.accessKeySecret: a secret in clear"),
            std::string::npos);
  EXPECT_NE(OfMount("{mountPoint: 's3://b', encryptOptions: [{name: token, valueFrom: "
                    "{secretKeyRef: {name: s, key: k}}}, {name: session-token, valueFrom: "
                    "{secretKeyRef: {name: s, key: k}}}]}")
                .find("session-token is there twice"),
            std::string::npos);
  EXPECT_EQ(OfMount("{mountPoint: 's3://b', options: {token: ''}}"), "");
}

TEST(Refusals, Levels) {
  EXPECT_EQ(OfLevel("{mediumtype: RAM}"), kLevelAt + "mediumtype \"RAM\": write MEM, SSD or HDD");
  EXPECT_EQ(OfLevel("{mediumtype: MEM, quota: lots}"),
            kLevelAt + "quota \"lots\": not a size; write 40Gi, 500M or 4096 (bytes)");
  EXPECT_EQ(OfLevel("{mediumtype: MEM, quota: 0}"), kLevelAt + "quota \"0\": write more than 0");
  EXPECT_EQ(OfLevel("{mediumtype: MEM, quota: 2Ei}"),
            kLevelAt + "quota \"2305843009213693952\": write at most 1Pi");
  EXPECT_EQ(OfLevel("{mediumtype: MEM, low: 2}").find(kLevelAt + "low \"2\": not a ratio"), 0u);
  EXPECT_EQ(OfLevel("{mediumtype: MEM, high: 0.5, low: 0.6}"),
            kLevelAt + "low \"0.6\": above high, 0.5; write less");
  EXPECT_EQ(OfLevel("{mediumtype: MEM, path: shm}"),
            kLevelAt + "path \"shm\": not an absolute path; write one like /dev/shm");
  EXPECT_EQ(OfLevel("{mediumtype: MEM, path: '/a:/b', quotaList: '1Gi'}"),
            kLevelAt + "quotaList \"1 quotas\": there are 2 paths; write one quota a path");
  EXPECT_EQ(OfLevel("{mediumtype: MEM, volumeType: tape}"),
            kLevelAt + "volumeType \"tape\": write hostPath or emptyDir");
  EXPECT_NE(Refusal(Object("ThinRuntime", "{name: a}", "{replicas: five}"))
                .find("spec.replicas \"five\": not a whole number"),
            std::string::npos);
  EXPECT_NE(Refusal(Object("ThinRuntime", "{name: a}", "{replicas: 5000}")).find("at most 4096"),
            std::string::npos);
}

TEST(Refusals, WhatDocumentsAreToEachOther) {
  const std::string a = Object("Dataset", "{name: a}", "{}");
  const auto refers = [](const std::string& name, const std::string& to) {
    return Object("Dataset", "{name: " + name + "}",
                  "{mounts: [{mountPoint: 'dataset://default/" + to + "'}]}");
  };
  EXPECT_EQ(Refusal(a + a),
            "f: document 2 (Dataset a): metadata.name \"default/a\": f: document 1 "
            "(Dataset a) is a Dataset of that name too; keep one");
  EXPECT_EQ(Refusal(a + Object("Dataset", "{name: a, namespace: b}", "{}")), "");
  EXPECT_NE(
      Refusal(Object("ThinRuntime", "{name: a}", "{}") + Object("JindoRuntime", "{name: a}", "{}"))
          .find("is a runtime of that name too"),
      std::string::npos);
  EXPECT_EQ(Refusal(refers("a", "a/sub")),
            "f: document 1 (Dataset a): spec.mounts[0].mountPoint \"dataset://default/a/sub\": "
            "datasets mount each other: default/a -> default/a; name a store instead");
  EXPECT_NE(Refusal(refers("a", "b") + refers("b", "c") + refers("c", "a"))
                .find("default/a -> default/b -> default/c -> default/a"),
            std::string::npos);
  EXPECT_EQ(Refusal(refers("a", "c") + refers("b", "c") + refers("c", "elsewhere")), "");
}

TEST(Refusals, OneErrorRefusesAll) {
  const std::string good = Object("Dataset", "{name: a}", "{}");
  EXPECT_EQ(Refusal(good), "");
  EXPECT_NE(Refusal(good + "kind: Dataset\n"), "");
}

TEST(Refusals, TooManyUnknownFields) {
  std::string fields = "{";
  for (int i = 0; i < 1001; ++i) fields += "x" + std::to_string(i) + ": 1, ";
  EXPECT_NE(OfDataset(fields + "}").find("more than 1000 unknown fields"), std::string::npos);
}

TEST(Refusals, OfValidated) {
  DatasetSpec spec;
  spec.name = "prices";
  spec.mounts = {{.path = "/", .url = "s3://b", .secrets = {{"session-token", "hunter2"}}}};
  const auto refusal = [&spec] {
    const Result<DatasetSpec> valid = Validated(spec);
    return valid.ok() ? "" : valid.error().message();
  };
  EXPECT_EQ(refusal(),
            "spec.mounts[0].encryptOptions.session-token: not a reference; write file:PATH, "
            "env:NAME or secret:NAME/KEY");
  spec.mounts[0].secrets[0].source = "env:T";
  EXPECT_EQ(refusal(), "");
  spec.mounts[0].url = "file:///\xff";
  EXPECT_EQ(refusal(), "spec.mounts[0]: not UTF-8 text; write it in UTF-8");
  spec.mounts[0].url = "s3://b";
  spec.mounts[0].options = {{"colour", "red"}};
  EXPECT_EQ(refusal().find("spec.mounts[0].options: option \"colour\": unknown; known are"), 0u);
  spec.mounts[0].options = {{"aws.secretKey", "hunter2"}};
  EXPECT_EQ(refusal().find("spec.mounts[0].options.secret-access-key: a secret in clear"), 0u);
}

}  // namespace
}  // namespace forebay
