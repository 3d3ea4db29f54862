// Many threads fill, send, acknowledge, drop and recheck at random: no wrong byte, no page above
// the quota. Run under ThreadSanitizer too.
#include <gtest/gtest.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <deque>
#include <filesystem>

#include "base/crc32c.h"
#include "base/task_group.h"
#include "io/unique_fd.h"
#include "store/tier_fixture.h"

namespace forebay {
namespace {

constexpr std::uint64_t kKeys = 300;
constexpr std::size_t kPart = 1024;     // Of each lease that goes into the socket.
constexpr std::size_t kUnreadMax = 16;  // Sends that a thread leaves unread.
constexpr std::uint32_t kBlock = 256u << 10;

std::uint32_t LengthOf(std::uint64_t key) {
  return static_cast<std::uint32_t>(key % 3 == 0 ? kBlock - key : 1500 + 700 * key);
}

// One thread's part: a connection on which it sends, and what it has not read of that yet.
class Actor {
 public:
  Actor(MemoryTier& tier, std::uint64_t seed) : tier_(tier), rng_(seed) {
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    sender_ = UniqueFd(fds[0]);
    receiver_ = UniqueFd(fds[1]);
  }

  void Act() {
    const std::uint64_t key = rng_.Below(kKeys);
    switch (rng_.Below(16)) {
      case 0: Drop(tier_, KeyOf(key)); break;
      case 1: Recheck(key); break;
      case 2: FailFill(key); break;
      default: Read(key); break;
    }
    while (unread_.size() > rng_.Below(kUnreadMax)) ReceiveOne();
  }

  void ReceiveAll() {
    while (!unread_.empty()) ReceiveOne();
  }

  std::uint64_t reads() const { return reads_; }

 private:
  struct Unread {
    SendLease lease;
    Bytes expected;
  };

  void Recheck(std::uint64_t key) {
    const Status checked = tier_.Recheck(KeyOf(key));
    EXPECT_TRUE(checked.ok() || checked.error().code() == Code::kNotHere);
  }

  void FailFill(std::uint64_t key) {
    Result<MemoryTier::Admission> admission = tier_.FindOrBegin(KeyOf(key), LengthOf(key));
    if (!admission.ok() || !admission.value().writer) return;
    FillBytes(admission.value().writer->bytes(), 0);
    admission.value().writer->Advance(LengthOf(key) / 2, true);
  }

  void Read(std::uint64_t key) {
    Result<MemoryTier::Admission> admission = tier_.FindOrBegin(KeyOf(key), LengthOf(key));
    if (!admission.ok()) {
      EXPECT_EQ(admission.error().code(), Code::kOverloaded);
      return;
    }
    const BlockHandle& handle = admission.value().handle;
    if (std::optional<BlockWriter>& writer = admission.value().writer) {
      FillBytes(writer->bytes(), key);
      writer->Advance(LengthOf(key), rng_.Chance(1, 2));
      writer->Complete(rng_.Chance(7, 8));
    }
    if (handle.state() == BlockHandle::State::kComplete) Send(handle, key);
  }

  void Send(const BlockHandle& handle, std::uint64_t key) {
    Result<SendLease> lease = handle.Lease(0, handle.length());
    if (!lease.ok()) return;
    ++reads_;
    const Bytes expected = BytesOf(key, handle.length());
    ASSERT_EQ(ReadLease(lease.value()), expected);
    ASSERT_EQ(lease.value().checksums(), ChecksumsOf(expected));
    auto offset = static_cast<off_t>(lease.value().file_offset());
    ASSERT_EQ(sendfile(sender_.get(), lease.value().fd(), &offset, kPart), kPart);
    if (rng_.Chance(15, 16)) lease.value().Sent();
    unread_.push_back({std::move(lease).value(), BytesOf(key, kPart)});
  }

  void ReceiveOne() {
    Bytes bytes(kPart);
    ASSERT_EQ(recv(receiver_.get(), bytes.data(), kPart, MSG_WAITALL), kPart);
    EXPECT_EQ(bytes, unread_.front().expected);
    if (rng_.Chance(15, 16)) unread_.front().lease.Acknowledge();
    unread_.pop_front();
  }

  MemoryTier& tier_;
  Rng rng_;
  UniqueFd sender_;
  UniqueFd receiver_;
  std::deque<Unread> unread_;
  std::uint64_t reads_ = 0;
};

// st_blocks of the tier's files, by their paths: the tier's own count is not trusted here.
std::uint64_t AllocatedIn(const std::string& path) {
  std::uint64_t bytes = 0;
  for (const char* name : {"/seg-0000.data", "/seg-0000.index"}) {
    struct stat status = {};
    CHECK(stat((path + name).c_str(), &status) == 0);
    bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

TEST(MemoryTierStress, NoWrongByteAndNoPageAboveTheQuota) {
  constexpr std::uint64_t kSeed = 20'240'607;
  constexpr int kThreads = 4;
  constexpr int kActs = 500;
  TestDirectory directory;
  TierOptions options;
  options.directory = directory.path();
  options.block_bytes = kBlock;
  options.quota_bytes = 13u << 20;  // Six chunks: less than half of the keys.
  options.high = 0.9;
  options.low = 0.7;
  auto tier = MemoryTier::Create(options).value();
  std::atomic<std::uint64_t> reads = 0;
  {
    TaskGroup threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.Run("stress", [&, thread](const std::stop_token&) {
        Actor actor(*tier, kSeed + static_cast<std::uint64_t>(thread));
        for (int i = 0; i < kActs; ++i) {
          actor.Act();
          EXPECT_LE(AllocatedIn(directory.path()), options.quota_bytes);
        }
        actor.ReceiveAll();
        reads += actor.reads();
      });
    }
  }
  EXPECT_GT(reads.load(), std::uint64_t{kThreads} * kActs / 2) << "seed " << kSeed;
  EXPECT_GT(tier->usage().blocks, 10u);
  tier.reset();
  EXPECT_FALSE(directory.exists());
}

}  // namespace
}  // namespace forebay
