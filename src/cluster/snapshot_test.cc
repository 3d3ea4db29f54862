#include "cluster/snapshot.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/task_group.h"
#include "base/temporary_directory.h"
#include "cluster/snapshot_source.h"
#include "io/http_server.h"

namespace forebay {
namespace {

using namespace std::chrono_literals;

Entry FileNamed(const std::string& name, std::uint64_t size) {
  return {name, {FileType::kFile, size, 7, "v" + std::to_string(size)}};
}

SnapshotKey Key(std::uint64_t refreshed) {
  SnapshotKey key{{}, refreshed};
  key.uid.value.bytes.fill(9);
  return key;
}

// "a", "d/" with 2,500 files, and an empty "e\xff/".
Snapshot Made(std::uint64_t refreshed) {
  const Attributes directory{.type = FileType::kDirectory, .version = {}};
  SnapshotTree tree;
  tree[""].entries = {FileNamed("a", 1), {"d", directory}, {"e\xff", directory}};
  tree[""].left_out = 3;
  tree["e\xff/"];
  for (int i = 0; i < 2500; ++i) {
    tree["d/"].entries.push_back(FileNamed(std::to_string(10'000 + i), 10));
  }
  return {Key(refreshed), tree};
}

TEST(SnapshotTest, NamesAreFoundAndOthersAreNot) {
  const Snapshot snapshot = Made(1);
  EXPECT_EQ(snapshot.Stat("a").value().version, "v1");
  EXPECT_EQ(snapshot.Stat("d/12499").value().size, 10u);
  for (const char* path : {"", "d", "d/", "e\xff"}) {
    EXPECT_EQ(snapshot.Stat(path).value().type, FileType::kDirectory) << path;
  }
  for (const char* path : {"a/", "b", "a/b", "d/1", "d//10000", "/a", "/"}) {
    ASSERT_FALSE(snapshot.Stat(path).ok()) << path;
    EXPECT_EQ(snapshot.Stat(path).error().code(), Code::kNotFound);
  }
}

TEST(SnapshotTest, ADirectoryIsListedInPages) {
  const Snapshot snapshot = Made(1);
  std::size_t pages = 0;
  std::vector<Entry> all;
  std::string after;
  do {
    const ListPage page = snapshot.List("d/", after).value();
    all.insert(all.end(), page.entries.begin(), page.entries.end());
    after = page.next;
    ++pages;
  } while (!after.empty());
  EXPECT_EQ(pages, 3u);
  ASSERT_EQ(all.size(), 2500u);
  EXPECT_EQ(all.back().name, "12499");
  EXPECT_EQ(snapshot.List("", "").value().left_out, 3u);
  EXPECT_TRUE(snapshot.List("e\xff/", "").value().entries.empty());
  EXPECT_EQ(snapshot.List("no/", "").error().code(), Code::kNotFound);
}

TEST(SnapshotTest, WhatIsWrittenIsReadBackAndDamageIsSeen) {
  const Snapshot snapshot = Made(5);
  std::vector<std::byte> bytes = EncodeSnapshot(snapshot);
  const Result<Snapshot> read = DecodeSnapshot(bytes);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value().key().refreshed, 5u);
  EXPECT_EQ(read.value().key().uid, snapshot.key().uid);
  EXPECT_EQ(EncodeSnapshot(read.value()), bytes);
  bytes[bytes.size() / 2] ^= std::byte{1};
  EXPECT_EQ(DecodeSnapshot(bytes).error().code(), Code::kCorrupt);
  EXPECT_FALSE(DecodeSnapshot(std::span(bytes).first(10)).ok());
}

// A control, its directory, and who asks.
struct SnapshotSourceTest : testing::Test {
  SnapshotSourceTest() {
    source = SnapshotSource::Create({"unix:" + directory + "/control.sock", directory}).value();
  }
  ~SnapshotSourceTest() override { server.reset(); }

  void Serve(const std::function<HttpReply(const HttpQuestion&)>& answer) {
    server = HttpServer::Start(ParseAddress("unix:" + directory + "/control.sock").value(), {},
                               [this, answer](const HttpQuestion& question) {
                                 ++asked;
                                 return answer(question);
                               })
                 .value();
  }
  static std::string Bytes(std::uint64_t refreshed) {
    const std::vector<std::byte> bytes = EncodeSnapshot(Made(refreshed));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  void WriteFile(const std::string& bytes) const {
    std::ofstream(SnapshotPath(directory, Key(0).uid), std::ios::binary) << bytes;
  }
  Result<SnapshotPointer> Get(std::uint64_t refreshed,
                              std::chrono::milliseconds patience = 10s) const {
    return source->Get(Key(refreshed), Clock::now() + patience, {});
  }

  const TemporaryDirectory folder;
  const std::string& directory = folder.path();
  std::atomic<int> asked = 0;
  std::shared_ptr<SnapshotSource> source;
  std::unique_ptr<HttpServer> server;
};

TEST_F(SnapshotSourceTest, ControlIsAskedOnceForAllAndAwaited) {
  Serve([this](const HttpQuestion& question) -> HttpReply {
    EXPECT_EQ(question.query.at("uid"), Key(0).uid.value.Hex());
    EXPECT_EQ(question.query.at("refreshed"), "4");
    if (asked < 3) return {.status = 503, .body = "not yet"};
    return {.body = Bytes(4)};
  });
  TaskGroup readers;
  std::atomic<int> found = 0;
  for (int i = 0; i < 16; ++i) {
    readers.Run("reader", [this, &found](const std::stop_token&) {
      const Result<SnapshotPointer> snapshot = Get(4);
      ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
      found += snapshot.value()->Stat("a").value().version == "v1" ? 1 : 0;
    });
  }
  readers.StopAndJoin();
  EXPECT_EQ(found, 16);
  EXPECT_EQ(asked, 3);
  EXPECT_TRUE(Get(3).ok());
  EXPECT_EQ(asked, 3);
}

TEST_F(SnapshotSourceTest, WhatControlRefusesIsFinal) {
  int status = 404;
  Serve([&status](const HttpQuestion&) { return HttpReply{.status = status}; });
  EXPECT_EQ(Get(4).error().code(), Code::kNotFound);
  status = 403;
  EXPECT_EQ(Get(4).error().code(), Code::kDenied);
  status = 409;
  EXPECT_EQ(Get(4).error().code(), Code::kNotHere);
  status = 503;
  EXPECT_EQ(Get(4, 120ms).error().code(), Code::kUnavailable);
}

TEST_F(SnapshotSourceTest, TheFileAnswersUnlessItIsOlderOrDamaged) {
  EXPECT_EQ(Get(4, 60ms).error().code(), Code::kUnavailable);
  std::string bytes = Bytes(5);
  bytes[bytes.size() / 2] ^= 1;
  WriteFile(bytes);
  EXPECT_EQ(Get(4, 60ms).error().code(), Code::kUnavailable);
  WriteFile(Bytes(4));
  EXPECT_EQ(Get(4).value()->key().refreshed, 4u);
  EXPECT_EQ(Get(5, 60ms).error().code(), Code::kUnavailable);
  WriteFile(Bytes(5));
  EXPECT_EQ(Get(5).value()->key().refreshed, 5u);
  std::filesystem::remove(SnapshotPath(directory, Key(0).uid));
  EXPECT_EQ(Get(4).value()->key().refreshed, 5u);
}

TEST_F(SnapshotSourceTest, WhatIsDamagedOrAnotherOnTheWayIsNotTaken) {
  Serve([this](const HttpQuestion&) -> HttpReply {
    std::string bytes = Bytes(asked < 3 ? 3 : 4);
    if (asked == 1) bytes[50] ^= 1;
    return {.body = bytes};
  });
  EXPECT_EQ(Get(4).value()->key().refreshed, 4u);
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace forebay
