// FakeDisk: a disk in memory, as SQLite sees one, that knows what a power cut would leave, and
// fails on demand.
//
// A write lasts when its file is synced, a new file's name too, and a removed file's absence when
// its folder is. Until then a power cut leaves any part of them, in any order, torn at sectors.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"

namespace forebay {

class FakeDisk {
 public:
  using Files = std::map<std::string, std::string>;

  // While it lives, it is SQLite's default disk. One at a time.
  explicit FakeDisk(Files files = {});
  ~FakeDisk();
  FakeDisk(const FakeDisk&) = delete;
  FakeDisk& operator=(const FakeDisk&) = delete;

  // What every file holds.
  Files Now() const;
  // What a power cut leaves now.
  Files LeftWithoutPower(Rng& rng) const;
  // What it leaves if nothing lasts but what must.
  Files LeftAtLeast() const;

  // Called after each change of the disk.
  void OnChange(std::function<void()> changed) { changed_ = std::move(changed); }

  // From the `after`-th change on (0: the next), changes fail with this SQLite code and errno; with
  // `once` only that one does.
  void FailAfter(std::uint64_t after, int code, int error, bool once) {
    failure_ = Failure{changes_ + after, code, error, once};
  }
  void Mend() { failure_.reset(); }
  // Whether a change failed since FailAfter.
  bool failed() const { return failure_ && changes_ > failure_->from; }
  std::uint64_t changes() const { return changes_; }

 private:
  friend struct FakeDiskCalls;

  struct Change {
    std::uint64_t offset = 0;
    std::string bytes;
    bool truncate = false;  // To `offset`.
  };
  struct File {
    std::optional<std::string> lasting;  // None: after a power cut it may not exist.
    std::optional<std::string> now;      // None: it was removed.
    std::vector<Change> changes;         // Since `lasting`.
    int lock = SQLITE_LOCK_NONE;
  };
  struct Failure {
    std::uint64_t from = 0;
    int code = SQLITE_IOERR;
    int error = 0;
    bool once = false;
  };

  static void Apply(std::string& content, const Change& change);
  // Counts a change that is about to happen; what it fails with, if it does.
  int Begin();
  int Changed();

  std::map<std::string, File> files_;
  std::function<void()> changed_;
  std::optional<Failure> failure_;
  std::uint64_t changes_ = 0;
  int last_error_ = 0;
  sqlite3_vfs* real_ = nullptr;
  sqlite3_vfs vfs_{};
};

}  // namespace forebay
