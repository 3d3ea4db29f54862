// ControlLink against an HTTP server that answers as control does.
#include "cluster/control_link.h"

#include <gtest/gtest.h>

#include <deque>

#include "io/http_server.h"

namespace forebay {
namespace {

using namespace std::chrono_literals;

DatasetEntry DatasetOf(std::uint8_t byte) {
  DatasetEntry dataset;
  dataset.uid.value.bytes.fill(byte);
  dataset.name = "d";
  return dataset;
}

GroupMap MapOf(std::uint64_t epoch, std::vector<std::string> ring, bool masked = false) {
  GroupMap map;
  map.epoch = epoch;
  map.ring.epoch = epoch;
  for (std::string& name : ring) {
    map.ring.members.push_back({name, 1});
    map.members.push_back({name, "unix:/" + name, masked});
  }
  return map;
}

// Answers heartbeats with `answer`, and keeps them.
class FakeControl {
 public:
  FakeControl() {
    char name[] = "/tmp/forebay-link-XXXXXX";
    directory_ = mkdtemp(name);
    Serve();
  }
  ~FakeControl() {
    server_.reset();
    rmdir(directory_.c_str());
  }

  void Serve() {
    server_ = HttpServer::Start(ParseAddress(address()).value(), {.body_bytes_max = 1u << 20},
                                [this](const HttpQuestion& question) { return Answer(question); })
                  .value();
  }
  void Die() { server_.reset(); }
  std::string address() const { return "unix:" + directory_ + "/control.sock"; }

  void Set(HeartbeatAnswer answer, int status = 200) {
    MutexLock lock(mutex_);
    answer_ = std::move(answer);
    status_ = status;
  }
  std::size_t count() const {
    MutexLock lock(mutex_);
    return beats_.size();
  }
  Heartbeat Last() const {
    MutexLock lock(mutex_);
    return beats_.back();
  }
  // Waits for the first heartbeat for which `right` holds.
  bool Await(const std::function<bool(const Heartbeat&)>& right) {
    const Deadline deadline = Clock::now() + 10s;
    MutexLock lock(mutex_);
    while (!Passed(deadline)) {
      for (const Heartbeat& beat : beats_) {
        if (right(beat)) return true;
      }
      changed_.WaitUntil(mutex_, deadline);
    }
    return false;
  }

 private:
  HttpReply Answer(const HttpQuestion& question) {
    MutexLock lock(mutex_);
    Result<Heartbeat> beat = HeartbeatFromJson(question.body);
    EXPECT_TRUE(beat.ok()) << beat.error().message();
    beats_.push_back(std::move(beat).value());
    changed_.NotifyAll();
    if (status_ != 200) return {status_, "the name is taken"};
    HeartbeatAnswer answer = answer_;
    if (answer.map && answer.map->epoch == beats_.back().known_epoch) answer.map.reset();
    return {200, ToJson(answer, WithSecrets::kYes), "application/json"};
  }

  std::string directory_;
  mutable Mutex mutex_;
  CondVar changed_;
  HeartbeatAnswer answer_ GUARDED_BY(mutex_);
  int status_ GUARDED_BY(mutex_) = 200;
  std::deque<Heartbeat> beats_ GUARDED_BY(mutex_);
  std::unique_ptr<HttpServer> server_;
};

class ControlLinkTest : public testing::Test {
 protected:
  // An interval that no test outlasts: whatever comes was asked for.
  std::unique_ptr<ControlLink> Link(std::chrono::milliseconds interval = 1h) {
    ControlLinkOptions options;
    options.control = ParseControlAddress(control_.address()).value();
    options.name = "w-0";
    options.interval = interval;
    options.figures = [this](Heartbeat& beat) {
      beat.used_bytes = 5;
      beat.datasets = {{DatasetOf(1).uid, bytes_, 1, 1, 0, 0, 0, 0, 0}};
    };
    options.on_view = [this](const std::shared_ptr<const GroupView>&) { ++views_; };
    return std::make_unique<ControlLink>(options, 0xabc);
  }
  static void Beat(ControlLink& link) { link.AwaitNews(Clock::now() + 10s, {}); }

  FakeControl control_;
  std::atomic<std::uint64_t> bytes_ = 7;
  std::atomic<int> views_ = 0;
};

TEST_F(ControlLinkTest, JoinsAndKnowsWhatControlKnows) {
  HeartbeatAnswer answer;
  answer.map = MapOf(5, {"w-0", "w-1"});
  answer.datasets = {DatasetOf(1)};
  answer.datasets_generation = 3;
  answer.full = true;
  control_.Set(answer);
  const auto link = Link();
  EXPECT_EQ(link->view()->map.epoch, 0u);
  link->Start("127.0.0.1:7");
  ASSERT_TRUE(link->AwaitJoined({}).ok());
  const std::shared_ptr<const GroupView> view = link->view();
  EXPECT_EQ(view->map.epoch, 5u);
  EXPECT_EQ(view->placement.ring().size(), 2u);
  EXPECT_EQ(view->datasets.size(), 1u);
  EXPECT_TRUE(view->knows_all_datasets);
  EXPECT_EQ(control_.Last().instance, "0000000000000abc");
  EXPECT_EQ(control_.Last().address, "127.0.0.1:7");
  EXPECT_EQ(control_.Last().known_epoch, 0u);
  Beat(*link);
  EXPECT_EQ(control_.Last().known_epoch, 5u);
  EXPECT_EQ(control_.Last().known_datasets, 3u);
}

TEST_F(ControlLinkTest, DatasetsComeChangeAndGo) {
  HeartbeatAnswer answer;
  answer.datasets = {DatasetOf(1), DatasetOf(2)};
  answer.full = true;
  control_.Set(answer);
  const auto link = Link();
  link->Start("a");
  ASSERT_TRUE(link->AwaitJoined({}).ok());
  answer = {};
  answer.datasets_generation = 2;
  answer.datasets = {DatasetOf(3)};
  answer.datasets[0].refreshed = 9;
  answer.deleted = {DatasetOf(1).uid};
  control_.Set(answer);
  Beat(*link);
  EXPECT_EQ(link->view()->datasets.size(), 2u);
  EXPECT_FALSE(link->view()->datasets.contains(DatasetOf(1).uid));
  EXPECT_EQ(link->view()->datasets.at(DatasetOf(3).uid)->refreshed, 9u);
  answer = {};
  answer.full = true;
  answer.datasets_generation = 3;
  control_.Set(answer);
  Beat(*link);
  EXPECT_TRUE(link->view()->datasets.empty());
}

TEST_F(ControlLinkTest, FiguresAreSentWhenTheyChanged) {
  const auto link = Link();
  link->Start("a");
  ASSERT_TRUE(link->AwaitJoined({}).ok());
  EXPECT_EQ(control_.Last().datasets.size(), 1u);
  Beat(*link);
  EXPECT_TRUE(control_.Last().datasets.empty());
  bytes_ = 8;
  Beat(*link);
  ASSERT_EQ(control_.Last().datasets.size(), 1u);
  EXPECT_EQ(control_.Last().datasets[0].bytes, 8u);
}

TEST_F(ControlLinkTest, ANewerEpochIsFetchedAtOnceAndAFalseOneForgotten) {
  HeartbeatAnswer answer;
  answer.map = MapOf(5, {"w-0"});
  control_.Set(answer);
  const auto link = Link();
  link->Start("a");
  ASSERT_TRUE(link->AwaitJoined({}).ok());
  answer.map = MapOf(6, {"w-0", "w-1"});
  control_.Set(answer);
  link->Heard(6);
  ASSERT_TRUE(control_.Await([](const Heartbeat& beat) { return beat.known_epoch == 5; }));
  Beat(*link);
  EXPECT_EQ(link->view()->map.epoch, 6u);
  link->Heard(99);
  Beat(*link);
  EXPECT_EQ(link->newest_epoch(), 6u);
}

TEST_F(ControlLinkTest, EpochsNeverGoBack) {
  HeartbeatAnswer answer;
  answer.map = MapOf(5, {"w-0"});
  control_.Set(answer);
  const auto link = Link();
  link->Start("a");
  ASSERT_TRUE(link->AwaitJoined({}).ok());
  answer.map = MapOf(4, {"w-0", "w-1"});
  control_.Set(answer);
  Beat(*link);
  EXPECT_EQ(link->view()->map.epoch, 5u);
}

TEST_F(ControlLinkTest, ALearningControlIsToldTheMapAndAllFigures) {
  HeartbeatAnswer answer;
  answer.map = MapOf(5, {"w-0"});
  control_.Set(answer);
  const auto link = Link();
  link->Start("a");
  ASSERT_TRUE(link->AwaitJoined({}).ok());
  answer = {};
  answer.learning = true;
  control_.Set(answer);
  link->Refresh();
  ASSERT_TRUE(control_.Await([](const Heartbeat& beat) {
    return beat.map && beat.map->epoch == 5 && !beat.datasets.empty();
  }));
  EXPECT_EQ(link->view()->map.epoch, 5u);
}

TEST_F(ControlLinkTest, GoesOnWhileControlIsAway) {
  HeartbeatAnswer answer;
  answer.map = MapOf(5, {"w-0"});
  control_.Set(answer);
  const auto link = Link(10ms);
  link->Start("a");
  ASSERT_TRUE(link->AwaitJoined({}).ok());
  control_.Die();
  link->Heard(6);
  Beat(*link);
  EXPECT_EQ(link->view()->map.epoch, 5u);
  EXPECT_EQ(link->newest_epoch(), 5u);  // What cannot be had is not waited for.
  control_.Serve();
  answer.map = MapOf(6, {"w-0"});
  control_.Set(answer);
  EXPECT_TRUE(control_.Await([](const Heartbeat& beat) { return beat.known_epoch == 6; }));
}

TEST_F(ControlLinkTest, ATakenNameIsRefused) {
  control_.Set({}, 409);
  const auto link = Link();
  link->Start("a");
  const Status joined = link->AwaitJoined({});
  ASSERT_FALSE(joined.ok());
  EXPECT_EQ(joined.error().code(), Code::kDenied);
  EXPECT_NE(joined.error().message().find("the name is taken"), std::string::npos);
}

TEST_F(ControlLinkTest, LeavesInOrder) {
  const auto link = Link();
  link->Start("a");
  ASSERT_TRUE(link->AwaitJoined({}).ok());
  EXPECT_FALSE(control_.Last().leaving);
  link->Leave();
  EXPECT_TRUE(control_.Last().leaving);
}

// A ring that was there before this process, or that masked it: its next holder may have blocks.
TEST_F(ControlLinkTest, KnowsThatItReturned) {
  HeartbeatAnswer answer;
  answer.map = MapOf(5, {"w-0", "w-1"});
  control_.Set(answer);
  const auto link = Link();
  link->Start("a");
  ASSERT_TRUE(link->AwaitJoined({}).ok());
  EXPECT_TRUE(link->view()->returned);
  answer.map->epoch = 6;
  control_.Set(answer);
  Beat(*link);
  EXPECT_TRUE(link->view()->returned);  // The same ring.
  answer.map = MapOf(7, {"w-0", "w-1"});
  control_.Set(answer);
  Beat(*link);
  EXPECT_FALSE(link->view()->returned);
  answer.map->epoch = 8;
  answer.map->members[0].masked = true;
  control_.Set(answer);
  Beat(*link);
  EXPECT_TRUE(link->view()->returned);
}

TEST(ControlAddress, IsAUrlOrAUnixSocket) {
  EXPECT_EQ(ParseControlAddress("http://h:1/").value().url, "http://h:1");
  EXPECT_EQ(ParseControlAddress("unix:/a/b").value().unix_path, "/a/b");
  for (const char* wrong : {"", "h:1", "https://h:1", "http://", "http://h", "http://h:1/x"}) {
    EXPECT_FALSE(ParseControlAddress(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace forebay
