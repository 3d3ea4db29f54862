#include "store/whole_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "core/quota.h"

namespace forebay {
namespace {

constexpr std::string_view kNamePrefix = "whole-";

std::uint64_t RandomSeed() {
  std::uint64_t seed = 0;
  CHECK(getrandom(&seed, sizeof(seed), 0) == sizeof(seed));
  return seed;
}

std::uint64_t PagesOf(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes;
}

// Whether nobody but us, who have it open for writing, has it open in whatever way: then, and only
// then, the kernel grants a lease.
bool IsOursAlone(int fd) {
  if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0) return false;
  fcntl(fd, F_SETLEASE, F_UNLCK);
  return true;
}

bool IsSame(int one, int other) {
  struct stat a = {};
  struct stat b = {};
  return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

// The file in the eviction's books.
BlockKey InBooks(const FileKey& key) {
  return {.file = key, .index = 0};
}

}  // namespace

WholeFiles::WholeFiles(std::shared_ptr<TierFiles> files, WholeFilesOptions options)
    : files_(std::move(files)), options_(std::move(options)), numbers_(RandomSeed()) {}

Result<std::unique_ptr<WholeFiles>> WholeFiles::Open(std::shared_ptr<TierFiles> files,
                                                     const WholeFilesOptions& options) {
  CHECK(options.chunk_bytes > 0 && options.chunk_bytes % kPageBytes == 0);
  if (options.quota_bytes < options.chunk_bytes) {
    return Error(Code::kInvalidArgument,
                 fmt::format("a quota of {} bytes: below one chunk of {}; write at least that",
                             options.quota_bytes, options.chunk_bytes));
  }
  std::unique_ptr<WholeFiles> tier(new WholeFiles(std::move(files), options));
  const TmpfsOptions tmpfs{.size_bytes = options.quota_bytes, .huge = true};
  Result<std::unique_ptr<TierDirectory>> directory =
      TierDirectory::Open(*tier->files_, {.path = options.directory,
                                          .own_mount = options.own_mount,
                                          .tmpfs = tmpfs,
                                          .is_tier_name = IsWholeFileName});
  if (!directory.ok()) return std::move(directory).error();
  tier->directory_ = std::move(directory).value();
  if (Status resized = tier->directory_->Resize(tmpfs); !resized.ok()) return resized.error();
  tier->SweepPredecessor();
  return tier;
}

void WholeFiles::SweepPredecessor() {
  MutexLock lock(mutex_);
  for (const std::string& name : directory_->found_files()) {
    const std::string path = directory_->path() + '/' + name;
    Result<FoundFile> found = files_->OpenFile(path);
    TierFiles::RemoveFile(path);
    struct stat status = {};
    if (!found.ok() || fstat(found.value().fd.get(), &status) != 0) continue;
    if (IsOursAlone(found.value().fd.get())) continue;
    constexpr std::uint64_t kSectorBytes = 512;
    const std::uint64_t bytes = static_cast<std::uint64_t>(status.st_blocks) * kSectorBytes;
    leaving_.push_back({std::move(found.value().fd), bytes});
    used_bytes_ += bytes;
  }
}

WholeFiles::~WholeFiles() {
  MutexLock lock(mutex_);
  for (const auto& [key, file] : by_key_) TierFiles::RemoveFile(file->path_);
}

WholeFile::~WholeFile() {
  if (!mapping_.empty()) TierFiles::Unmap(mapping_);
}

std::uint64_t WholeFiles::ChunkBytes(const WholeFile& file, std::uint32_t chunk) const {
  CHECK(chunk < file.chunks);
  const std::uint64_t begin = std::uint64_t{chunk} * options_.chunk_bytes;
  return std::min<std::uint64_t>(options_.chunk_bytes, file.size - begin);
}

std::span<std::byte> WholeFiles::BytesOf(const WholeFile& file, std::uint32_t chunk) const {
  return file.mapping_.subspan(std::size_t{chunk} * options_.chunk_bytes, ChunkBytes(file, chunk));
}

Result<WholeFiles::FileRef> WholeFiles::Create(const FileKey& key, std::uint64_t size) {
  const std::uint64_t chunks = (size + options_.chunk_bytes - 1) / options_.chunk_bytes;
  std::uint64_t incarnation = 0;
  {
    MutexLock lock(mutex_);
    incarnation = numbers_.Next();
  }
  FileRef file(new WholeFile(key, size, incarnation, static_cast<std::uint32_t>(chunks)));
  file->path_ = fmt::format("{}/{}{:016x}", directory_->path(), kNamePrefix, incarnation);
  Result<UniqueFd> fd = files_->CreateFile(file->path_);
  if (!fd.ok()) return std::move(fd).error();
  file->fd_ = std::move(fd).value();
  // Its size comes first, so that its pages may be huge ones.
  Status made = files_->Resize(file->fd_.get(), size);
  if (made.ok()) {
    Result<std::span<std::byte>> mapping = files_->Map(file->fd_.get(), size);
    if (mapping.ok())
      file->mapping_ = mapping.value();
    else
      made = mapping.error();
  }
  if (!made.ok()) {
    TierFiles::RemoveFile(file->path_);
    return made.error();
  }
  file->chunk_.resize(chunks);
  return file;
}

Result<WholeFiles::Opened> WholeFiles::OpenFile(const FileKey& key, std::uint64_t size) {
  CHECK(size > 0);
  if (PagesOf(size) * kPageBytes > options_.quota_bytes) {
    return Error(Code::kOverloaded, "larger than the quota");
  }
  FileRef spare;
  Gone gone;
  while (true) {
    {
      MutexLock lock(mutex_);
      auto found = by_key_.find(key);
      if (found == by_key_.end() && by_key_.size() >= options_.files_max &&
          !EvictOne(nullptr, gone)) {
        if (spare) TierFiles::RemoveFile(spare->path_);
        return Error(Code::kOverloaded, "all files are open");
      }
      if (found == by_key_.end() && spare) {
        found = by_key_.emplace(key, std::exchange(spare, nullptr)).first;
        eviction_.Inserted(InBooks(key), static_cast<std::uint32_t>(PagesOf(size)));
      } else if (found != by_key_.end()) {
        eviction_.Touched(InBooks(key));
      }
      if (found != by_key_.end()) {
        // Opened under the lock: from now on it is not evicted.
        UniqueFd reader(open(found->second->path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!reader) return Error(Code::kUnavailable, std::strerror(errno));
        if (!IsSame(reader.get(), found->second->fd_.get())) {
          return Error(Code::kDenied, found->second->path_ + ": somebody put another file there");
        }
        Opened opened{found->second, std::move(reader)};
        if (spare) TierFiles::RemoveFile(spare->path_);
        return opened;
      }
    }
    Result<FileRef> made = Create(key, size);
    if (!made.ok()) return std::move(made).error();
    spare = std::move(made).value();
  }
}

WholeFiles::FileRef WholeFiles::Find(const FileKey& key, std::uint64_t incarnation) const {
  MutexLock lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end() || found->second->incarnation != incarnation) return nullptr;
  return found->second;
}

bool WholeFiles::MayEvict(const WholeFile& file) const {
  return file.filling_ == 0 && IsOursAlone(file.fd_.get());
}

void WholeFiles::Remove(const FileRef& file, Removal why, Gone& gone) {
  TierFiles::RemoveFile(file->path_);
  eviction_.Removed(InBooks(file->key), why);
  if (IsOursAlone(file->fd_.get())) {
    used_bytes_ -= file->charged_bytes_;
  } else {
    leaving_.push_back(
        {UniqueFd(fcntl(file->fd_.get(), F_DUPFD_CLOEXEC, 0)), file->charged_bytes_});
  }
  file->charged_bytes_ = 0;
  file->gone_ = true;
  gone.push_back(file);
  by_key_.erase(file->key);
  changed_.NotifyAll();
}

bool WholeFiles::EvictOne(const WholeFile* kept, Gone& gone) {
  const std::optional<BlockKey> victim =
      eviction_.Victim([&](const BlockKey& key) REQUIRES(mutex_) {
        const WholeFile& file = *by_key_.at(key.file);
        return &file == kept || !MayEvict(file);
      });
  if (!victim) return false;
  Remove(FileRef(by_key_.at(victim->file)), Removal::kEvicted, gone);
  ++evictions_;
  return true;
}

bool WholeFiles::MakeRoom(const WholeFile& filler, std::uint64_t bytes, Gone& gone) {
  std::erase_if(leaving_, [this](const Leaving& leaving) REQUIRES(mutex_) {
    if (!IsOursAlone(leaving.fd.get())) return false;
    used_bytes_ -= leaving.bytes;
    return true;
  });
  while (used_bytes_ + bytes > options_.quota_bytes) {
    if (!EvictOne(&filler, gone)) return false;
  }
  return true;
}

Result<WholeFiles::Claimed> WholeFiles::ClaimChunk(const FileRef& file, std::uint32_t chunk) {
  const std::uint64_t bytes = PagesOf(ChunkBytes(*file, chunk)) * kPageBytes;
  Gone gone;
  {
    MutexLock lock(mutex_);
    if (file->gone_) return Error(Code::kUnavailable, "the file is gone");
    WholeFile::Chunk& claimed = file->chunk_.at(chunk);
    if (claimed.state == WholeFile::ChunkState::kReady) return Claimed{Claim::kReady, {}};
    if (claimed.state == WholeFile::ChunkState::kFilling) return Claimed{Claim::kFilling, {}};
    if (!MakeRoom(*file, bytes, gone)) return Error(Code::kOverloaded, "all files are open");
    claimed.state = WholeFile::ChunkState::kFilling;
    ++file->filling_;
    if (!claimed.allocated) {
      file->charged_bytes_ += bytes;
      used_bytes_ += bytes;
    }
  }
  gone.clear();  // Their pages are free before new ones are asked for.
  const FileRange range{.offset = std::uint64_t{chunk} * options_.chunk_bytes,
                        .length = ChunkBytes(*file, chunk)};
  while (true) {
    const Status allocated = files_->Allocate(file->fd_.get(), range);
    if (allocated.ok()) break;
    // Others use this file system, too: what is here makes room for what is wanted now.
    Gone more;
    bool has_room = false;
    {
      MutexLock lock(mutex_);
      has_room = EvictOne(file.get(), more);
    }
    if (has_room) continue;
    Abandon(file, chunk);
    return Error(Code::kOverloaded, allocated.error().message());
  }
  return Claimed{Claim::kOurs, BytesOf(*file, chunk)};
}

bool WholeFiles::Commit(const FileRef& file, std::uint32_t chunk, std::uint32_t checksum) {
  MutexLock lock(mutex_);
  WholeFile::Chunk& committed = file->chunk_.at(chunk);
  CHECK(committed.state == WholeFile::ChunkState::kFilling);
  committed = {.state = WholeFile::ChunkState::kReady,
               .touched = true,
               .allocated = true,
               .checksum = checksum};
  ++file->ready_;
  changed_.NotifyAll();
  // Until it is sealed it counts as being filled, and so stays.
  const bool is_complete = file->ready_ == file->chunks;
  if (!is_complete) --file->filling_;
  return is_complete;
}

void WholeFiles::Abandon(const FileRef& file, std::uint32_t chunk) {
  const std::uint64_t length = ChunkBytes(*file, chunk);
  const Status punched = files_->Punch(
      file->fd_.get(), {.offset = std::uint64_t{chunk} * options_.chunk_bytes, .length = length});
  MutexLock lock(mutex_);
  WholeFile::Chunk& abandoned = file->chunk_.at(chunk);
  CHECK(abandoned.state == WholeFile::ChunkState::kFilling);
  abandoned.state = WholeFile::ChunkState::kEmpty;
  --file->filling_;
  changed_.NotifyAll();
  abandoned.allocated = !punched.ok();
  if (abandoned.allocated) return;  // Its pages are there, and count.
  file->charged_bytes_ -= PagesOf(length) * kPageBytes;
  used_bytes_ -= PagesOf(length) * kPageBytes;
}

Status WholeFiles::Seal(const FileRef& file) {
  std::vector<WholeFile::Chunk> chunks;
  {
    MutexLock lock(mutex_);
    chunks = file->chunk_;
  }
  const bool intact = Matches(*file, file->mapping_, chunks);
  std::span<std::byte> mapping;
  Gone gone;
  {
    MutexLock lock(mutex_);
    --file->filling_;
    mapping = std::exchange(file->mapping_, {});
    if (intact) file->whole_ = true;
    // Its readers were told what is there: nothing is taken out of it, but nobody else gets it.
    if (!intact) Remove(file, Removal::kDropped, gone);
  }
  TierFiles::Unmap(mapping);
  return intact ? Status() : Error(Code::kCorrupt, "a file does not match its checksums");
}

bool WholeFiles::Matches(const WholeFile& file, std::span<const std::byte> bytes,
                         const std::vector<WholeFile::Chunk>& chunks) const {
  for (std::uint32_t chunk = 0; chunk < file.chunks; ++chunk) {
    const std::span<const std::byte> part =
        bytes.subspan(std::size_t{chunk} * options_.chunk_bytes, ChunkBytes(file, chunk));
    if (Crc32c(part) != chunks[chunk].checksum) return false;
  }
  return true;
}

bool WholeFiles::AwaitChunk(const FileRef& file, std::uint32_t chunk, Deadline until,
                            const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  MutexLock lock(mutex_);
  const WholeFile::Chunk& awaited = file->chunk_.at(chunk);
  while (awaited.state == WholeFile::ChunkState::kFilling && !stop.stop_requested() &&
         Clock::now() < until) {
    changed_.WaitUntil(mutex_, until);
  }
  return awaited.state == WholeFile::ChunkState::kReady;
}

bool WholeFiles::Touch(const FileRef& file, std::uint32_t chunk) {
  MutexLock lock(mutex_);
  return std::exchange(file->chunk_.at(chunk).touched, true);
}

std::uint32_t WholeFiles::ReadyFrom(const FileRef& file, std::uint32_t chunk) const {
  if (file->is_whole()) return file->chunks - chunk;
  MutexLock lock(mutex_);
  std::uint32_t end = chunk;
  while (end < file->chunks && file->chunk_[end].state == WholeFile::ChunkState::kReady) ++end;
  return end - chunk;
}

Status WholeFiles::Verify(const FileRef& file) {
  CHECK(file->is_whole());
  std::vector<WholeFile::Chunk> chunks;
  {
    MutexLock lock(mutex_);
    if (file->gone_) return {};
    chunks = file->chunk_;
  }
  const Result<std::span<std::byte>> mapping = files_->Map(file->fd_.get(), file->size);
  if (!mapping.ok()) return mapping.error();
  const bool intact = Matches(*file, mapping.value(), chunks);
  TierFiles::Unmap(mapping.value());
  if (intact) return {};
  Gone gone;
  MutexLock lock(mutex_);
  if (!file->gone_) Remove(file, Removal::kDropped, gone);
  return Error(Code::kCorrupt, "a file does not match its checksums");
}

std::vector<std::pair<FileKey, std::uint64_t>> WholeFiles::Files() const {
  std::vector<std::pair<FileKey, std::uint64_t>> files;
  MutexLock lock(mutex_);
  files.reserve(by_key_.size());
  for (const auto& [key, file] : by_key_) files.emplace_back(key, file->incarnation);
  return files;
}

WholeFiles::Figures WholeFiles::figures() const {
  MutexLock lock(mutex_);
  const auto whole =
      std::ranges::count_if(by_key_, [](const auto& entry) { return entry.second->is_whole(); });
  return {.capacity_bytes = options_.quota_bytes,
          .used_bytes = used_bytes_,
          .files = by_key_.size(),
          .whole_files = static_cast<std::uint64_t>(whole),
          .evictions = evictions_};
}

}  // namespace forebay
