#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "io/unique_fd.h"
#include "registry/registry.h"

namespace forebay {
namespace {

class SqliteRegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "forebay-registry-XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/registry.db";
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }

  std::unique_ptr<Registry> Open() {
    Result<std::unique_ptr<Registry>> registry = OpenSqliteRegistry(path_);
    EXPECT_TRUE(registry.ok()) << registry.error().message();
    return std::move(registry).value();
  }
  void ExpectRefused(Code code, const std::string& part) {
    const Result<std::unique_ptr<Registry>> registry = OpenSqliteRegistry(path_);
    ASSERT_FALSE(registry.ok());
    EXPECT_EQ(registry.error().code(), code) << registry.error().message();
    EXPECT_NE(registry.error().message().find(part), std::string::npos)
        << registry.error().message();
    EXPECT_NE(registry.error().message().find(path_), std::string::npos);
  }
  void Sql(const char* sql) {
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sql;
    sqlite3_close(handle);
  }
  void Overwrite(off_t offset, const std::string& bytes) {
    const UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), offset),
              static_cast<ssize_t>(bytes.size()));
  }

  std::string folder_;
  std::string path_;
};

StoredObject Dataset(const std::string& name, const std::string& json = "{}") {
  return {"Dataset", "default", name, 0, json};
}

Code CodeOf(const Result<std::uint64_t>& result) {
  return result.ok() ? Code::kInternal : result.error().code();
}

TEST_F(SqliteRegistryTest, KeepsObjects) {
  const std::string odd("a'\"\0\xff", 5);
  {
    const auto registry = Open();
    EXPECT_EQ(registry->Put(Dataset("b"), std::nullopt).value(), 1u);
    EXPECT_EQ(registry->Put(Dataset("a", "{\"x\":1}"), std::nullopt).value(), 2u);
    EXPECT_EQ(registry->Put({"Runtime", "", odd, 0, odd}, std::nullopt).value(), 3u);
    EXPECT_EQ(registry->Put(Dataset("b", "new"), std::nullopt).value(), 4u);
  }
  const auto registry = Open();
  const std::vector<StoredObject> expected = {{"Dataset", "default", "a", 2, "{\"x\":1}"},
                                              {"Dataset", "default", "b", 4, "new"}};
  EXPECT_EQ(registry->List("Dataset").value(), expected);
  EXPECT_EQ(registry->Find("Dataset", "default", "b").value(), expected[1]);
  EXPECT_EQ(registry->Find("Runtime", "", odd).value()->json, odd);
  EXPECT_EQ(registry->Find("Dataset", "other", "b").value(), std::nullopt);
  EXPECT_EQ(registry->List("Nothing").value().size(), 0u);
}

TEST_F(SqliteRegistryTest, RefusesWhatExpectedSomethingElse) {
  const auto registry = Open();
  const std::uint64_t first = registry->Put(Dataset("a"), kNoGeneration).value();
  EXPECT_EQ(CodeOf(registry->Put(Dataset("a", "2"), kNoGeneration)), Code::kStale);
  const std::uint64_t second = registry->Put(Dataset("a", "2"), first).value();
  EXPECT_GT(second, first);
  EXPECT_EQ(CodeOf(registry->Put(Dataset("a", "3"), first)), Code::kStale);
  EXPECT_EQ(registry->Delete("Dataset", "default", "a", first).error().code(), Code::kStale);
  EXPECT_EQ(registry->Find("Dataset", "default", "a").value()->json, "2");
  EXPECT_TRUE(registry->Delete("Dataset", "default", "a", second).ok());
  EXPECT_EQ(registry->Delete("Dataset", "default", "a", std::nullopt).error().code(),
            Code::kNotFound);
  EXPECT_EQ(CodeOf(registry->Put(Dataset("a"), second)), Code::kStale);
  // A deletion is a change: the generation is not used again.
  EXPECT_EQ(registry->Put(Dataset("a"), std::nullopt).value(), second + 2);
  EXPECT_EQ(CodeOf(registry->Put(Dataset(""), std::nullopt)), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(registry->Put({"", "", "a", 0, ""}, std::nullopt)), Code::kInvalidArgument);
}

TEST_F(SqliteRegistryTest, StoresAllOfManyOrNone) {
  const auto registry = Open();
  const std::vector<std::uint64_t> generations = {1, 2, 3};
  EXPECT_EQ(registry->PutAll({Dataset("a"), Dataset("b"), Dataset("a", "2")}).value(), generations);
  EXPECT_EQ(registry->Find("Dataset", "default", "a").value()->json, "2");
  EXPECT_EQ(registry->PutAll({Dataset("c"), Dataset("")}).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(registry->List("Dataset").value().size(), 2u);
  EXPECT_EQ(registry->Generation().value(), 3u);
  EXPECT_TRUE(registry->PutAll({}).value().empty());
}

TEST_F(SqliteRegistryTest, CountsStarts) {
  EXPECT_EQ(Open()->NextGeneration().value(), 1u);
  const auto registry = Open();
  EXPECT_EQ(registry->NextGeneration().value(), 2u);
  EXPECT_EQ(registry->NextGeneration().value(), 3u);
}

TEST_F(SqliteRegistryTest, KeepsTheLastEvents) {
  Sql("PRAGMA user_version");
  const auto registry = Open();
  Sql("INSERT INTO events (json) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
      "WHERE i < 1000) SELECT 'old' FROM n");
  for (std::uint64_t id = 1001; id <= 1003; ++id) {
    EXPECT_EQ(registry->AppendEvent("new").value(), id);
  }
  const std::vector<StoredEvent> all = registry->ListEvents(0).value();
  ASSERT_EQ(all.size(), Registry::kEventsMax);
  EXPECT_EQ(all.front(), (StoredEvent{4, "old"}));
  EXPECT_EQ(all.back(), (StoredEvent{1003, "new"}));
  EXPECT_EQ(registry->ListEvents(1001).value().size(), 2u);
  EXPECT_EQ(registry->ListEvents(UINT64_MAX).value().size(), 0u);
}

TEST_F(SqliteRegistryTest, IsForItsOwnerOnly) {
  Overwrite(0, "");
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  const auto registry = Open();
  ASSERT_TRUE(registry->NextGeneration().ok());
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(SqliteRegistryTest, RefusesANewerVersion) {
  Open();
  Sql("PRAGMA user_version = 2");
  ExpectRefused(Code::kInvalidArgument, "version 2, this forebay knows 1");
}

TEST_F(SqliteRegistryTest, RefusesWhatIsNotItsOwn) {
  Sql("CREATE TABLE other (x)");
  ExpectRefused(Code::kInvalidArgument, "another program");
}

TEST_F(SqliteRegistryTest, RefusesDamage) {
  {
    const auto registry = Open();
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(
          registry->Put(Dataset("d" + std::to_string(i), std::string(500, 'x')), kNoGeneration)
              .ok());
    }
  }
  Overwrite(4096, std::string(4096, 'z'));
  ExpectRefused(Code::kCorrupt, "put a backup in its place");
  Overwrite(0, std::string(100, 'z'));
  ExpectRefused(Code::kCorrupt, "put a backup in its place");
}

TEST_F(SqliteRegistryTest, RefusesWhatIsNoFile) {
  const std::string good = path_;
  path_ = folder_;
  ExpectRefused(Code::kInvalidArgument, "name a file in a folder that exists");
  path_ = folder_ + "/missing/registry.db";
  ExpectRefused(Code::kInvalidArgument, "name a file in a folder that exists");
  path_ = folder_ + "/link";
  ASSERT_EQ(::symlink(good.c_str(), path_.c_str()), 0);
  ExpectRefused(Code::kInvalidArgument, "name a file in a folder that exists");
  ::unlink(path_.c_str());
  path_ = "/dev/null";
  ExpectRefused(Code::kInvalidArgument, "not a regular file");
  path_ = good;
}

TEST_F(SqliteRegistryTest, SaysThatAnotherProcessHoldsIt) {
  const auto registry = Open();
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr), SQLITE_OK);
  const Result<std::uint64_t> refused = registry->Put(Dataset("a"), std::nullopt);
  EXPECT_EQ(CodeOf(refused), Code::kUnavailable);
  sqlite3_close(other);
  EXPECT_TRUE(registry->Put(Dataset("a"), std::nullopt).ok());
}

}  // namespace
}  // namespace forebay
