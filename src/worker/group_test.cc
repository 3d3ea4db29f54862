// Workers of one group in one process, with a control that says what a test wants.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <barrier>
#include <filesystem>

#include "base/digest.h"
#include "base/metrics.h"
#include "cluster/snapshot.h"
#include "io/http_server.h"
#include "rpc/channel.h"
#include "upstream/upstream.h"
#include "worker/worker.h"

namespace forebay {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kBlock = 64u << 10;
// A file that nobody changes: a fresh one may not be cached yet.
constexpr const char* kDirectory = "/usr/bin";
constexpr const char* kFile = "bash";

class GroupTest : public testing::Test {
 protected:
  GroupTest() {
    char name[] = "/tmp/forebay-group-XXXXXX";
    directory_ = mkdtemp(name);
    dataset_.uid.value.bytes.fill(7);
    dataset_.name = "group-test";
    dataset_.name_space = testing::UnitTest::GetInstance()->current_test_info()->name();
    dataset_.mounts = {{"/", std::string("file://") + kDirectory, {}, {}}};
    dataset_.block_bytes = kBlock;
    control_ = HttpServer::Start(ParseAddress(ControlText()).value(),
                                 {.threads_max = 16, .body_bytes_max = 1u << 20},
                                 [this](const HttpQuestion& question) { return Answer(question); })
                   .value();
  }
  ~GroupTest() override {
    workers_.clear();
    control_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string ControlText() const { return "unix:" + directory_ + "/control.sock"; }
  std::string AddressOf(const std::string& name) const { return "unix:" + directory_ + '/' + name; }

  HttpReply Answer(const HttpQuestion& question) {
    if (question.path == "/internal/v1/snapshot") return AnswerSnapshot();
    const Result<Heartbeat> beat = HeartbeatFromJson(question.body);
    EXPECT_TRUE(beat.ok()) << beat.error().message();
    HeartbeatAnswer answer;
    MutexLock lock(mutex_);
    if (beat.value().known_epoch != map_.epoch) answer.map = map_;
    if (beat.value().known_datasets != generation_) {
      answer.full = true;
      if (!deleted_) answer.datasets = {dataset_};
    }
    answer.datasets_generation = generation_;
    return {200, ToJson(answer, WithSecrets::kYes), "application/json"};
  }

  // Of one file, which has 4,242 bytes in it.
  HttpReply AnswerSnapshot() {
    ++snapshot_questions_;
    if (!snapshot_there_) return {.status = 503};
    SnapshotTree tree;
    tree[""].entries = {{kFile, {FileType::kFile, 4242, 0, "v"}}};
    const std::vector<std::byte> bytes =
        EncodeSnapshot({{dataset_.uid, dataset_.refreshed}, std::move(tree)});
    return {.body = {reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
  }

  // A map of epoch `epoch` whose ring, and the one before, have these members.
  GroupMap MapOf(std::uint64_t epoch, const std::vector<std::string>& ring,
                 const std::vector<std::string>& previous = {}) const {
    GroupMap map;
    map.epoch = epoch;
    map.ring.epoch = epoch;
    for (const std::string& name : ring) map.ring.members.push_back({name, 1});
    if (!previous.empty()) {
      map.previous = MapRing{epoch - 1, {}};
      for (const std::string& name : previous) map.previous->members.push_back({name, 1});
    }
    for (const std::string& name : ring) map.members.push_back({name, AddressOf(name), false});
    return map;
  }

  void SetMap(GroupMap map) {
    MutexLock lock(mutex_);
    map_ = std::move(map);
  }

  void StartWorker(const std::string& name) {
    WorkerOptions options;
    options.name = name;
    options.address = ParseAddress(AddressOf(name)).value();
    options.control = ParseControlAddress(ControlText()).value();
    options.memory_bytes = 16u << 20;
    options.block_bytes_max = kBlock;
    options.tier_directory = directory_ + "/tier-" + name;
    options.own_mount = false;
    mkdir(options.tier_directory.c_str(), 0700);
    Result<std::unique_ptr<Worker>> worker = Worker::Start(options);
    ASSERT_TRUE(worker.ok()) << worker.error().message();
    ASSERT_TRUE(worker.value()->AwaitJoined({}).ok());
    workers_[name] = std::move(worker).value();
  }

  // As a client with the map of epoch 5.
  std::unique_ptr<Channel> ChannelTo(const std::string& name) const {
    auto channel = std::make_unique<Channel>(ParseAddress(AddressOf(name)).value(),
                                             ChannelOptions{.block_bytes = 0});
    channel->set_epoch(5);
    return channel;
  }

  // How often a block was read from the store.
  std::uint64_t StoreReads() const {
    return Metrics()
        .AddCounter("forebay_upstream_requests_total", "Requests to the under-storage.",
                    {{"dataset", dataset_.name},
                     {"namespace", dataset_.name_space},
                     {"method", "READ"},
                     {"code", "OK"}})
        .value();
  }

  Attributes Stat(Channel& channel) const {
    const Result<LookupReply> reply =
        channel.Stat({DatasetStore(dataset_.uid), kFile, "", 60s, 0}, Clock::now() + 20s, {});
    if (!reply.ok()) {
      ADD_FAILURE() << reply.error().message();
      return {};
    }
    const WireAttributes& attributes = reply.value().entries[0].attributes;
    return {FileType::kFile, attributes.size, attributes.mtime_ns, attributes.version};
  }

  std::string directory_;
  DatasetEntry dataset_;
  std::atomic<int> snapshot_questions_ = 0;
  std::atomic<bool> snapshot_there_ = true;
  Mutex mutex_;
  GroupMap map_ GUARDED_BY(mutex_);
  std::uint64_t generation_ GUARDED_BY(mutex_) = 1;
  bool deleted_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<HttpServer> control_;
  std::map<std::string, std::unique_ptr<Worker>> workers_;
};

// Takes a block's bytes, and waits for their end.
class Receiver : public BlockReceiver {
 public:
  std::span<std::byte> Destination(std::uint32_t offset, std::uint32_t length) override {
    return std::span(bytes_).subspan(offset, length);
  }
  void Received(std::uint32_t, std::uint32_t, std::span<const std::uint32_t>) override {}
  void Done(Outcome outcome) override {
    MutexLock lock(mutex_);
    outcome_ = std::move(outcome);
    changed_.NotifyAll();
  }
  Status Await() {
    const Deadline deadline = Clock::now() + 30s;
    MutexLock lock(mutex_);
    while (!outcome_ && !Passed(deadline)) changed_.WaitUntil(mutex_, deadline);
    return outcome_ ? outcome_->status : Status(Error(Code::kDeadlineExceeded, "no end"));
  }

 private:
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kBlock);
  Mutex mutex_;
  CondVar changed_;
  std::optional<Outcome> outcome_ GUARDED_BY(mutex_);
};

// A client of the group that follows the maps it is handed.
class Reader {
 public:
  Reader(DatasetUid uid, GroupMap map) : uid_(uid) { Take(std::move(map)); }

  Status Read(std::uint32_t index, const Attributes& file) {
    for (int tries = 0; tries < 4; ++tries) {
      const FileKey key{{}, uid_, DigestOf(kFile), DigestOf(file.version)};
      const Ring& ring = placement_.ring();
      const std::uint32_t home = *placement_.Home(BlockKey{key, index}.Hash64());
      BlockCall call;
      const std::uint64_t start = std::uint64_t{index} * kBlock;
      const auto length =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlock, file.size - start));
      call.block = {DatasetStore(uid_), kFile, file.version, file.size, index, 0, length, kBlock};
      call.fill_only = fill_only;
      call.deadline = Clock::now() + 30s;
      const auto receiver = std::make_shared<Receiver>();
      channels_.at(ring.name(home))->StartRead(call, receiver);
      Status status = receiver->Await();
      if (status.ok() || status.error().code() != Code::kStale) return status;
      std::string newer;
      {
        MutexLock lock(mutex_);
        newer = newer_;
      }
      Result<GroupMap> map = MapFromJson(newer);
      if (!map.ok()) return map.error();
      Take(std::move(map).value());
    }
    return Error(Code::kStale, "for ever");
  }

  bool fill_only = false;  // Waits until the block is held, and takes no bytes.

 private:
  void Take(const GroupMap& map) {
    placement_ = MakePlacement(map).value();
    for (const MapMember& member : map.members) {
      std::unique_ptr<Channel>& channel = channels_[member.name];
      if (!channel) {
        channel = std::make_unique<Channel>(
            ParseAddress(member.address).value(),
            ChannelOptions{.block_bytes = 0,
                           .on_newer = [this](std::uint64_t, std::string_view text) {
                             if (text.empty()) return;
                             MutexLock lock(mutex_);
                             newer_ = text;
                           }});
      }
      channel->set_epoch(map.epoch);
    }
  }

  const DatasetUid uid_;
  Placement placement_;
  Mutex mutex_;
  std::string newer_ GUARDED_BY(mutex_);
  std::map<std::string, std::unique_ptr<Channel>> channels_;
};

TEST_F(GroupTest, WhileRingsChangeABlockIsReadFromTheStoreOnce) {
  const GroupMap before = MapOf(5, {"w-0", "w-1"});
  const GroupMap after = MapOf(6, {"w-0", "w-1", "w-2"}, {"w-0", "w-1"});
  SetMap(before);
  for (const char* name : {"w-0", "w-1", "w-2"}) StartWorker(name);
  const Attributes file = Stat(*ChannelTo("w-0"));
  const auto blocks = static_cast<std::uint32_t>((file.size + kBlock - 1) / kBlock);
  ASSERT_GT(blocks, 10u);
  const std::uint64_t reads = StoreReads();
  // Half of the blocks are there already, at the homes of before.
  Reader first(dataset_.uid, before);
  for (std::uint32_t index = 0; index < blocks / 2; ++index) {
    ASSERT_TRUE(first.Read(index, file).ok());
  }
  EXPECT_EQ(StoreReads() - reads, blocks / 2);

  SetMap(after);  // Workers hear of it from those who hold it.
  constexpr int kReaders = 20;
  std::atomic<int> failed = 0;
  std::barrier start(kReaders);
  TaskGroup readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.Run("reader", [&, i](std::stop_token) {
      Reader reader(dataset_.uid, i % 2 == 0 ? before : after);
      start.arrive_and_wait();
      for (std::uint32_t n = 0; n < blocks; ++n) {
        const Status read = reader.Read((n + static_cast<std::uint32_t>(i)) % blocks, file);
        if (!read.ok()) {
          ++failed;
          ADD_FAILURE() << read.error().message();
        }
      }
    });
  }
  readers.StopAndJoin();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(StoreReads() - reads, blocks);
}

TEST_F(GroupTest, TellsWhatItHoldsAndForgetsIt) {
  SetMap(MapOf(5, {"w-0"}));
  StartWorker("w-0");
  const auto channel = ChannelTo("w-0");
  const Attributes file = Stat(*channel);
  Reader reader(dataset_.uid, MapOf(5, {"w-0"}));
  reader.fill_only = true;
  ASSERT_TRUE(reader.Read(0, file).ok());
  ASSERT_TRUE(reader.Read(9, file).ok());
  const Deadline soon = Clock::now() + 20s;
  const Have have{dataset_.uid, {{DigestOf(kFile), DigestOf(file.version), 12}, {{}, {}, 1}}};
  for (const bool verify : {false, true}) {
    EXPECT_EQ(channel->AskHave(have, verify, soon, {}).value().bits,
              (std::vector<std::uint8_t>{1, 2, 0}));
  }
  EXPECT_EQ(channel->AskDrop({dataset_.uid, {DigestOf("other")}}, soon, {}).value().bytes, 0u);
  EXPECT_EQ(channel->AskDrop({dataset_.uid, {DigestOf(kFile)}}, soon, {}).value().bytes,
            2 * kBlock);
  EXPECT_EQ(channel->AskHave(have, false, soon, {}).value().bits,
            (std::vector<std::uint8_t>{0, 0, 0}));
  EXPECT_NE(channel->AskMetrics(soon, {}).value().find("forebay_cache_used_bytes"),
            std::string::npos);
}

TEST_F(GroupTest, ADatasetIsFoundByNameAndGoneWhenItWasDeleted) {
  SetMap(MapOf(5, {"w-0"}));
  StartWorker("w-0");
  const auto channel = ChannelTo("w-0");
  const Deadline soon = Clock::now() + 20s;
  const Result<GroupAnswer> found =
      GroupAnswerFromJson(channel->Group({dataset_.name, dataset_.name_space}, soon, {}).value());
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_EQ(found.value().map.epoch, 5u);
  ASSERT_TRUE(found.value().dataset);
  EXPECT_EQ(found.value().dataset->uid, dataset_.uid);
  EXPECT_EQ(channel->Group({"none", "x"}, soon, {}).error().code(), Code::kNotFound);
  const Attributes file = Stat(*channel);
  Reader reader(dataset_.uid, MapOf(5, {"w-0"}));
  reader.fill_only = true;
  ASSERT_TRUE(reader.Read(0, file).ok());
  EXPECT_GT(workers_.at("w-0")->usage().blocks, 0u);
  {
    MutexLock lock(mutex_);
    deleted_ = true;
    generation_ = 2;
  }
  // A name that nobody knows makes the worker ask control.
  EXPECT_EQ(channel->Group({"none", "x"}, soon, {}).error().code(), Code::kNotFound);
  EXPECT_EQ(reader.Read(0, file).error().code(), Code::kUnavailable);
  EXPECT_EQ(workers_.at("w-0")->usage().blocks, 0u);
}

TEST_F(GroupTest, NamesOfAPinnedDatasetAreThoseOfItsSnapshot) {
  dataset_.pinned = true;
  dataset_.refreshed = 3;
  SetMap(MapOf(5, {"w-0"}));
  StartWorker("w-0");
  const auto channel = ChannelTo("w-0");
  const auto stat = [&](const std::string& path, std::chrono::milliseconds age) {
    return channel->Stat({DatasetStore(dataset_.uid), path, "", age, 3}, Clock::now() + 20s, {});
  };
  constexpr auto kAnyAge = std::chrono::milliseconds::max();
  snapshot_there_ = false;
  const Result<LookupReply> early = stat("sh", kAnyAge);
  ASSERT_FALSE(early.ok());
  EXPECT_EQ(early.error().code(), Code::kUnavailable);
  snapshot_there_ = true;
  snapshot_questions_ = 0;
  for (int i = 0; i < 2; ++i) {
    const Result<LookupReply> pinned = stat(kFile, kAnyAge);
    ASSERT_TRUE(pinned.ok()) << pinned.error().message();
    EXPECT_EQ(pinned.value().entries[0].attributes.size, 4242u);
  }
  EXPECT_EQ(snapshot_questions_, 1);
  const Result<LookupReply> now = stat(kFile, 0ms);
  ASSERT_TRUE(now.ok()) << now.error().message();
  EXPECT_EQ(now.value().entries[0].attributes.size,
            std::filesystem::file_size(std::string(kDirectory) + '/' + kFile));
  // The snapshot stays while control is away, and nothing else that the store has is in it.
  control_.reset();
  EXPECT_EQ(stat(kFile, kAnyAge).value().entries[0].attributes.size, 4242u);
  EXPECT_EQ(stat("sh", kAnyAge).error().code(), Code::kNotFound);
}

TEST_F(GroupTest, AReaderWithOtherBlocksIsRefused) {
  SetMap(MapOf(5, {"w-0"}));
  StartWorker("w-0");
  const auto channel = ChannelTo("w-0");
  const Attributes file = Stat(*channel);
  BlockCall call;
  call.block = {DatasetStore(dataset_.uid), kFile, file.version, file.size, 0, 0, 100, 2 * kBlock};
  call.deadline = Clock::now() + 20s;
  const auto receiver = std::make_shared<Receiver>();
  channel->StartRead(call, receiver);
  EXPECT_EQ(receiver->Await().error().code(), Code::kUnavailable);
  call.block.store = "s3://bucket";
  const auto bare = std::make_shared<Receiver>();
  channel->StartRead(call, bare);
  EXPECT_EQ(bare->Await().error().code(), Code::kDenied);
}

}  // namespace
}  // namespace forebay
