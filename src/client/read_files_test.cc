#include "client/read_files.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "client/fake_pool.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// Keeps what it is given, and checks the order of the calls.
class KeepingSink : public FileSink {
 public:
  struct Kept {
    std::string url;
    std::string version = {};
    std::vector<std::byte> bytes = {};
    std::optional<Code> failure = {};
  };

  std::span<std::byte> Memory(const FileToRead& file, const Attributes& attributes) override {
    if (!gives_memory) return {};
    std::vector<std::byte>& memory = memory_[file.url];
    memory.assign(attributes.size, std::byte{0xee});
    return memory;
  }
  Status Begin(const FileToRead& file, const Attributes& attributes) override {
    EXPECT_FALSE(open_);
    open_ = true;
    files.push_back(Kept{.url = file.url, .version = attributes.version});
    return {};
  }
  Status Write(std::span<const std::byte> bytes) override {
    EXPECT_TRUE(open_);
    files.back().bytes.insert(files.back().bytes.end(), bytes.begin(), bytes.end());
    if (on_write) on_write();
    if (full) return Error(Code::kInternal, "sink is full");
    return {};
  }
  Status End(const FileToRead& file, Status outcome) override {
    if (!open_) files.push_back(Kept{.url = file.url});
    EXPECT_EQ(files.back().url, file.url);
    if (!outcome.ok()) files.back().failure = outcome.error().code();
    open_ = false;
    return {};
  }

  std::vector<Kept> files;
  std::function<void()> on_write;
  bool full = false;
  bool gives_memory = false;

 private:
  std::map<std::string, std::vector<std::byte>> memory_;  // By URL.
  bool open_ = false;
};

std::vector<FileToRead> Requests(std::size_t count) {
  std::vector<FileToRead> requests;
  for (std::size_t i = 0; i < count; ++i) {
    requests.push_back(FileToRead{.url = "s3://b/d/" + std::to_string(i), .attributes = {}});
  }
  return requests;
}

void ExpectWhole(const KeepingSink& sink, std::span<const FileToRead> requests,
                 const std::vector<std::uint64_t>& sizes) {
  ASSERT_EQ(sink.files.size(), requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(sink.files[i].url, requests[i].url);
    EXPECT_FALSE(sink.files[i].failure) << requests[i].url;
    EXPECT_EQ(sink.files[i].bytes, BytesOf(requests[i].url.substr(7), "v1", 0, sizes[i]));
  }
}

// Replies come in any order, files are of all sizes: what is handed out is in order and whole.
TEST(ReadFiles, HandsOutInOrder) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    for (const std::size_t members : {std::size_t{0}, std::size_t{3}}) {
      FakePool pool(members);
      for (FakeWorker* worker : pool.workers) worker->StartPump(seed);
      Rng rng(seed);
      const std::vector<FileToRead> requests = Requests(100);
      std::vector<std::uint64_t> sizes;
      for (std::size_t i = 0; i < requests.size(); ++i) {
        sizes.push_back(rng.Below(i % 10 == 0 ? 6 * kFakeBlockBytes : 100'000));
        pool.Put(requests[i].url.substr(7), "v1", sizes.back());
      }
      KeepingSink sink;
      sink.gives_memory = seed % 2 == 1;
      const Status read = ReadFilesRun(pool.backends, pool.lookups, sink, 10s).Run(requests, {});
      ASSERT_TRUE(read.ok()) << read.error().message();
      ExpectWhole(sink, requests, sizes);
      EXPECT_EQ(pool.store.reads() == 0, members > 0);
    }
  }
}

// Any one fault of any worker at any call: the caller must not notice.
TEST(ReadFiles, AnyOneFaultIsInvisible) {
  const std::vector<FileToRead> requests = Requests(8);
  const std::vector<std::uint64_t> sizes(requests.size(), kFakeBlockBytes + 5);
  for (const Code code : {Code::kNotHere, Code::kUnavailable, Code::kOverloaded, Code::kCorrupt}) {
    for (int nth = 0; nth < 8; ++nth) {
      FakePool pool(2);
      for (FakeWorker* worker : pool.workers) {
        worker->Play(nth, nth + 2, Trick::kBreak, code);
        worker->StartPump(1);
      }
      for (const FileToRead& request : requests) {
        pool.Put(request.url.substr(7), "v1", kFakeBlockBytes + 5);
      }
      KeepingSink sink;
      ASSERT_TRUE(ReadFilesRun(pool.backends, pool.lookups, sink, 10s).Run(requests, {}).ok());
      ExpectWhole(sink, requests, sizes);
    }
  }
}

// The (file, block) in the order in which a client with `seed` asks for them.
std::vector<std::pair<std::string, std::uint32_t>> OrderOf(std::uint64_t seed, bool gives_memory) {
  FakePool pool(1);
  pool.backends.seed = seed;
  std::vector<FileToRead> requests = Requests(12);
  for (FileToRead& request : requests) {
    request.attributes = pool.Put(request.url.substr(7), "v1", 2 * kFakeBlockBytes)->attributes;
  }
  KeepingSink sink;
  sink.gives_memory = gives_memory;
  EXPECT_TRUE(ReadFilesRun(pool.backends, pool.lookups, sink, 10s).Run(requests, {}).ok());
  ExpectWhole(sink, requests, std::vector<std::uint64_t>(12, 2 * kFakeBlockBytes));
  std::vector<std::pair<std::string, std::uint32_t>> order;
  for (const BlockCall& call : pool.workers[0]->calls()) {
    order.emplace_back(call.block.path, call.block.index);
  }
  return order;
}

// Readers of the same files would otherwise all want the same few blocks at the same time.
TEST(ReadFiles, ReadersWithMemoryAskInOrdersOfTheirOwn) {
  std::set<std::vector<std::pair<std::string, std::uint32_t>>> orders;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    auto order = OrderOf(seed, /*gives_memory=*/true);
    EXPECT_EQ(order.front(), (std::pair<std::string, std::uint32_t>("d/0", 0)));
    EXPECT_EQ(std::set(order.begin(), order.end()).size(), 24u) << "each block once";
    orders.insert(std::move(order));
  }
  EXPECT_EQ(orders.size(), 10u);
  EXPECT_EQ(OrderOf(1, /*gives_memory=*/false), OrderOf(2, /*gives_memory=*/false));
}

TEST(ReadFiles, OutstandingBytesStayInTheWindow) {
  FakePool pool(1);
  pool.workers[0]->StartPump(1, /*least_calls=*/2);
  const std::vector<FileToRead> requests = Requests(2);
  for (const FileToRead& request : requests) {
    pool.Put(request.url.substr(7), "v1", 40 * kFakeBlockBytes);
  }
  KeepingSink sink;
  ASSERT_TRUE(ReadFilesRun(pool.backends, pool.lookups, sink, 10s).Run(requests, {}).ok());
  EXPECT_LE(pool.workers[0]->most_outstanding_bytes(), pool.backends.limits.window_bytes_max);
  EXPECT_GE(pool.workers[0]->most_outstanding_bytes(), 2 * kFakeBlockBytes);
}

TEST(ReadFiles, KnownAttributesSaveTheQuestion) {
  FakePool pool(2);
  std::vector<FileToRead> requests = Requests(3);
  for (FileToRead& request : requests) {
    request.attributes = pool.Put(request.url.substr(7), "v1", 1000)->attributes;
  }
  KeepingSink sink;
  ASSERT_TRUE(ReadFilesRun(pool.backends, pool.lookups, sink, 10s).Run(requests, {}).ok());
  ExpectWhole(sink, requests, {1000, 1000, 1000});
  EXPECT_EQ(pool.workers[0]->lookups() + pool.workers[1]->lookups(), 0);
}

// Received into the sink's memory, or not.
class ReadFilesMemory : public testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(, ReadFilesMemory, testing::Bool());

// Replaced before a byte was handed out: the new version is read, unnoticed.
TEST_P(ReadFilesMemory, AnEarlyChangeIsStartedAgain) {
  FakePool pool(2);
  std::vector<FileToRead> requests = Requests(2);
  for (FileToRead& request : requests) {
    request.attributes = pool.Put(request.url.substr(7), "v1", 3 * kFakeBlockBytes)->attributes;
  }
  pool.store.Put("d/0", "version 2", 2 * kFakeBlockBytes);
  for (FakeWorker* worker : pool.workers) worker->Replace("d/0", "version 2");
  KeepingSink sink;
  sink.gives_memory = GetParam();
  ASSERT_TRUE(ReadFilesRun(pool.backends, pool.lookups, sink, 10s).Run(requests, {}).ok());
  ASSERT_EQ(sink.files.size(), 2u);
  EXPECT_EQ(sink.files[0].version, "version 2");
  EXPECT_EQ(sink.files[0].bytes, BytesOf("d/0", "version 2", 0, 2 * kFakeBlockBytes));
  EXPECT_EQ(sink.files[1].bytes, BytesOf("d/1", "v1", 0, 3 * kFakeBlockBytes));
}

// Replaced while it was handed out: never a mix; the file ends with kChanged, the next one is read.
TEST_P(ReadFilesMemory, ALateChangeEndsTheFile) {
  FakePool pool(1);
  const std::vector<FileToRead> requests = Requests(2);
  for (const FileToRead& request : requests) {
    pool.Put(request.url.substr(7), "v1", 40 * kFakeBlockBytes);
  }
  KeepingSink sink;
  sink.gives_memory = GetParam();
  sink.on_write = [&pool] {
    pool.store.Put("d/0", "version 2", kFakeBlockBytes);
    pool.workers[0]->Replace("d/0", "version 2");
  };
  ASSERT_TRUE(ReadFilesRun(pool.backends, pool.lookups, sink, 10s).Run(requests, {}).ok());
  ASSERT_EQ(sink.files.size(), 2u);
  EXPECT_EQ(sink.files[0].failure, Code::kChanged);
  const std::vector<std::byte>& got = sink.files[0].bytes;
  EXPECT_LT(got.size(), 40 * kFakeBlockBytes);
  EXPECT_EQ(got, BytesOf("d/0", "v1", 0, got.size()));
  EXPECT_EQ(sink.files[1].bytes, BytesOf("d/1", "v1", 0, 40 * kFakeBlockBytes));
}

TEST(ReadFiles, AFailedFileDoesNotStopTheNext) {
  FakePool pool(2);
  std::vector<FileToRead> requests = Requests(3);
  requests[1].url = "s3://b/d/";
  requests.insert(requests.begin() + 1, FileToRead{.url = "not a URL", .attributes = {}});
  pool.Put("d/2", "v1", 10);
  KeepingSink sink;
  ASSERT_TRUE(ReadFilesRun(pool.backends, pool.lookups, sink, 10s).Run(requests, {}).ok());
  ASSERT_EQ(sink.files.size(), 4u);
  EXPECT_EQ(sink.files[0].failure, Code::kNotFound);
  EXPECT_EQ(sink.files[1].failure, Code::kInvalidArgument);
  EXPECT_EQ(sink.files[2].failure, Code::kInvalidArgument);
  EXPECT_FALSE(sink.files[3].failure);
  EXPECT_EQ(sink.files[3].bytes.size(), 10u);
}

TEST(ReadFiles, ASinkThatFailsEndsIt) {
  FakePool pool(2);
  for (FakeWorker* worker : pool.workers) worker->StartPump(1);
  const std::vector<FileToRead> requests = Requests(3);
  for (const FileToRead& request : requests) {
    pool.Put(request.url.substr(7), "v1", 9 * kFakeBlockBytes);
  }
  KeepingSink sink;
  sink.full = true;
  const Status read = ReadFilesRun(pool.backends, pool.lookups, sink, 10s).Run(requests, {});
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().message(), "sink is full");
  EXPECT_EQ(sink.files.size(), 1u);
}

TEST(ReadFiles, AStopEndsItWithin100Ms) {
  FakePool pool(1);
  pool.workers[0]->Play(0, 1000, Trick::kSlow);
  const std::vector<FileToRead> requests = Requests(3);
  for (const FileToRead& request : requests) pool.Put(request.url.substr(7), "v1", 100);
  std::stop_source stop;
  KeepingSink sink;
  TaskGroup other;
  other.Run("stopper", [&](std::stop_token) {
    while (pool.calls() == 0) continue;
    stop.request_stop();
  });
  const Status read =
      ReadFilesRun(pool.backends, pool.lookups, sink, 100s).Run(requests, stop.get_token());
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace forebay
