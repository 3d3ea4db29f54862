// Answers to the kernel: structs to bytes. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "client/client.h"
#include "core/ids.h"
#include "mount/request.h"

namespace forebay {

// Largest request for data, in bytes: measured, more brings nothing (and fs.fuse.max_pages_limit is
// this).
inline constexpr std::uint32_t kRequestBytesMax = 1u << 20;

// What stores do not know of a file.
struct Ownership {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t file_mode = 0644;
  std::uint32_t directory_mode = 0755;
  std::int64_t no_time_ns = 0;  // Shown where the store has no time: of the mount.
};

// What the kernel is to know of a node, and for how long.
struct NodeReply {
  std::uint64_t node = 0;
  std::uint64_t ino = 0;
  Attributes attributes;
  std::chrono::nanoseconds valid{0};
};

// How much is mounted; zeroes: it is not known.
struct MountedSize {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
};

// The inode number of a path: the same at every mount of it.
std::uint64_t InodeOf(std::string_view path);

// Of the 64 bits of `flags` in INIT: the kernel can read a node's bytes from another file (Linux
// 6.9).
inline constexpr std::uint64_t kHasPassthrough = std::uint64_t{1} << 37;

// `may_pass_through`: where the kernel can.
std::vector<std::byte> EncodeInit(const InitCall& call, bool may_pass_through);
std::vector<std::byte> EncodeEntry(const NodeReply& reply, const Ownership& ownership);
std::vector<std::byte> EncodeAttributes(const NodeReply& reply, const Ownership& ownership);

struct OpenReply {
  std::uint64_t handle = 0;
  bool keep_pages = false;   // Those that the kernel has of the node stay valid.
  bool is_direct = false;    // Every read goes to the process that serves the mount.
  std::int32_t backing = 0;  // Of KernelChannel::OpenBacking: it is read from there. 0: from us.
};
std::vector<std::byte> EncodeOpen(const OpenReply& reply);
// As of a disk of 1 PiB (or of `totals`, if that is more) with nothing but the dataset on it: who
// watches disks is not alarmed by one that is full by nature.
std::vector<std::byte> EncodeStatFs(const MountedSize& totals);
std::vector<std::byte> EncodeXattrSize(std::size_t size);

// A name in a directory.
struct DirentPlace {
  std::uint64_t ino = 0;
  bool is_directory = false;
  std::uint64_t offset = 0;  // What is read next begins after the entry at this.
};
void AppendDirent(std::vector<std::byte>& bytes, std::string_view name, const DirentPlace& place);

// Entries of a directory, as many as fit.
//
// Thread safety: none.
class DirectoryReply {
 public:
  explicit DirectoryReply(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // `dirent` is AppendDirent's. False: there is no room for it.
  bool Add(std::span<const std::byte> dirent);
  // The kernel learns the name alone, also where it wants attributes with it (`plus`).
  bool AddName(std::string_view name, const DirentPlace& place, bool plus);
  // With attributes. Without a node the kernel learns the name alone.
  bool AddPlus(std::span<const std::byte> dirent, const NodeReply& reply,
               const Ownership& ownership);
  // Whether AddPlus of it would fit.
  bool FitsPlus(std::span<const std::byte> dirent) const;

  bool empty() const { return bytes_.empty(); }
  std::vector<std::byte> Take() && { return std::move(bytes_); }

 private:
  void Append(std::span<const std::byte> bytes);

  const std::size_t bytes_max_;
  std::vector<std::byte> bytes_;
};

}  // namespace forebay
