#include "worker/stores.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

UpstreamOptions Options() {
  UpstreamOptions options;
  options.endpoint = "http://127.0.0.1:1";
  options.anonymous = true;
  return options;
}

Code CodeOf(ServedStores& stores, const std::string& url, const std::string& path) {
  const Result<StorePath> found = stores.Find(url, path);
  return found.ok() ? Code::kInternal : found.error().code();
}

TEST(ServedStores, WithoutAllowEveryBucketIsServedButNoFile) {
  ServedStores stores(Options(), {});
  EXPECT_TRUE(stores.Find("s3://a", "x").ok());
  EXPECT_EQ(CodeOf(stores, "file://", "etc/passwd"), Code::kDenied);
}

TEST(ServedStores, AllowCoversWholeComponents) {
  ServedStores stores(Options(), {"s3://bucket/prices", "s3://open/"});
  EXPECT_TRUE(stores.Find("s3://bucket", "prices").ok());
  EXPECT_TRUE(stores.Find("s3://bucket", "prices/2024/a").ok());
  EXPECT_TRUE(stores.Find("s3://open", "anything").ok());
  EXPECT_EQ(CodeOf(stores, "s3://bucket", "prices-secret/a"), Code::kDenied);
  EXPECT_EQ(CodeOf(stores, "s3://bucket", "other"), Code::kDenied);
  EXPECT_EQ(CodeOf(stores, "s3://another", "prices/a"), Code::kDenied);
}

TEST(ServedStores, S3AloneAllowsEveryBucketAndStillNoFile) {
  ServedStores stores(Options(), {"s3://"});
  EXPECT_TRUE(stores.Find("s3://any", "x").ok());
  EXPECT_EQ(CodeOf(stores, "file://", "tmp/x"), Code::kDenied);
}

// A posix path must not climb out of what covers it, whatever it is called.
TEST(ServedStores, FilesStayBelowTheirPrefix) {
  ServedStores stores(Options(), {"file:///tmp"});
  const Result<StorePath> inside = stores.Find("file://", "tmp/data/x");
  ASSERT_TRUE(inside.ok()) << inside.error().message();
  EXPECT_EQ(inside.value().path, "data/x");
  EXPECT_EQ(CodeOf(stores, "file://", "tmp/../etc/passwd"), Code::kDenied);
  EXPECT_EQ(CodeOf(stores, "file://", "tmp/a/.."), Code::kDenied);
  EXPECT_EQ(CodeOf(stores, "file://", "tmpx/a"), Code::kDenied);
  EXPECT_TRUE(stores.Find("file://", "tmp/a..b/..c").ok()) << "only whole components climb";
}

TEST(ServedStores, TheSameStoreIsMadeOnceAndKeepsItsName) {
  ServedStores stores(Options(), {});
  const StorePath first = stores.Find("s3://a", "x").value();
  const StorePath second = stores.Find("s3://a", "y/z").value();
  EXPECT_EQ(first.store, second.store);
  EXPECT_EQ(second.path, "y/z") << "an S3 key is taken literally";
  EXPECT_EQ(first.store->dataset, "http://127.0.0.1:1/a");
  EXPECT_EQ(first.store->uid, DatasetUid{DigestOf("http://127.0.0.1:1/a")});
}

TEST(ServedStores, AMalformedAllowRefusesEverythingInWords) {
  ServedStores stores(Options(), {"nonsense"});
  const Result<StorePath> found = stores.Find("s3://a", "x");
  ASSERT_FALSE(found.ok());
  EXPECT_TRUE(found.error().message().starts_with("allow: ")) << found.error().message();
}

}  // namespace
}  // namespace forebay
