// TierDirectory: the place where a tier's segments lie, and the promise that nobody shares it.
//
// Invariant: what it made (directories, mount) is gone when it is destroyed; so is the mount of a
// predecessor that it took over. Directories and mounts of others are not.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/unique_fd.h"
#include "store/tier_files.h"

namespace forebay {

// seg-0000.data and seg-0000.index, with four or more digits: of a memory tier.
bool IsSegmentName(std::string_view name);
// whole-0123456789abcdef: of a tier of whole files.
bool IsWholeFileName(std::string_view name);

// Thread safety: none needed after Open; path() is constant.
class TierDirectory {
 public:
  struct Options {
    std::string path;
    bool own_mount = true;
    TmpfsOptions tmpfs;
    bool (*is_tier_name)(std::string_view) = IsSegmentName;  // Of files of this kind of tier.
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
  const std::set<std::string>& found_files() const { return found_files_; }

  // Gives a mount that was taken over the size and huge pages of `options`. Nothing otherwise.
  Status Resize(const TmpfsOptions& options);

 private:
  TierDirectory(TierFiles& files, std::string path) : files_(files), path_(std::move(path)) {}

  Status MakeDirectories();
  Status LockDirectory();
  Status FindFiles(bool own, bool (*is_tier_name)(std::string_view));
  Status Mount(const TmpfsOptions& options);

  TierFiles& files_;
  const std::string path_;
  std::vector<std::string> made_;  // Directories, outermost first.
  UniqueFd lock_;                  // Of the directory beneath the mount.
  UniqueFd mount_lock_;            // Of the mount's root.
  bool mounted_ = false;
  bool adopted_mount_ = false;
  std::set<std::string> found_files_;
};

}  // namespace forebay
