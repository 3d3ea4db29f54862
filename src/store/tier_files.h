// TierFiles: the operating system's calls of the memory tier, as a seam at which tests make the nth
// one fail.
//
// Every method is one system call, or a few that succeed or fail together. Errors name the path or
// the range: kUnavailable (no room, no memory, no descriptors), kDenied, kInvalidArgument (the path
// cannot be), kInternal (the machine misbehaves).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "io/unique_fd.h"

namespace forebay {

struct FileRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct TmpfsOptions {
  std::uint64_t size_bytes = 0;
  bool huge = false;  // huge=within_size instead of never.
};

struct FoundFile {
  UniqueFd fd;
  std::uint64_t bytes = 0;
};

// The source of the tier's own mounts in mountinfo(5): tells a stale one from anybody else's.
inline constexpr const char kTierMountSource[] = "forebay-tier";

// Thread safety: safe.
class TierFiles {
 public:
  virtual ~TierFiles() = default;

  // Whether the directory was made (mode 0700), or was there.
  virtual Result<bool> MakeDirectory(const std::string& path) = 0;
  virtual Result<UniqueFd> OpenDirectory(const std::string& path) = 0;
  // flock(2), exclusive, at once. kUnavailable if another process has it.
  virtual Status Lock(int directory_fd) = 0;
  // kDenied where the process may not mount.
  virtual Status Mount(const std::string& path, const TmpfsOptions& options) = 0;
  // Changes the size and the huge pages of what is mounted there.
  virtual Status Remount(const std::string& path, const TmpfsOptions& options) = 0;
  // `lazily`: MNT_DETACH.
  virtual Status Unmount(const std::string& path, bool lazily) = 0;

  // A new empty file, mode 0600. An existing one is an error.
  virtual Result<UniqueFd> CreateFile(const std::string& path) = 0;
  // One that is there. kInvalidArgument if there is none, or it is not a file that only this user
  // can have written (regular, one name, no access for others): its bytes would be believed.
  virtual Result<FoundFile> OpenFile(const std::string& path) = 0;
  // All of `bytes`, from the file's start.
  virtual Status Read(int fd, std::span<std::byte> bytes) = 0;
  virtual Status Resize(int fd, std::uint64_t bytes) = 0;
  // Gives the range pages, or fails having changed nothing that counts. New ones read as zeroes,
  // but are zeroed only when first touched.
  virtual Status Allocate(int fd, FileRange range) = 0;
  // Takes the range's pages out of the file. Whoever refers to them (a socket) keeps them.
  virtual Status Punch(int fd, FileRange range) = 0;
  // All of the file, shared, for reading and writing. Until `Unmap`.
  virtual Result<std::span<std::byte>> Map(int fd, std::uint64_t bytes) = 0;
  // The file in the place of what is mapped there.
  virtual Status MapOver(int fd, std::span<std::byte> mapping) = 0;

  // Cannot fail in a way that anybody could react to.
  // Populate: touches allocated pages for writing now, which changes nothing in them. Until then
  // lseek(2) takes them for holes.
  static void Populate(std::span<std::byte> allocated);
  static void Unmap(std::span<std::byte> mapping);
  static void RemoveFile(const std::string& path);
  static void RemoveFileAt(int directory_fd, const std::string& name);
  static void RemoveDirectory(const std::string& path);  // Stays if it is not empty.
};

// The real ones.
std::shared_ptr<TierFiles> SystemTierFiles();

}  // namespace forebay
