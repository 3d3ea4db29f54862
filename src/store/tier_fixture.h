// What the tests of the tier share: a directory of their own, keys, and blocks of known bytes.
#pragma once

#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/rng.h"
#include "store/memory_tier.h"
#include "store/tier_files.h"

namespace forebay {

// Does not exist yet; the destructor removes what a failed test left.
class TestDirectory {
 public:
  TestDirectory() : path_("/dev/shm/forebay-store-test-" + std::to_string(getpid()) + '-') {
    static std::atomic<int> next = 0;
    path_ += std::to_string(next++);
  }
  ~TestDirectory() {
    while (umount2(path_.c_str(), MNT_DETACH) == 0) continue;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  bool exists() const { return std::filesystem::exists(path_); }

 private:
  std::string path_;
};

inline BlockKey KeyOf(std::uint64_t number) {
  BlockKey key;
  key.file.path.bytes[0] = static_cast<std::uint8_t>(number >> 8);
  key.file.path.bytes[9] = 7;
  key.index = static_cast<std::uint32_t>(number & 0xff);
  return key;
}

// Integers, so that comparing and copying them is one call also under a sanitizer.
using Bytes = std::vector<unsigned char>;

// A random page that differs between any two seeds, over and over, each with its number at its
// start.
inline void FillBytes(std::span<std::byte> bytes, std::uint64_t seed) {
  std::array<std::uint64_t, 512> page{};
  Rng rng(seed);
  for (std::uint64_t& word : page) word = rng.Next();
  for (std::uint64_t number = 0; !bytes.empty(); ++number) {
    page[0] = Mix64(seed + number);
    const std::size_t length = std::min(bytes.size(), sizeof page);
    std::memcpy(bytes.data(), page.data(), length);
    bytes = bytes.subspan(length);
  }
}

inline Bytes BytesOf(std::uint64_t seed, std::size_t length) {
  Bytes bytes(length);
  FillBytes(std::as_writable_bytes(std::span(bytes)), seed);
  return bytes;
}

inline std::vector<std::uint32_t> ChecksumsOf(std::span<const unsigned char> bytes) {
  return GranuleChecksums(std::as_bytes(bytes));
}

// Fills the block of `key` with BytesOf(seed) unless it is there. The error of FindOrBegin.
inline Result<BlockHandle> Fill(MemoryTier& tier, const BlockKey& key, std::uint32_t length,
                                std::uint64_t seed) {
  Result<MemoryTier::Admission> admission = tier.FindOrBegin(key, length);
  if (!admission.ok()) return std::move(admission).error();
  if (std::optional<BlockWriter>& writer = admission.value().writer) {
    FillBytes(writer->bytes(), seed);
    writer->Advance(length, true);
    writer->Complete(true);
    // Who waited has it now; a handle that is kept no longer keeps the block.
    if (Result<SendLease> lease = admission.value().handle.Lease(0, length); lease.ok()) {
      lease.value().Acknowledge();
    }
  }
  return admission.value().handle;
}

// The block if it is complete.
inline std::optional<BlockHandle> Find(MemoryTier& tier, const BlockKey& key) {
  if (!tier.Held(key.file, key.index + 1)[key.index]) return std::nullopt;
  return tier.FindOrBegin(key, 1).value().handle;
}

inline void Drop(MemoryTier& tier, const BlockKey& key) {
  tier.DropIf([&key](const BlockKey& other) { return other == key; });
}

inline Bytes ReadLease(const SendLease& lease) {
  Bytes bytes(lease.length());
  CHECK(pread(lease.fd(), bytes.data(), bytes.size(), static_cast<off_t>(lease.file_offset())) ==
        static_cast<ssize_t>(bytes.size()));
  return bytes;
}

// Of a whole complete block; nothing is taken as sent.
inline Bytes ReadBlock(const BlockHandle& handle) {
  Result<SendLease> lease = handle.Lease(0, handle.length());
  CHECK(lease.ok());
  Bytes bytes = ReadLease(lease.value());
  lease.value().Acknowledge();
  return bytes;
}

// Runs `act` in a process that then dies of SIGKILL: what `act` returns is never destroyed. No tier
// of this process may live, as its threads are not there in the child.
template <typename Act>
void InKilledProcess(const Act& act) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    [[maybe_unused]] const auto alive = act();
    CHECK(kill(getpid(), SIGKILL) == 0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

inline TierOptions SmallTier(const TestDirectory& directory, bool own_mount = false) {
  TierOptions options;
  options.directory = directory.path();
  options.own_mount = own_mount;
  options.block_bytes = 1u << 20;
  options.quota_bytes = 9u << 20;  // Four chunks, two blocks each, and their index.
  options.high = 1;                // Eviction only on demand, so that tests know what is there.
  options.low = 1;
  return options;
}

}  // namespace forebay
