// LocalTree: a local directory that files are copied into.
//
// Invariants: nothing is written outside the directory, whatever a name holds and whatever symbolic
// links lie in it; under a file's name there is the old file or the whole new one, never a part.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "io/unique_fd.h"

namespace forebay {

// A file being written under a temporary name beside its own. Destroyed uncommitted, it is removed.
//
// Thread safety: none.
class LocalFile {
 public:
  LocalFile() = default;
  LocalFile(LocalFile&& other) noexcept;
  LocalFile& operator=(LocalFile&& other) noexcept;
  ~LocalFile();

  // Errors: kInternal with the system's reason.
  Status Write(std::span<const std::byte> bytes);
  // Gives it its name, replacing a file of that name. Errors: kInternal.
  Status Commit();

 private:
  friend class LocalTree;

  UniqueFd directory_;
  UniqueFd file_;
  std::string temporary_;  // Empty: nothing to remove.
  std::string name_;
};

// Thread safety: none.
class LocalTree {
 public:
  // Errors: kInvalidArgument: not a directory, or not permitted.
  static Result<LocalTree> Open(const std::string& directory);
  // The same, making the directory if need be; its parent must exist.
  static Result<LocalTree> OpenOrCreate(const std::string& directory);

  // `relative` is "a/b/c"; missing directories on the way are made. Errors: kInvalidArgument for a
  // component that is empty, "." or "..", or holds a NUL; kInternal for what the system refuses.
  Result<LocalFile> Create(const std::string& relative);
  Status CreateDirectory(const std::string& relative);

 private:
  explicit LocalTree(UniqueFd root) : root_(std::move(root)) {}

  Result<UniqueFd> Directory(const std::string& relative) const;

  UniqueFd root_;
  std::uint64_t created_ = 0;  // Makes temporary names differ.
};

}  // namespace forebay
