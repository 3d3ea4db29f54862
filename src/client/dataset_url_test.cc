#include "client/dataset_url.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

TEST(DatasetUrl, TheFirstDotSeparatesTheNamespace) {
  const DatasetPath plain = ParseDatasetUrl("forebay://prices/a/b.bin").value();
  EXPECT_EQ(plain.dataset, (DatasetRef{"prices", "default"}));
  EXPECT_EQ(plain.path, "a/b.bin");
  EXPECT_EQ(ParseDatasetUrl("forebay://prices.quant/a").value().dataset,
            (DatasetRef{"prices", "quant"}));
  EXPECT_EQ(ParseDatasetUrl("forebay://prices").value().path, "");
  EXPECT_EQ(ParseDatasetUrl("forebay://p//x%20y").value().path, "/x%20y");
}

TEST(DatasetUrl, WhatIsNoNameIsRefused) {
  for (const char* url : {"forebay://", "forebay:///a", "forebay://Prices/a", "forebay://a.b.c/x",
                          "forebay://-a/x", "forebay://a./x", "forebay://.a/x", "forebay://a_b"}) {
    const Result<DatasetPath> parsed = ParseDatasetUrl(url);
    ASSERT_FALSE(parsed.ok()) << url;
    EXPECT_EQ(parsed.error().code(), Code::kInvalidArgument);
    EXPECT_NE(parsed.error().message().find("NAME.NAMESPACE"), std::string::npos);
  }
  EXPECT_FALSE(ParseDatasetRef(std::string(64, 'a')).ok());
  EXPECT_TRUE(ParseDatasetRef(std::string(63, 'a')).ok());
}

TEST(DatasetUrl, EveryUrlSplitsIntoRootAndPath) {
  EXPECT_EQ(Split("forebay://prices.quant").value().Text(), "forebay://prices.quant/");
  EXPECT_EQ(Split("forebay://prices/a/").value().path, "a/");
  EXPECT_EQ(Split("forebay://prices/a").value().name, "prices");
  EXPECT_EQ(Split("s3://bucket/a/b").value().root, "s3://bucket/");
  EXPECT_EQ(Split("local:///a/b").value().Text(), "file:///a/b");
  EXPECT_FALSE(Split("nowhere").ok());
}

}  // namespace
}  // namespace forebay
