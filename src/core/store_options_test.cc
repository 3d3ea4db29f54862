#include "core/store_options.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace forebay {
namespace {

std::string Refusal(const OptionMap& options) {
  const Result<OptionMap> translated = TranslatedStoreOptions(options);
  return translated.ok() ? "" : translated.error().message();
}

TEST(StoreOptions, OwnNamesAreSortedAndStay) {
  EXPECT_TRUE(std::ranges::is_sorted(StoreOptionNames()));
  for (const std::string_view name : StoreOptionNames()) EXPECT_EQ(StoreOptionNamed(name), name);
}

TEST(StoreOptions, TranslatesWhatOthersCallThem) {
  const Result<OptionMap> ours = TranslatedStoreOptions(
      {{"alluxio.underfs.s3.endpoint", "minio:9000"}, {"fs.s3a.path.style.access", "true"}});
  ASSERT_TRUE(ours.ok());
  EXPECT_EQ(ours.value(), (OptionMap{{"endpoint", "https://minio:9000"}, {"path-style", "true"}}));
  EXPECT_EQ(StoreOptionNamed("cache-group"), "");
}

TEST(StoreOptions, RefusesWhatItDoesNotKnowAndWrongKinds) {
  EXPECT_NE(
      Refusal({{"colour", "red"}}).find("option \"colour\": unknown; known are access-key-id"),
      std::string::npos);
  EXPECT_EQ(Refusal({{"anonymous", "yes"}}), "option anonymous \"yes\": write true or false");
  for (const char* count : {"0", "10001", "-1", "8x"}) {
    EXPECT_NE(Refusal({{"max-connections", count}}).find("from 1 to 10000"), std::string::npos);
  }
  EXPECT_NE(Refusal({{"region", "a"}, {"fs.s3.region", "b"}}).find("given twice"),
            std::string::npos);
  EXPECT_EQ(Refusal({{"region", "a"}, {"fs.s3.region", "a"}, {"path-style", ""}}), "");
}

TEST(StoreOptions, KnowsSecrets) {
  EXPECT_TRUE(IsSecretStoreOption(StoreOptionNamed("aws.secretKey")));
  EXPECT_FALSE(IsSecretStoreOption(StoreOptionNamed("aws.accessKeyId")));
}

}  // namespace
}  // namespace forebay
