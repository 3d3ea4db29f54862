#include "registry/fake_disk.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace forebay {
namespace {

constexpr std::size_t kSectorBytes = 512;

}  // namespace

// What SQLite calls.
struct FakeDiskCalls {
  struct Handle {
    sqlite3_file base;
    FakeDisk* disk;
    FakeDisk::File* file;  // Nodes of a map stay where they are.
  };

  static Handle& Of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }
  static FakeDisk& DiskOf(sqlite3_vfs* vfs) { return *static_cast<FakeDisk*>(vfs->pAppData); }

  static int Close(sqlite3_file* /*file*/) { return SQLITE_OK; }

  static int Read(sqlite3_file* file, void* out, int length, sqlite3_int64 offset) {
    const std::string& content = Of(file).file->now.value();
    const auto wanted = static_cast<std::size_t>(length);
    const std::size_t from = std::min(static_cast<std::size_t>(offset), content.size());
    const std::size_t count = std::min(wanted, content.size() - from);
    std::memset(out, 0, wanted);
    std::memcpy(out, content.data() + from, count);
    return count == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }

  static int Do(sqlite3_file* file, FakeDisk::Change change) {
    Handle& handle = Of(file);
    if (const int failure = handle.disk->Begin(); failure != SQLITE_OK) return failure;
    FakeDisk::Apply(handle.file->now.value(), change);
    handle.file->changes.push_back(std::move(change));
    return handle.disk->Changed();
  }
  static int Write(sqlite3_file* file, const void* bytes, int length, sqlite3_int64 offset) {
    return Do(file, {static_cast<std::uint64_t>(offset),
                     std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(length)),
                     false});
  }
  static int Truncate(sqlite3_file* file, sqlite3_int64 size) {
    return Do(file, {static_cast<std::uint64_t>(size), {}, true});
  }

  static int Sync(sqlite3_file* file, int /*flags*/) {
    Handle& handle = Of(file);
    if (const int failure = handle.disk->Begin(); failure != SQLITE_OK) return failure;
    handle.file->lasting = handle.file->now;
    handle.file->changes.clear();
    return handle.disk->Changed();
  }

  static int Size(sqlite3_file* file, sqlite3_int64* size) {
    *size = static_cast<sqlite3_int64>(Of(file).file->now.value().size());
    return SQLITE_OK;
  }
  static int Lock(sqlite3_file* file, int lock) {
    Of(file).file->lock = std::max(Of(file).file->lock, lock);
    return SQLITE_OK;
  }
  static int Unlock(sqlite3_file* file, int lock) {
    Of(file).file->lock = lock;
    return SQLITE_OK;
  }
  static int Reserved(sqlite3_file* file, int* reserved) {
    *reserved = Of(file).file->lock >= SQLITE_LOCK_RESERVED ? 1 : 0;
    return SQLITE_OK;
  }
  static int Control(sqlite3_file* /*file*/, int /*what*/, void* /*argument*/) {
    return SQLITE_NOTFOUND;
  }
  static int SectorSize(sqlite3_file* /*file*/) { return static_cast<int>(kSectorBytes); }
  static int Characteristics(sqlite3_file* /*file*/) { return 0; }

  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    static const sqlite3_io_methods methods = {
        1,       Close,    Read,    Write,      Truncate,        Sync,    Size,    Lock,
        Unlock,  Reserved, Control, SectorSize, Characteristics, nullptr, nullptr, nullptr,
        nullptr, nullptr,  nullptr};
    FakeDisk& disk = DiskOf(vfs);
    file->pMethods = nullptr;
    CHECK(name != nullptr);  // No temporary files.
    FakeDisk::File& entry = disk.files_[name];
    if (!entry.now) {
      // The registry creates its file itself before SQLite comes.
      if ((flags & SQLITE_OPEN_MAIN_DB) == 0) {
        if ((flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
        if (disk.Begin() != SQLITE_OK) return SQLITE_CANTOPEN;
      }
      entry.now = "";
      if ((flags & SQLITE_OPEN_MAIN_DB) != 0) entry.lasting = "";
      if (entry.lasting) entry.changes.push_back({0, {}, true});
    }
    Handle& handle = Of(file);
    handle.disk = &disk;
    handle.file = &entry;
    file->pMethods = &methods;
    if (out != nullptr) *out = flags;
    return SQLITE_OK;
  }

  static int Delete(sqlite3_vfs* vfs, const char* name, int sync_folder) {
    FakeDisk& disk = DiskOf(vfs);
    const auto found = disk.files_.find(name);
    if (found == disk.files_.end() || !found->second.now) return SQLITE_IOERR_DELETE_NOENT;
    if (const int failure = disk.Begin(); failure != SQLITE_OK) return failure;
    found->second.now.reset();
    if (sync_folder != 0) {
      found->second.lasting.reset();
      found->second.changes.clear();
    }
    return disk.Changed();
  }

  static int Access(sqlite3_vfs* vfs, const char* name, int /*flags*/, int* there) {
    const auto& files = DiskOf(vfs).files_;
    const auto found = files.find(name);
    *there = found != files.end() && found->second.now ? 1 : 0;
    return SQLITE_OK;
  }
  static int FullPath(sqlite3_vfs* /*vfs*/, const char* name, int size, char* out) {
    CHECK(std::strlen(name) < static_cast<std::size_t>(size));
    std::memcpy(out, name, std::strlen(name) + 1);
    return SQLITE_OK;
  }
  static int LastError(sqlite3_vfs* vfs, int /*size*/, char* /*out*/) {
    return DiskOf(vfs).last_error_;
  }
};

FakeDisk::FakeDisk(Files files) : real_(sqlite3_vfs_find(nullptr)) {
  for (auto& [name, content] : files) {
    files_[name].lasting = content;
    files_[name].now = std::move(content);
  }
  vfs_ = *real_;  // For its clock and randomness.
  vfs_.szOsFile = sizeof(FakeDiskCalls::Handle);
  vfs_.pNext = nullptr;
  vfs_.zName = "fake-disk";
  vfs_.pAppData = this;
  vfs_.xOpen = FakeDiskCalls::Open;
  vfs_.xDelete = FakeDiskCalls::Delete;
  vfs_.xAccess = FakeDiskCalls::Access;
  vfs_.xFullPathname = FakeDiskCalls::FullPath;
  vfs_.xGetLastError = FakeDiskCalls::LastError;
  CHECK(sqlite3_vfs_register(&vfs_, 1) == SQLITE_OK);
}

FakeDisk::~FakeDisk() {
  sqlite3_vfs_unregister(&vfs_);
  sqlite3_vfs_register(real_, 1);
}

void FakeDisk::Apply(std::string& content, const Change& change) {
  if (change.truncate) {
    if (change.offset < content.size()) content.resize(change.offset);
    return;
  }
  content.resize(std::max<std::size_t>(content.size(), change.offset + change.bytes.size()));
  content.replace(change.offset, change.bytes.size(), change.bytes);
}

int FakeDisk::Begin() {
  if (!failure_) return SQLITE_OK;
  const std::uint64_t change = changes_++;
  if (change == failure_->from || (change > failure_->from && !failure_->once)) {
    last_error_ = failure_->error;
    return failure_->code;
  }
  return SQLITE_OK;
}

int FakeDisk::Changed() {
  if (!failure_) ++changes_;
  if (changed_) changed_();
  return SQLITE_OK;
}

FakeDisk::Files FakeDisk::Now() const {
  Files files;
  for (const auto& [name, file] : files_) {
    if (file.now) files[name] = *file.now;
  }
  return files;
}

FakeDisk::Files FakeDisk::LeftAtLeast() const {
  Files files;
  for (const auto& [name, file] : files_) {
    if (file.lasting) files[name] = *file.lasting;
  }
  return files;
}

FakeDisk::Files FakeDisk::LeftWithoutPower(Rng& rng) const {
  Files files;
  for (const auto& [name, file] : files_) {
    const bool removed = !file.now && rng.Chance(1, 2);
    const bool created = file.lasting || rng.Chance(1, 2);
    if (removed || !created) continue;
    std::string content = file.lasting.value_or("");
    for (const Change& change : file.changes) {
      if (change.truncate) {
        if (rng.Chance(1, 2)) Apply(content, change);
        continue;
      }
      for (std::size_t at = 0; at < change.bytes.size(); at += kSectorBytes) {
        if (rng.Chance(1, 2)) continue;
        Apply(content, {change.offset + at, change.bytes.substr(at, kSectorBytes), false});
      }
    }
    files[name] = std::move(content);
  }
  return files;
}

}  // namespace forebay
