// OpenFile: a file as Client::Open hands it out: one version, for as long as any byte of it was
// read.
//
// Invariant: all bytes ever returned are of one version. It may be a newer one than was opened only
// if nothing had been returned before.
#pragma once

#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "client/backends.h"
#include "client/lookups.h"
#include "client/range_reader.h"

namespace forebay {

// Thread safety: safe.
class OpenFile {
 public:
  // When the file is bound to one version: as it was opened, or only with the first bytes that are
  // returned, so that until then a newer one may take its place.
  enum class Binding : unsigned char { kOpened, kFirstBytes };

  OpenFile(Backends& backends, Lookups& lookups, Place place, Attributes attributes,
           Binding binding);

  // Valid as long as this lives, also after the file was bound to a new version.
  const Attributes& attributes() const EXCLUDES(mutex_);

  // As File::Read.
  Result<std::size_t> Read(std::uint64_t offset, std::span<std::byte> buffer, Deadline deadline,
                           std::stop_token stop) EXCLUDES(mutex_);
  // As File::ReadAlone.
  Result<std::size_t> ReadAlone(std::uint64_t offset, std::span<std::byte> buffer,
                                Deadline deadline, std::stop_token stop) EXCLUDES(mutex_);

 private:
  using Reader = std::unique_ptr<RangeReader>;

  Result<std::size_t> ReadBy(Reader (OpenFile::*take)(), std::uint64_t offset,
                             std::span<std::byte> buffer, Deadline deadline, std::stop_token stop)
      EXCLUDES(mutex_);
  // The reader that reads ahead, or, while another thread has it, one for this read only.
  Reader TakeReader() EXCLUDES(mutex_);
  Reader MakeReader() EXCLUDES(mutex_);  // For this read only.
  void PutBack(std::unique_ptr<RangeReader> reader) EXCLUDES(mutex_);
  // Whether what was read of `version` may be returned: then the file is bound to it.
  bool MayReturn(const std::shared_ptr<const FileVersion>& version) EXCLUDES(mutex_);
  // After `version` turned out to be gone: whether there is now another one to read.
  Result<bool> Rebind(const std::shared_ptr<const FileVersion>& version, Deadline deadline,
                      std::stop_token stop) EXCLUDES(mutex_);

  Backends& backends_;
  Lookups& lookups_;
  const Place place_;
  mutable Mutex mutex_;
  std::vector<std::shared_ptr<const FileVersion>> versions_ GUARDED_BY(mutex_);  // Newest last.
  bool bound_ GUARDED_BY(mutex_);                                                // To the newest.
  bool reading_ahead_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<RangeReader> reader_ GUARDED_BY(mutex_);  // Null until used, and while in use.
};

}  // namespace forebay
