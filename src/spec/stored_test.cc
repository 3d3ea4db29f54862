#include <gtest/gtest.h>

#include "spec/build.h"
#include "spec/document.h"

namespace forebay {
namespace {

DatasetSpec Sample() {
  DatasetSpec spec;
  spec.name = "prices";
  spec.namespace_name = "research";
  spec.mounts = {{.path = "/a",
                  .url = "s3://b/é \"q\"",
                  .options = {{"region", "x"}},
                  .other_options = {{"cache-group", "g"}},
                  .secrets = {{"secret-access-key", "secret:s/k"}},
                  .read_only = true},
                 {.path = "/b", .url = "file:///d"}};
  spec.staleness = std::chrono::milliseconds(1500);
  spec.block_bytes = 64u << 10;
  spec.access_modes = {"ReadWriteMany", "ReadOnlyMany"};
  spec.written = R"({"kind":"Dataset"})";
  return spec;
}

// A change of this text changes what is on people's disks: see docs/formats/documents.md.
TEST(Stored, DatasetHasTheTextOfItsFormat) {
  DatasetSpec spec = Sample();
  spec.mounts.resize(1);
  EXPECT_EQ(
      ToJson(spec),
      R"({"accessModes":["ReadWriteMany","ReadOnlyMany"],"blockBytes":65536,"mounts":[{"options":)"
      R"({"region":"x"},"otherOptions":{"cache-group":"g"},"path":"/a","readOnly":true,"secrets":)"
      R"([{"option":"secret-access-key","source":"secret:s/k"}],"url":"s3://b/é \"q\""}],"name":)"
      R"("prices","namespace":"research","pinned":false,"stalenessMs":1500,"written":)"
      R"("{\"kind\":\"Dataset\"}"})");
}

TEST(Stored, DatasetComesBackWhole) {
  DatasetSpec spec = Sample();
  const Result<DatasetSpec> back = DatasetFromJson(ToJson(spec));
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back.value(), spec);
  spec.staleness = DatasetSpec::kPinned;
  spec.written.clear();
  EXPECT_EQ(DatasetFromJson(ToJson(spec)).value(), spec);
}

TEST(Stored, RuntimeComesBackWhole) {
  RuntimeSpec spec;
  spec.kind = "JuiceFSRuntime";
  spec.name = "prices";
  spec.replicas = 0;
  spec.levels = {{.medium = "MEM",
                  .paths = {"/dev/shm", "/x"},
                  .quota_bytes = 3,
                  .quota_list_bytes = {1, 2},
                  .high = 0.95,
                  .low = 0.1,
                  .volume_type = "hostPath"},
                 {.medium = "SSD"}};
  spec.options = {{"cache-size", "1"}};
  spec.written = "{}";
  EXPECT_EQ(RuntimeFromJson(ToJson(spec)).value(), spec);
  spec.replicas.reset();
  EXPECT_EQ(RuntimeFromJson(ToJson(spec)).value(), spec);
}

TEST(Stored, OtherTextsAreRefused) {
  for (const char* text : {"", "{}", "[]", "nonsense", R"({"name":7})"}) {
    for (const Status& status : {[&] {
                                   auto r = DatasetFromJson(text);
                                   return r.ok() ? Status() : Status(r.error());
                                 }(),
                                 [&] {
                                   auto r = RuntimeFromJson(text);
                                   return r.ok() ? Status() : Status(r.error());
                                 }()}) {
      ASSERT_FALSE(status.ok()) << text;
      EXPECT_EQ(status.error().code(), Code::kInvalidArgument);
    }
  }
  DatasetSpec spec = Sample();
  spec.mounts[1].path = "/a/b";  // Stored by somebody else, or damaged.
  EXPECT_FALSE(DatasetFromJson(ToJson(spec)).ok());
}

}  // namespace
}  // namespace forebay
