#include "upstream/posix.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace forebay {
namespace {

namespace fs = std::filesystem;

class StringSink final : public ByteSink {
 public:
  Status Write(std::span<const std::byte> bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (on_write) on_write();
    return {};
  }
  std::string text;
  std::function<void()> on_write;
};

class PosixTest : public testing::Test {
 protected:
  PosixTest() : base_(testing::TempDir() + "upstream-posix-" + std::to_string(getpid())) {
    fs::remove_all(base_);
    fs::create_directories(base_ + "/root/dir");
    Write("dir/file", "0123456789");
    std::ofstream(base_ + "/outside") << "secret";
    Result<std::unique_ptr<Upstream>> made =
        PosixUpstream::Create(base_ + "/root", {{"dataset", "file:"}, {"namespace", ""}});
    CHECK(made.ok());
    upstream_ = std::move(made).value();
  }
  ~PosixTest() override { fs::remove_all(base_); }

  std::string Path(const std::string& path) const { return base_ + "/root/" + path; }
  void Write(const std::string& path, const std::string& text) const {
    std::ofstream(Path(path), std::ios::binary) << text;
  }
  Result<Attributes> Stat(const std::string& path) { return upstream_->Stat(path, deadline_, {}); }
  Code StatCode(const std::string& path) {
    const Result<Attributes> attributes = Stat(path);
    CHECK(!attributes.ok());
    return attributes.error().code();
  }
  Result<ReadOutcome> Read(const std::string& path, StringSink& sink) {
    const Result<Attributes> attributes = Stat(path);
    CHECK(attributes.ok());
    return upstream_->Read({.path = path,
                            .version = attributes.value().version,
                            .file_size = attributes.value().size,
                            .offset = 0,
                            .length = attributes.value().size},
                           sink, deadline_, {});
  }

  const std::string base_;
  const Deadline deadline_ = Clock::now() + std::chrono::seconds(60);
  std::unique_ptr<Upstream> upstream_;
};

TEST_F(PosixTest, StatsFilesAndDirectories) {
  const Result<Attributes> file = Stat("dir/file");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file.value().type, FileType::kFile);
  EXPECT_EQ(file.value().size, 10u);
  EXPECT_TRUE(file.value().version.starts_with("p:10:"));
  for (const char* path : {"", "dir", "dir/"}) {
    const Result<Attributes> directory = Stat(path);
    ASSERT_TRUE(directory.ok()) << path;
    EXPECT_EQ(directory.value().type, FileType::kDirectory);
    EXPECT_EQ(directory.value().version, "");
  }
  EXPECT_EQ(StatCode("nope"), Code::kNotFound);
  EXPECT_EQ(StatCode("dir/file/"), Code::kNotFound);
  EXPECT_EQ(StatCode("dir/file/x"), Code::kNotFound);
  EXPECT_EQ(StatCode(std::string("a\0b", 3)), Code::kInvalidArgument);
}

TEST_F(PosixTest, StaysBeneathItsRoot) {
  fs::create_symlink("../../outside", Path("dir/out"));
  fs::create_symlink("/etc/hostname", Path("dir/absolute"));
  fs::create_symlink("../dir/file", Path("dir/inside"));
  fs::create_symlink("nowhere", Path("dir/broken"));
  fs::create_symlink("loop", Path("dir/loop"));
  EXPECT_EQ(StatCode("../outside"), Code::kDenied);
  EXPECT_EQ(StatCode("dir/out"), Code::kDenied);
  EXPECT_EQ(StatCode("dir/absolute"), Code::kDenied);
  EXPECT_EQ(StatCode("dir/broken"), Code::kNotFound);
  EXPECT_EQ(StatCode("dir/loop"), Code::kInvalidArgument);
  EXPECT_EQ(Stat("dir/inside").value().size, 10u);
  const Result<ListPage> page = upstream_->List("dir/", "", deadline_, {});
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page.value().entries.size(), 2u);
  EXPECT_EQ(page.value().entries[0].name, "file");
  EXPECT_EQ(page.value().entries[1].name, "inside");
  EXPECT_EQ(page.value().entries[1].attributes, page.value().entries[0].attributes);
  EXPECT_EQ(page.value().left_out, 4u);
}

TEST_F(PosixTest, NeverWaitsForAFifo) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(StatCode("fifo"), Code::kInvalidArgument);
  StringSink sink;
  const Result<ReadOutcome> read =
      upstream_->Read({.path = "fifo", .version = "p", .file_size = 1, .offset = 0, .length = 1},
                      sink, deadline_, {});
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(upstream_->List("", "", deadline_, {}).value().left_out, 1u);
}

TEST_F(PosixTest, ReadsARange) {
  const std::string version = Stat("dir/file").value().version;
  StringSink sink;
  ASSERT_TRUE(
      upstream_
          ->Read(
              {.path = "dir/file", .version = version, .file_size = 10, .offset = 3, .length = 4},
              sink, deadline_, {})
          .ok());
  EXPECT_EQ(sink.text, "3456");
  for (const auto& [offset, length] : {std::pair{0u, 0u}, std::pair{3u, 8u}, std::pair{11u, 1u}}) {
    const Result<ReadOutcome> read = upstream_->Read({.path = "dir/file",
                                                      .version = version,
                                                      .file_size = 10,
                                                      .offset = offset,
                                                      .length = length},
                                                     sink, deadline_, {});
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code(), Code::kInvalidArgument);
  }
}

TEST_F(PosixTest, KnowsAnotherVersion) {
  const std::string version = Stat("dir/file").value().version;
  Write("dir/file", "abcdefghij");
  timeval times[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(utimes(Path("dir/file").c_str(), times), 0);
  StringSink sink;
  const Result<ReadOutcome> read = upstream_->Read(
      {.path = "dir/file", .version = version, .file_size = 10, .offset = 0, .length = 10}, sink,
      deadline_, {});
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::kChanged);
  EXPECT_EQ(sink.text, "");
}

TEST_F(PosixTest, NoticesAWriterBeforeItSaysSuccess) {
  StringSink sink;
  sink.on_write = [this] { Write("dir/file", "shorter"); };
  const Result<ReadOutcome> read = Read("dir/file", sink);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::kChanged);
}

TEST_F(PosixTest, DoesNotLetAYoungFileBeCached) {
  StringSink sink;
  const Result<ReadOutcome> young = Read("dir/file", sink);
  ASSERT_TRUE(young.ok());
  EXPECT_FALSE(young.value().cacheable);
  // A file that was there before this test: the system's.
  Result<std::unique_ptr<Upstream>> machine =
      PosixUpstream::Create("/", {{"dataset", "file:"}, {"namespace", ""}});
  ASSERT_TRUE(machine.ok());
  const Result<Attributes> old = machine.value()->Stat("etc/os-release", deadline_, {});
  ASSERT_TRUE(old.ok()) << old.error().message();
  const Result<ReadOutcome> read = machine.value()->Read({.path = "etc/os-release",
                                                          .version = old.value().version,
                                                          .file_size = old.value().size,
                                                          .offset = 0,
                                                          .length = 1},
                                                         sink, deadline_, {});
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(read.value().cacheable);
}

TEST_F(PosixTest, ListsInPagesInByteOrder) {
  constexpr int kFiles = 2500;
  for (int i = 0; i < kFiles; ++i) Write("dir/f" + std::to_string(i), "");
  std::vector<std::string> names;
  std::string after;
  int pages = 0;
  do {
    const Result<ListPage> page = upstream_->List("dir/", after, deadline_, {});
    ASSERT_TRUE(page.ok());
    EXPECT_LE(page.value().entries.size(), 1000u);
    for (const Entry& entry : page.value().entries) names.push_back(entry.name);
    after = page.value().next;
    ++pages;
  } while (!after.empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(names.size(), kFiles + 1u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST_F(PosixTest, ObeysStopAndDeadline) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(upstream_->Stat("dir/file", deadline_, stop.get_token()).error().code(),
            Code::kCancelled);
  EXPECT_EQ(upstream_->List("dir/", "", deadline_, stop.get_token()).error().code(),
            Code::kCancelled);
  EXPECT_EQ(upstream_->Stat("dir/file", Clock::now(), {}).error().code(), Code::kDeadlineExceeded);
}

}  // namespace
}  // namespace forebay
