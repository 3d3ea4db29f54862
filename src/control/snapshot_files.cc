#include "control/snapshot_files.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/log.h"
#include "control/files.h"

namespace forebay {

std::string SnapshotFiles::StagedPath(DatasetUid uid) const {
  return SnapshotPath(directory_, uid) + ".staged";
}

void SnapshotFiles::Sweep(const std::set<DatasetUid>& pinned) const {
  std::set<std::string> wanted;
  for (const DatasetUid& uid : pinned) {
    wanted.insert(SnapshotPath(directory_, uid));
    wanted.insert(StagedPath(uid));
  }
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, ignored)) {
    if (!wanted.contains(entry.path().string())) unlink(entry.path().c_str());
  }
}

SnapshotPointer SnapshotFiles::Read(const SnapshotKey& key) const {
  for (const std::string& path : {SnapshotPath(directory_, key.uid), StagedPath(key.uid)}) {
    Result<Snapshot> read = ReadSnapshot(path);
    if (!read.ok()) {
      if (read.error().code() == Code::kNotFound) continue;
      Log(Level::kWarning, "a snapshot is not readable", {{"error", read.error().message()}});
      continue;
    }
    const SnapshotKey& is = read.value().key();
    if (is.uid == key.uid && is.refreshed == key.refreshed) {
      // A control that ended between its two steps left the second; should it fail, this one stays.
      if (path == StagedPath(key.uid)) static_cast<void>(Commit(key.uid).ok());
      return std::make_shared<const Snapshot>(std::move(read).value());
    }
  }
  return nullptr;
}

Status SnapshotFiles::Stage(const Snapshot& snapshot) const {
  Status made = MakePrivateDirectory(directory_);
  if (!made.ok()) return made;
  const std::vector<std::byte> bytes = EncodeSnapshot(snapshot);
  return ReplaceFile(StagedPath(snapshot.key().uid),
                     {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Status SnapshotFiles::Commit(DatasetUid uid) const {
  return RenameFile(StagedPath(uid), SnapshotPath(directory_, uid));
}

void SnapshotFiles::Remove(DatasetUid uid) const {
  unlink(SnapshotPath(directory_, uid).c_str());
  unlink(StagedPath(uid).c_str());
}

}  // namespace forebay
