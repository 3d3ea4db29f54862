// What documents mean; what is refused is in refusals_test.cc.
#include "spec/document.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

using std::chrono::milliseconds;

ParsedDocuments Parsed(const std::string& yaml) {
  Result<ParsedDocuments> parsed = ParseDocuments(yaml, "f.yaml");
  EXPECT_TRUE(parsed.ok()) << parsed.error().message();
  return parsed.ok() ? std::move(parsed).value() : ParsedDocuments();
}

std::string DatasetYaml(const std::string& spec, const std::string& annotations = "{}") {
  return "apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\nmetadata: {name: prices, "
         "annotations: " +
         annotations + "}\nspec: " + spec + "\n";
}

DatasetSpec Dataset(const std::string& spec, const std::string& annotations = "{}") {
  return std::get<DatasetSpec>(Parsed(DatasetYaml(spec, annotations)).documents.at(0).spec);
}

RuntimeSpec Runtime(const std::string& kind, const std::string& spec) {
  return std::get<RuntimeSpec>(Parsed("apiVersion: data.fluid.io/v1alpha1\nkind: " + kind +
                                      "\nmetadata: {name: prices}\nspec: " + spec + "\n")
                                   .documents.at(0)
                                   .spec);
}

TEST(Dataset, DefaultsAreFilledIn) {
  const DatasetSpec spec = Dataset("{mounts: [{mountPoint: 's3://b/p'}]}");
  EXPECT_EQ(spec.name, "prices");
  EXPECT_EQ(spec.namespace_name, "default");
  EXPECT_EQ(spec.mounts.at(0).path, "/");
  EXPECT_EQ(spec.staleness, milliseconds(60'000));
  EXPECT_EQ(spec.block_bytes, 4u << 20);
  EXPECT_EQ(spec.access_modes, std::vector<std::string>{"ReadOnlyMany"});
  EXPECT_FALSE(spec.writable());
  EXPECT_EQ(NotBound(spec), std::nullopt);
}

TEST(Dataset, AccessModesDecideTheStaleness) {
  const std::string spec = "{mounts: [{mountPoint: 's3://b/p'}], accessModes: [ReadWriteMany]}";
  EXPECT_TRUE(Dataset(spec).writable());
  EXPECT_EQ(Dataset(spec).staleness, milliseconds(1000));
  EXPECT_EQ(Dataset(spec, "{forebay.io/staleness: 10m}").staleness, milliseconds(600'000));
}

TEST(Dataset, AnnotationsAreSettings) {
  const std::string spec = "{mounts: [{mountPoint: 's3://b/p'}]}";
  EXPECT_EQ(Dataset(spec, "{forebay.io/staleness: pinned}").staleness, DatasetSpec::kPinned);
  EXPECT_EQ(Dataset(spec, "{forebay.io/staleness: 0}").staleness, milliseconds(0));
  EXPECT_EQ(Dataset(spec, "{forebay.io/block-size: 64KiB}").block_bytes, 64u << 10);
}

TEST(Dataset, PlacesOfMounts) {
  EXPECT_EQ(Dataset("{mounts: [{mountPoint: 's3://b/p', name: x}]}").mounts.at(0).path, "/x");
  EXPECT_EQ(Dataset("{mounts: [{mountPoint: 's3://b', name: x, path: /}]}").mounts.at(0).path, "/");
  EXPECT_EQ(Dataset("{mounts: [{mountPoint: 's3://b', path: /a/b/}]}").mounts.at(0).path, "/a/b");
  EXPECT_EQ(Dataset("{mounts: [{mountPoint: 'juicefs:///', name: x}]}").mounts.at(0).path, "/");
}

TEST(Dataset, OptionsAreTranslatedAndKeptAsWritten) {
  const ParsedDocuments parsed =
      Parsed(DatasetYaml("{sharedOptions: {region: a, max-connections: 16, cache-size: 0.10},"
                         " mounts: [{mountPoint: 's3://b', options: {fs.s3a.endpoint.region: b,"
                         " fs.s3a.path.style.access: true, cache-group: g}}]}"));
  const Mount mount = std::get<DatasetSpec>(parsed.documents.at(0).spec).mounts.at(0);
  EXPECT_EQ(mount.options,
            (OptionMap{{"max-connections", "16"}, {"path-style", "true"}, {"region", "b"}}));
  EXPECT_EQ(mount.other_options, (OptionMap{{"cache-group", "g"}, {"cache-size", "0.10"}}));
  ASSERT_EQ(parsed.warnings.size(), 2u);
  EXPECT_EQ(parsed.warnings[0].path, "spec.mounts[0].options.cache-group");
  EXPECT_EQ(parsed.warnings[1].path, "spec.sharedOptions.cache-size");
}

TEST(Dataset, SecretsAreReferences) {
  const std::string shared =
      "sharedEncryptOptions: [{name: fs.s3a.secret.key, valueFrom: {secretKeyRef: {name: s, key: "
      "k}}}, {name: access-key, valueFrom: {secretKeyRef: {name: s, key: id}}}]";
  const DatasetSpec spec =
      Dataset("{" + shared +
              ", mounts: [{mountPoint: 's3://b', encryptOptions: [{name: secret-access-key,"
              " valueFrom: {secretKeyRef: {name: own, key: k}}}]}]}");
  EXPECT_EQ(spec.mounts.at(0).secrets,
            (std::vector<SecretRef>{{"secret-access-key", "secret:own/k"},
                                    {"access-key-id", "secret:s/id"}}));
}

TEST(Dataset, UnknownFieldsAreNamedWithTheNearest) {
  const ParsedDocuments parsed = Parsed(
      DatasetYaml("{mount: [], mounts: [{mountPoint: 's3://b', mountpoint: x, pasword: hunter2}],"
                  " fuse.image: x, 'mounts[0]': x}",
                  "{forebay.io/stalenes: 1s}") +
      "statsu: 1\n");
  std::vector<std::pair<std::string, std::string>> named;
  for (const Warning& warning : parsed.warnings) {
    named.emplace_back(warning.path, warning.remedy);
    EXPECT_EQ(warning.document, "f.yaml: document 1 (Dataset prices)");
    EXPECT_EQ(warning.value.find("hunter2"), std::string::npos);
  }
  EXPECT_EQ(
      named,
      (std::vector<std::pair<std::string, std::string>>{
          {"spec.mount", "the nearest is `mounts`"},
          {"spec.mounts[0].mountpoint", "the nearest is `mountPoint`"},
          {"spec.mounts[0].pasword", "the nearest is `path`"},
          {"spec.fuse.image", "the nearest is `runtimes`"},
          {"spec.mounts[0]", "the nearest is `mounts`"},
          {"statsu", "the nearest is `status`"},
          {"metadata.annotations.forebay.io/stalenes", "the nearest is `forebay.io/staleness`"}}));
}

TEST(Dataset, NotBoundSaysWhatToDo) {
  const auto reason = [](const std::string& mount) {
    return NotBound(Dataset("{mounts: [" + mount + "]}"));
  };
  const auto cloud = reason("{mountPoint: 'juicefs:///', name: x}");
  ASSERT_TRUE(cloud.has_value());
  EXPECT_EQ(cloud->reason, "JuiceFSCloudVolume");
  EXPECT_NE(cloud->message.find("file:///mnt/VOLUME"), std::string::npos);
  EXPECT_NE(cloud->message.find("s3://BUCKET/PREFIX"), std::string::npos);
  const auto own = reason(
      "{mountPoint: 'juicefs:///', name: x, encryptOptions: [{name: metaurl, valueFrom: "
      "{secretKeyRef: {name: s, key: k}}}]}");
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ(own->reason, "SchemeNotSupported");
  EXPECT_EQ(reason("{mountPoint: 'oss://b/'}")->reason, "SchemeNotSupported");
  EXPECT_EQ(NotBound(Dataset("{placement: Shared}"))->reason, "NoMounts");
  EXPECT_EQ(reason("{mountPoint: 'local:///x'}"), std::nullopt);
}

TEST(Runtime, QuotasAndUnits) {
  const auto quota = [](const std::string& kind, const std::string& text) {
    return Runtime(kind, "{tieredstore: {levels: [{mediumtype: MEM, quota: " + text + "}]}}")
        .memory_bytes();
  };
  EXPECT_EQ(quota("JuiceFSRuntime", "40960"), 40ull << 30);  // As the article means it.
  EXPECT_EQ(quota("JuiceFSRuntime", "'40960'"), 40ull << 30);
  EXPECT_EQ(quota("JuiceFSRuntime", "40960Ki"), 40ull << 20);
  EXPECT_EQ(quota("JuiceFSRuntime", "1048575"), 1048575ull << 20);
  EXPECT_EQ(quota("JuiceFSRuntime", "1048576"), 1048576u);
  EXPECT_EQ(quota("AlluxioRuntime", "40960"), 40960u);
  EXPECT_EQ(quota("AlluxioRuntime", "1e9"), 1'000'000'000u);
}

TEST(Runtime, LevelsAreRead) {
  const RuntimeSpec spec = Runtime("AlluxioRuntime",
                                   "{replicas: 3, tieredstore: {levels: [{mediumtype: MEM, path: "
                                   "/dev/shm, quota: 1Gi, low: 0.1},"
                                   " {mediumtype: SSD, volumeType: emptyDir, path: '/a, /b', "
                                   "quotaList: '1Ki,2Ki', high: '0.9'}]}}");
  EXPECT_EQ(spec.replicas, 3u);
  EXPECT_EQ(spec.memory_bytes(), 1u << 30);
  ASSERT_EQ(spec.levels.size(), 2u);
  EXPECT_EQ(spec.levels[0].low, 0.1);
  EXPECT_EQ(spec.levels[1].paths, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(spec.levels[1].quota_bytes, 3072u);
  EXPECT_EQ(spec.levels[1].quota_list_bytes, (std::vector<std::uint64_t>{1024, 2048}));
  EXPECT_EQ(spec.levels[1].volume_type, "emptyDir");
  EXPECT_EQ(Runtime("ThinRuntime", "{}").replicas, std::nullopt);
}

TEST(Runtime, EveryKindIsTaken) {
  for (const char* kind : {"AlluxioRuntime", "CacheRuntime", "EFCRuntime", "GooseFSRuntime",
                           "JindoRuntime", "JuiceFSRuntime", "ThinRuntime", "VineyardRuntime"}) {
    EXPECT_EQ(Runtime(kind, "{worker: {podMetadata: {}}}").kind, kind);
  }
}

TEST(Documents, EmptyOnesAreSkippedAndNumbersStay) {
  const ParsedDocuments parsed = Parsed("---\n---\n" + DatasetYaml("{}") + "---\n");
  ASSERT_EQ(parsed.documents.size(), 1u);
  EXPECT_EQ(parsed.documents[0].where, "f.yaml: document 2 (Dataset prices)");
}

TEST(Validated, CompletesWhatFlagsSay) {
  DatasetSpec spec;
  spec.name = "prices";
  spec.mounts = {{.path = "/a/",
                  .url = "s3://b",
                  .options = {{"endpoint-url", "http://h:1"}},
                  .secrets = {{"secret-access-key", "file:/k"}, {"session-token", "env:T"}}}};
  const Result<DatasetSpec> valid = Validated(spec);
  ASSERT_TRUE(valid.ok()) << valid.error().message();
  EXPECT_EQ(valid.value().mounts[0].path, "/a");
  EXPECT_EQ(valid.value().mounts[0].options, (OptionMap{{"endpoint", "http://h:1"}}));
  EXPECT_EQ(valid.value().staleness, milliseconds(60'000));
  EXPECT_EQ(Validated(valid.value()).value(), valid.value());
}

}  // namespace
}  // namespace forebay
