// TierDirectory: the place where a tier's segments lie, and the promise that nobody shares it.
//
// Invariant: what it made (directories, mount) is gone when it is destroyed; so is the mount of a
// predecessor that it took over. Directories and mounts of others are not.
#pragma once

#include <memory>
#include <set>
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

  // Makes the directory and its missing parents, and takes its lock. If a crashed predecessor's
  // mount lies on it, that is taken over; else a tmpfs is mounted if that is wanted and permitted.
  // A directory on which somebody else has mounted something (a container's volume) is used as it
  // is. In a mount of ours, what is not a tier's is removed.
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
  // Names of a predecessor's files, which are still there.
  const std::set<std::string>& found_segments() const { return found_segments_; }

  // Gives a mount that was taken over the size and huge pages of `options`. Nothing otherwise.
  Status Resize(const TmpfsOptions& options);

 private:
  TierDirectory(TierFiles& files, std::string path) : files_(files), path_(std::move(path)) {}

  Status MakeDirectories();
  Status LockDirectory();
  Status FindSegments(bool own);
  Status Mount(const TmpfsOptions& options);

  TierFiles& files_;
  const std::string path_;
  std::vector<std::string> made_;  // Directories, outermost first.
  UniqueFd lock_;                  // Of the directory beneath the mount.
  UniqueFd mount_lock_;            // Of the mount's root.
  bool mounted_ = false;
  bool adopted_mount_ = false;
  std::set<std::string> found_segments_;
};

}  // namespace forebay
