#include "near/near_worker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/check.h"
#include "base/rng.h"
#include "base/task_group.h"
#include "base/wall_clock.h"
#include "client/near_link.h"
#include "io/message_socket.h"
#include "io/socket.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr std::uint64_t kMiB = 1u << 20;

// A store in a directory, a near worker, and clients of both.
class NearWorkerTest : public testing::Test {
 protected:
  // Files are kept once their tag is settled, 2 s after the last change: so they are written once
  // for all tests.
  static void SetUpTestSuite() {
    std::string name = "/dev/shm/forebay-near-test-XXXXXX";
    CHECK(mkdtemp(name.data()) != nullptr);
    root_ = name;
    std::filesystem::create_directory(root_ + "/store");
    small_ = Write("small", 100'000, 1);
    large_ = Write("large", 21 * kMiB + 77, 2);
    two_chunks_ = Write("two-chunks", 4 * kMiB, 3);
    replaced_ = Write("replaced", 100'000, 4);
    AwaitSettled("replaced");
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(root_); }

  NearWorkerTest() : source_(Connect("")) {}
  ~NearWorkerTest() override {
    near_.reset();
    while (umount2((root_ + "/tier").c_str(), MNT_DETACH) == 0) continue;
  }

  static std::unique_ptr<Client> Connect(const std::string& near_socket) {
    ClientOptions options;
    options.near_socket = near_socket;
    Result<std::unique_ptr<Client>> client = Client::Create(std::move(options));
    CHECK(client.ok());
    return std::move(client).value();
  }

  static std::string Socket() { return root_ + "/near.sock"; }

  void StartNear(std::uint64_t quota_bytes = 64 * kMiB) {
    Result<std::unique_ptr<NearWorker>> near = NearWorker::Start(
        *source_,
        {.socket = Socket(),
         .tier = {.directory = root_ + "/tier", .own_mount = true, .quota_bytes = quota_bytes}});
    ASSERT_TRUE(near.ok()) << near.error().message();
    near_ = std::move(near).value();
  }

  static std::string Write(const std::string& name, std::uint64_t bytes, std::uint64_t seed) {
    std::string content(bytes, '\0');
    Rng rng(seed);
    for (char& byte : content) byte = static_cast<char>(rng.Next());
    const std::string path = root_ + "/store/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return content;
  }
  static void AwaitSettled(const std::string& name) {
    const Result<Attributes> attributes = Connect("")->Stat(UrlOf(name), Clock::now() + 10s, {});
    CHECK(attributes.ok());
    while (WallClockNanoseconds() <= SettledAtNanoseconds(attributes.value())) {
      poll(nullptr, 0, 10);
    }
  }

  static std::string UrlOf(const std::string& name) { return "file://" + root_ + "/store/" + name; }

  static std::unique_ptr<File> Open(Client& client, const std::string& name) {
    const Result<Attributes> attributes = client.Stat(UrlOf(name), Clock::now() + 10s, {});
    CHECK(attributes.ok());
    Result<std::unique_ptr<File>> file =
        client.OpenVersion(UrlOf(name), attributes.value(), Clock::now() + 10s, {});
    CHECK(file.ok());
    return std::move(file).value();
  }

  static std::string Read(File& file, std::uint64_t offset, std::uint64_t length) {
    std::string bytes(length, '\0');
    const Result<std::size_t> read =
        file.Read(offset, std::as_writable_bytes(std::span(bytes)), Clock::now() + 20s, {});
    CHECK(read.ok());
    bytes.resize(read.value());
    return bytes;
  }

  static std::string ReadAll(File& file) {
    std::string all;
    while (true) {
      const std::string part = Read(file, all.size(), kMiB);
      if (part.empty()) return all;
      all += part;
    }
  }

  static std::string ReadDescriptor(int fd, std::uint64_t length) {
    std::string bytes(length, '\0');
    CHECK(pread(fd, bytes.data(), length, 0) == static_cast<ssize_t>(length));
    return bytes;
  }

  static inline std::string root_;
  static inline std::string small_;
  static inline std::string large_;
  static inline std::string two_chunks_;
  static inline std::string replaced_;
  const std::unique_ptr<Client> source_;
  std::unique_ptr<NearWorker> near_;
};

TEST_F(NearWorkerTest, ASmallFileIsWholeAtItsFirstOpen) {
  StartNear();
  const std::unique_ptr<Client> client = Connect(Socket());
  const std::unique_ptr<File> file = Open(*client, "small");
  ASSERT_GE(file->whole(), 0);
  EXPECT_EQ(ReadDescriptor(file->whole(), small_.size()), small_);
  EXPECT_EQ(ReadAll(*file), small_);
  EXPECT_EQ(client->source_bytes().local, small_.size());
  EXPECT_EQ(client->source_bytes().upstream, 0u);
}

TEST_F(NearWorkerTest, AFileThatIsReadInOrderBecomesWholeAndIsReadOnceOnly) {
  StartNear();
  const std::unique_ptr<Client> one = Connect(Socket());
  const std::unique_ptr<File> file = Open(*one, "large");
  EXPECT_EQ(file->whole(), -1);
  EXPECT_TRUE(ReadAll(*file) == large_);
  EXPECT_EQ(one->source_bytes().local, large_.size());
  EXPECT_EQ(source_->source_bytes().upstream, large_.size());
  const std::unique_ptr<Client> two = Connect(Socket());
  const std::unique_ptr<File> again = Open(*two, "large");
  ASSERT_GE(again->whole(), 0);
  EXPECT_TRUE(ReadDescriptor(again->whole(), large_.size()) == large_);
  EXPECT_EQ(source_->source_bytes().upstream, large_.size());
  EXPECT_EQ(near_->figures().whole_files, 1u);
}

TEST_F(NearWorkerTest, SmallReadsAtRandomOfALargeFileGoPastIt) {
  StartNear();
  const std::unique_ptr<Client> client = Connect(Socket());
  const std::unique_ptr<File> file = Open(*client, "large");
  EXPECT_EQ(Read(*file, 13 * kMiB + 5, 4096), large_.substr(13 * kMiB + 5, 4096));
  EXPECT_EQ(Read(*file, 7 * kMiB, 4096), large_.substr(7 * kMiB, 4096));
  EXPECT_EQ(client->source_bytes().local, 0u);
  EXPECT_EQ(near_->figures().used_bytes, 0u);
  // What is touched again is kept.
  EXPECT_EQ(Read(*file, 13 * kMiB + 9, 4096), large_.substr(13 * kMiB + 9, 4096));
  EXPECT_EQ(client->source_bytes().local, 4096u);
}

TEST_F(NearWorkerTest, WhatChangedJustNowIsNotKept) {
  StartNear();
  const std::string content = Write("young", 1000, 4);
  const std::unique_ptr<Client> client = Connect(Socket());
  const std::unique_ptr<File> file = Open(*client, "young");
  EXPECT_EQ(file->whole(), -1);
  EXPECT_EQ(ReadAll(*file), content);
  EXPECT_EQ(client->source_bytes().local, 0u);
}

TEST_F(NearWorkerTest, AReplacedFileIsAnother) {
  StartNear();
  const std::unique_ptr<Client> client = Connect(Socket());
  const std::unique_ptr<File> old_file = Open(*client, "replaced");
  ASSERT_GE(old_file->whole(), 0);
  const std::string new_content = Write("replaced", 100'000, 6);
  AwaitSettled("replaced");
  const std::unique_ptr<Client> later = Connect(Socket());  // It has no name cached.
  const std::unique_ptr<File> new_file = Open(*later, "replaced");
  ASSERT_GE(new_file->whole(), 0);
  EXPECT_EQ(ReadDescriptor(old_file->whole(), replaced_.size()), replaced_);
  EXPECT_EQ(ReadDescriptor(new_file->whole(), new_content.size()), new_content);
}

TEST_F(NearWorkerTest, WithoutRoomFilesAreReadAsIfItWereNotThere) {
  StartNear(4 * kMiB);
  const std::unique_ptr<Client> client = Connect(Socket());
  EXPECT_TRUE(ReadAll(*Open(*client, "large")) == large_);
  const std::unique_ptr<File> file = Open(*client, "two-chunks");
  EXPECT_TRUE(ReadAll(*file) == two_chunks_);
  EXPECT_EQ(near_->figures().used_bytes, 4 * kMiB);
  // All of it is open.
  EXPECT_EQ(ReadAll(*Open(*client, "small")), small_);
  EXPECT_EQ(near_->figures().evictions, 0u);
}

TEST_F(NearWorkerTest, ReadsGoOnWhenItIsGoneAndWhenItIsBack) {
  StartNear();
  const std::unique_ptr<Client> client = Connect(Socket());
  const std::unique_ptr<File> file = Open(*client, "large");
  EXPECT_EQ(Read(*file, 0, kMiB), large_.substr(0, kMiB));
  near_.reset();
  EXPECT_EQ(Read(*file, 0, kMiB), large_.substr(0, kMiB)) << "what is open stays";
  EXPECT_EQ(Read(*file, 7 * kMiB, kMiB), large_.substr(7 * kMiB, kMiB));
  StartNear();
  EXPECT_TRUE(ReadAll(*file) == large_) << "the new one has another file of this name";
  const Deadline until = Clock::now() + 10s;
  while (Clock::now() < until && Open(*client, "large")->whole() < 0) {
    EXPECT_TRUE(ReadAll(*Open(*client, "large")) == large_);
  }
  EXPECT_GE(Open(*client, "large")->whole(), 0);
}

TEST_F(NearWorkerTest, ADescriptorOfAnOlderFileIsNotReadAsTheNewerOne) {
  StartNear();
  const std::unique_ptr<Client> client = Connect(Socket());
  const std::unique_ptr<File> older = Open(*client, "large");
  EXPECT_EQ(Read(*older, 0, kMiB), large_.substr(0, kMiB));
  near_.reset();
  StartNear();
  // The newer file of this name is whole now; the older one is not.
  const std::unique_ptr<Client> other = Connect(Socket());
  EXPECT_TRUE(ReadAll(*Open(*other, "large")) == large_);
  EXPECT_GE(Open(*other, "large")->whole(), 0);
  EXPECT_EQ(Read(*older, 19 * kMiB, kMiB), large_.substr(19 * kMiB, kMiB));
}

TEST_F(NearWorkerTest, OneThatHangsCostsTwoSecondsOnce) {
  const Result<UniqueFd> listener = ListenForMessages(Socket());  // Nobody answers.
  ASSERT_TRUE(listener.ok());
  const std::unique_ptr<Client> client = Connect(Socket());
  const Deadline began = Clock::now();
  EXPECT_EQ(ReadAll(*Open(*client, "small")), small_);
  const auto first = Clock::now() - began;
  EXPECT_GE(first, NearLink::kPatience);
  EXPECT_LT(first, NearLink::kPatience + 3s);
}

TEST_F(NearWorkerTest, OneThatWorksForEverLeavesTimeToReadElsewhere) {
  const Result<UniqueFd> listener = ListenForMessages(Socket());
  ASSERT_TRUE(listener.ok());
  TaskGroup worker;
  worker.Run("worker", [&](const std::stop_token& stop) {
    while (!WaitFor(listener.value().get(), false, Clock::now() + 20ms)) {
      if (stop.stop_requested()) return;
    }
    const Result<UniqueFd> peer = Accept(listener.value().get());
    const std::vector<std::byte> working = Encode(NearAnswer{.kind = NearAnswerKind::kWorking});
    while (SendMessage(peer.value().get(), working, -1, Clock::now() + 1s).ok()) {
      poll(nullptr, 0, 50);
    }
  });
  const std::unique_ptr<Client> client = Connect(Socket());
  const Result<Attributes> attributes = client->Stat(UrlOf("small"), Clock::now() + 10s, {});
  ASSERT_TRUE(attributes.ok());
  const Deadline deadline = Clock::now() + 2s;
  Result<std::unique_ptr<File>> file =
      client->OpenVersion(UrlOf("small"), attributes.value(), deadline, {});
  ASSERT_TRUE(file.ok());
  std::vector<std::byte> bytes(small_.size());
  EXPECT_TRUE(file.value()->Read(0, bytes, deadline, {}).ok());
}

TEST_F(NearWorkerTest, AStrangersMessageEndsItsConnectionOnly) {
  StartNear();
  const Result<UniqueFd> stranger = ConnectForMessages(Socket());
  ASSERT_TRUE(stranger.ok());
  const std::array<std::byte, 3> bytes{};
  ASSERT_TRUE(SendMessage(stranger.value().get(), bytes, -1, Clock::now() + 5s).ok());
  EXPECT_EQ(ReceiveMessage(stranger.value().get(), 100, Clock::now() + 5s, {}).error().code(),
            Code::kUnavailable);
  const std::unique_ptr<Client> client = Connect(Socket());
  EXPECT_GE(Open(*client, "small")->whole(), 0);
}

TEST_F(NearWorkerTest, ItTurnsWhileNobodyAsks) {
  StartNear();
  const Deadline until = Clock::now() + 1'500ms;
  while (Clock::now() < until) {
    EXPECT_TRUE(near_->IsTurning());
    poll(nullptr, 0, 50);
  }
}

TEST_F(NearWorkerTest, NothingIsLeftBehind) {
  StartNear();
  const std::unique_ptr<Client> client = Connect(Socket());
  EXPECT_GE(Open(*client, "small")->whole(), 0);
  near_.reset();
  EXPECT_FALSE(std::filesystem::exists(Socket()));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/tier"));
}

}  // namespace
}  // namespace forebay
