// TierDirectory: the place where a tier's segments lie, and the promise that nobody shares it.
//
// Invariant: what it made (directories, mount) is gone when it is destroyed; what it found is not.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/unique_fd.h"
#include "store/tier_files.h"

namespace forebay {

// Thread safety: none needed after Open; path() is constant.
class TierDirectory {
 public:
  struct Options {
    std::string path;
    bool own_mount = true;
    TmpfsOptions tmpfs;
  };

  // Makes the directory and its missing parents, takes its lock, removes what a crashed predecessor
  // left (segments, mount), and mounts a tmpfs if that is wanted and permitted. A directory on
  // which somebody else has mounted something (a container's volume) is used as it is.
  //
  // Errors: kUnavailable: another worker uses it, or no room; kInvalidArgument: it holds anything
  // else, or cannot be; kDenied.
  static Result<std::unique_ptr<TierDirectory>> Open(TierFiles& files, const Options& options);

  // Unmounts and removes what Open made. The segments must be gone.
  ~TierDirectory();
  TierDirectory(const TierDirectory&) = delete;
  TierDirectory& operator=(const TierDirectory&) = delete;

  const std::string& path() const { return path_; }
  bool mounted() const { return mounted_; }

 private:
  TierDirectory(TierFiles& files, std::string path) : files_(files), path_(std::move(path)) {}

  Status MakeDirectories();
  Status LockDirectory();
  Status RemoveStaleMounts();
  Status RemoveStaleSegments();
  Status Mount(const TmpfsOptions& options);
  void UnmountOwn();

  TierFiles& files_;
  const std::string path_;
  std::vector<std::string> made_;  // Directories, outermost first.
  UniqueFd lock_;                  // Of the directory beneath the mount.
  UniqueFd mount_lock_;            // Of the mount's root.
  bool mounted_ = false;
};

}  // namespace forebay
