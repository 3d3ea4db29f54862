// The kernel's side is played by a socket, the store by a directory.
#include "mount/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <set>
#include <thread>

#include "base/deadline.h"
#include "base/temporary_directory.h"
#include "base/wall_clock.h"
#include "mount/fuse_connection.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

template <typename T>
std::string TextOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

struct Reply {
  int error = 0;
  std::string body;

  template <typename T>
  T As() const {
    T value{};
    EXPECT_GE(body.size(), sizeof(T));
    std::memcpy(&value, body.data(), std::min(sizeof(T), body.size()));
    return value;
  }
};

class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    Write("small", "hello\n");
    ASSERT_EQ(mkdir((directory_ + "/sub").c_str(), 0755), 0);
    client_ = Client::Create({}).value();
    filesystem_ = std::make_unique<Filesystem>(
        *client_, *table_,
        FilesystemOptions{
            .root = "file://" + directory_ + "/", .ownership = {}, .kernel_reads_ahead = true});
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
    kernel_.Reset(pair[0]);
    fuse_init_in init{};
    init.major = 7;
    init.minor = 44;
    init.max_readahead = 1u << 17;
    init.flags = 0xFFFFFFFF;
    Send(FUSE_INIT, 0, TextOf(init));
    const FuseConnection connection = FuseConnection::Settle(UniqueFd(pair[1]), {}).value();
    session_ = Session::Start(connection.channels(), *filesystem_);
    init_ = Receive().second.As<fuse_init_out>();
  }
  void TearDown() override {
    kernel_.Reset();  // As unmounting does.
    EXPECT_TRUE(session_->Wait(Clock::now() + 10s, {}));
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << text;
  }

  std::uint64_t Send(std::uint32_t opcode, std::uint64_t node, const std::string& body) {
    fuse_in_header header{};
    header.len = static_cast<std::uint32_t>(sizeof(header) + body.size());
    header.opcode = opcode;
    header.unique = (unique_ += 2);
    header.nodeid = node;
    const std::string bytes = TextOf(header) + body;
    EXPECT_EQ(write(kernel_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    return unique_;
  }
  std::pair<std::uint64_t, Reply> Receive() const {
    std::string bytes(2u << 20, '\0');
    const ssize_t size = read(kernel_.get(), bytes.data(), bytes.size());
    fuse_out_header header{};
    EXPECT_GE(size, static_cast<ssize_t>(sizeof(header)));
    std::memcpy(&header, bytes.data(), sizeof(header));
    EXPECT_EQ(header.len, size);
    return {header.unique,
            {-header.error,
             bytes.substr(sizeof(header), static_cast<std::size_t>(size) - sizeof(header))}};
  }
  Reply Ask(std::uint32_t opcode, std::uint64_t node, const std::string& body) {
    const std::uint64_t unique = Send(opcode, node, body);
    auto [answered, reply] = Receive();
    EXPECT_EQ(answered, unique);
    return reply;
  }
  // Until what is written to `name` later cannot be taken for what is there now.
  void AwaitSettled(const std::string& name) {
    const std::string url = "file://" + directory_ + "/" + name;
    const Result<Attributes> attributes = client_->Stat(url, Clock::now() + 10s, {});
    ASSERT_TRUE(attributes.ok());
    const std::int64_t settled = SettledAtNanoseconds(attributes.value());
    while (WallClockNanoseconds() < settled) std::this_thread::yield();
  }
  fuse_entry_out LookUp(const std::string& name) {
    return Ask(FUSE_LOOKUP, 1, name + '\0').As<fuse_entry_out>();
  }
  Reply Read(std::uint64_t node, std::uint64_t handle, std::uint64_t offset, std::uint32_t size,
             std::uint32_t flags = 0) {
    fuse_read_in in{};
    in.flags = flags;
    in.fh = handle;
    in.offset = offset;
    in.size = size;
    return Ask(FUSE_READ, node, TextOf(in));
  }

  const TemporaryDirectory folder_;
  const std::string& directory_ = folder_.path();
  const std::unique_ptr<NodeTable> table_ = NodeTable::Create(1u << 20).value();
  std::unique_ptr<Client> client_;
  std::unique_ptr<Filesystem> filesystem_;
  UniqueFd kernel_;
  std::unique_ptr<Session> session_;
  std::uint64_t unique_ = 0;
  fuse_init_out init_{};
};

TEST_F(SessionTest, SettlesOnWhatBothKnow) {
  EXPECT_EQ(init_.major, 7u);
  EXPECT_EQ(init_.minor, static_cast<std::uint32_t>(FUSE_KERNEL_MINOR_VERSION));
  EXPECT_EQ(init_.max_pages, 256);
  EXPECT_NE(init_.flags & FUSE_DO_READDIRPLUS, 0u);
  EXPECT_EQ(init_.flags & (FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT), 0u);
}

// The kernel reads ahead by itself, but not for those who go past its pages.
TEST_F(SessionTest, ReadsAheadWhereTheKernelDoesNot) {
  constexpr std::uint32_t kPart = 64u << 10;
  constexpr std::uint64_t kParts = 16;
  Write("big", std::string(16u << 20, 'b'));
  const std::uint64_t node = LookUp("big").nodeid;
  const Reply opened = Ask(FUSE_OPEN, node, TextOf(fuse_open_in{}));
  const std::uint64_t handle = opened.As<fuse_open_out>().fh;
  const std::string part(kPart, 'b');
  for (std::uint64_t i = 0; i < kParts; ++i) {
    ASSERT_EQ(Read(node, handle, i * kPart, kPart).body, part);
  }
  EXPECT_EQ(client_->source_bytes().upstream, kParts * kPart);
  for (std::uint64_t i = 0; i < kParts; ++i) {
    ASSERT_EQ(Read(node, handle, i * kPart, kPart, O_DIRECT).body, part);
  }
  const Deadline deadline = Clock::now() + 10s;
  while (client_->source_bytes().upstream <= 2 * kParts * kPart && Clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_GT(client_->source_bytes().upstream, 2 * kParts * kPart);
}

TEST_F(SessionTest, ReadsAFile) {
  const fuse_entry_out entry = LookUp("small");
  EXPECT_EQ(entry.attr.size, 6u);
  EXPECT_EQ(entry.attr.mode, S_IFREG | 0644u);
  EXPECT_GT(entry.entry_valid, 50u);
  EXPECT_LE(entry.entry_valid, 60u);
  const Reply opened = Ask(FUSE_OPEN, entry.nodeid, TextOf(fuse_open_in{}));
  const std::uint64_t handle = opened.As<fuse_open_out>().fh;
  EXPECT_EQ(Read(entry.nodeid, handle, 0, 4096).body, "hello\n");
  EXPECT_EQ(Read(entry.nodeid, handle, 2, 3).body, "llo");
  EXPECT_EQ(Read(entry.nodeid, handle, 6, 10).body, "");
  fuse_release_in release{};
  release.fh = handle;
  EXPECT_EQ(Ask(FUSE_RELEASE, entry.nodeid, TextOf(release)).error, 0);
  // A handle that another process gave out is its node.
  EXPECT_EQ(Read(entry.nodeid, handle + 77, 0, 4096).body, "hello\n");
}

TEST_F(SessionTest, AFileThatWasJustChangedIsNotKept) {
  const std::uint64_t node = LookUp("small").nodeid;
  const Reply opened = Ask(FUSE_OPEN, node, TextOf(fuse_open_in{}));
  EXPECT_EQ(opened.As<fuse_open_out>().open_flags & FOPEN_KEEP_CACHE, 0u);
}

TEST_F(SessionTest, AReplacedFileIsAnotherNodeAndTheOldOneIsStale) {
  const std::uint64_t old = LookUp("small").nodeid;
  const std::uint64_t handle = Ask(FUSE_OPEN, old, TextOf(fuse_open_in{})).As<fuse_open_out>().fh;
  Write("small", "other bytes\n");
  EXPECT_EQ(Read(old, handle, 0, 4096).body, "hello\n");  // Read when it was opened.
  EXPECT_EQ(Read(old, handle, 0, 4096).error, ESTALE);
  EXPECT_EQ(Ask(FUSE_OPEN, old, TextOf(fuse_open_in{})).error, ESTALE);
  EXPECT_EQ(Read(old, handle + 77, 0, 4096).error, ESTALE);  // Of another process.
  const fuse_entry_out now = LookUp("small");
  EXPECT_NE(now.nodeid, old);
  EXPECT_EQ(now.attr.ino, InodeOf("small"));
  EXPECT_EQ(Read(now.nodeid, 1, 0, 4096).body, "other bytes\n");
}

// What the kernel was given of a file nobody is asked for when it is opened again. If it has it no
// more, that is found out by a read, and once.
TEST_F(SessionTest, WhatTheKernelHasIsOpenedWithoutAQuestion) {
  const std::uint64_t node = LookUp("small").nodeid;
  const auto open = [&] { return Ask(FUSE_OPEN, node, TextOf(fuse_open_in{})); };
  const std::uint64_t early = open().As<fuse_open_out>().fh;
  AwaitSettled("small");
  const std::uint64_t young = client_->source_bytes().upstream;
  EXPECT_EQ(Read(node, early, 0, 3).body, "hel");
  EXPECT_GT(client_->source_bytes().upstream, young);  // What was read by a young tag is not kept.
  const std::uint64_t first = open().As<fuse_open_out>().fh;
  EXPECT_EQ(Read(node, first, 0, 3).body, "hel");
  const std::uint64_t one = client_->source_bytes().upstream;
  EXPECT_GT(one, 0u);
  open();
  EXPECT_EQ(client_->source_bytes().upstream, one + 6);  // A part of it was not all.
  EXPECT_EQ(Read(node, first, 0, 4096, O_DIRECT).body, "hello\n");
  const std::uint64_t before = client_->source_bytes().upstream;
  open();
  EXPECT_GT(client_->source_bytes().upstream, before);  // Past the kernel's pages is not in them.

  EXPECT_EQ(Read(node, open().As<fuse_open_out>().fh, 0, 4096).body, "hello\n");
  const std::uint64_t all = client_->source_bytes().upstream;
  const auto again = open().As<fuse_open_out>();
  EXPECT_NE(again.open_flags & FOPEN_KEEP_CACHE, 0u);
  EXPECT_EQ(client_->source_bytes().upstream, all);
  fuse_open_in direct{};
  direct.flags = O_DIRECT;
  Ask(FUSE_OPEN, node, TextOf(direct));
  EXPECT_GT(client_->source_bytes().upstream, all);   // What the kernel has is of no use to it.
  EXPECT_EQ(Read(node, again.fh, 2, 3).body, "llo");  // It was dropped.
  fuse_release_in release{};
  release.fh = again.fh;
  EXPECT_EQ(Ask(FUSE_RELEASE, node, TextOf(release)).error, 0);

  const auto last = open().As<fuse_open_out>();
  Write("small", "other bytes\n");
  EXPECT_EQ(open().error, 0);
  EXPECT_EQ(Read(node, last.fh, 0, 4096).error, ESTALE);
  EXPECT_EQ(open().error, ESTALE);
}

// What was read when it was opened is all of it, in however many parts the kernel asks for it.
TEST_F(SessionTest, ASmallFileIsReadFromTheStoreOnce) {
  Write("small", std::string(50'000, 'x') + std::string(6'000, 'y'));
  const std::uint64_t node = LookUp("small").nodeid;
  const std::uint64_t handle = Ask(FUSE_OPEN, node, TextOf(fuse_open_in{})).As<fuse_open_out>().fh;
  Write("small", "other bytes\n");
  EXPECT_EQ(Read(node, handle, 0, 50'000).body, std::string(50'000, 'x'));
  EXPECT_EQ(Read(node, handle, 50'000, 65'536).body, std::string(6'000, 'y'));
  EXPECT_EQ(Read(node, handle, 50'000, 65'536).error, ESTALE);
}

TEST_F(SessionTest, SaysWhatCannotBe) {
  EXPECT_EQ(Ask(FUSE_LOOKUP, 1, std::string("none\0", 5)).error, ENOENT);
  EXPECT_EQ(Ask(FUSE_LOOKUP, 1, std::string("a/b\0", 4)).error, EINVAL);
  EXPECT_EQ(Ask(FUSE_LOOKUP, 99, std::string("a\0", 2)).error, ESTALE);
  EXPECT_EQ(Ask(FUSE_UNLINK, 1, std::string("small\0", 6)).error, EROFS);
  EXPECT_EQ(Ask(FUSE_FLUSH, 1, "").error, ENOSYS);
  const std::uint64_t node = LookUp("small").nodeid;
  EXPECT_EQ(Ask(FUSE_LOOKUP, node, std::string("a\0", 2)).error, ENOTDIR);
  EXPECT_EQ(Ask(FUSE_OPENDIR, node, TextOf(fuse_open_in{})).error, ENOTDIR);
  fuse_open_in writing{};
  writing.flags = 1;  // O_WRONLY
  EXPECT_EQ(Ask(FUSE_OPEN, node, TextOf(writing)).error, EROFS);
}

TEST_F(SessionTest, ForgottenNodesAreGone) {
  const std::uint64_t node = LookUp("small").nodeid;
  EXPECT_EQ(filesystem_->known_nodes(), 2u);
  Send(FUSE_FORGET, node, TextOf(fuse_forget_in{1}));
  // It has no answer, and another thread may come to the next request first.
  const Deadline deadline = Clock::now() + std::chrono::seconds(60);
  while (filesystem_->known_nodes() > 1 && !Passed(deadline)) std::this_thread::yield();
  EXPECT_EQ(Ask(FUSE_GETATTR, node, TextOf(fuse_getattr_in{})).error, ESTALE);
  EXPECT_EQ(filesystem_->known_nodes(), 1u);
}

TEST_F(SessionTest, ListsWithAttributes) {
  const Reply opened = Ask(FUSE_OPENDIR, 1, TextOf(fuse_open_in{}));
  fuse_read_in in{};
  in.fh = opened.As<fuse_open_out>().fh;
  in.size = 4096;
  const std::string all = Ask(FUSE_READDIRPLUS, 1, TextOf(in)).body;
  for (const char* name : {"small", "sub", ".", ".."}) {
    EXPECT_NE(all.find(name), std::string::npos) << name;
  }
  EXPECT_EQ(filesystem_->known_nodes(), 3u);  // Both were looked up.
  in.size = 10;                               // Too small for any entry.
  EXPECT_TRUE(Ask(FUSE_READDIR, 1, TextOf(in)).body.empty());
}

TEST(InFlight, AnInterruptEndsItsRequestAlone) {
  InFlight in_flight([](std::uint32_t) { return true; });
  const std::stop_token one = in_flight.Add(2, 7);
  const std::stop_token other = in_flight.Add(4, 7);
  in_flight.Interrupt(2);
  EXPECT_TRUE(one.stop_requested());
  EXPECT_FALSE(other.stop_requested());
}

// Threads may read a request and its interrupt in either order.
TEST(InFlight, AnInterruptThatCameFirstCounts) {
  InFlight in_flight([](std::uint32_t) { return true; });
  in_flight.Interrupt(2);
  const std::stop_token one = in_flight.Add(2, 7);
  EXPECT_TRUE(in_flight.AwaitWatched({}));
  in_flight.Reconsider();
  EXPECT_TRUE(one.stop_requested());
  in_flight.Remove(2);
  EXPECT_FALSE(in_flight.Add(2, 7).stop_requested());  // Once.
}

// The kernel interrupts once: for a timer's signal, say. The one that kills comes later.
TEST(InFlight, OneThatIsNotToEndIsWatched) {
  std::set<std::uint32_t> to_end;
  InFlight in_flight([&](std::uint32_t tid) { return to_end.contains(tid); });
  const std::stop_token one = in_flight.Add(2, 7);
  const std::stop_token other = in_flight.Add(4, 8);
  const std::stop_token never = in_flight.Add(6, 7);
  in_flight.Interrupt(2);
  in_flight.Interrupt(4);
  EXPECT_TRUE(in_flight.AwaitWatched({}));
  EXPECT_FALSE(one.stop_requested());
  to_end = {7};
  in_flight.Reconsider();
  EXPECT_TRUE(one.stop_requested());
  EXPECT_FALSE(other.stop_requested());
  EXPECT_FALSE(never.stop_requested());  // It was not interrupted.
  in_flight.Remove(2);
  in_flight.Remove(4);
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_FALSE(in_flight.AwaitWatched(stopped.get_token()));
}

}  // namespace
}  // namespace forebay
