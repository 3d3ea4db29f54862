// DatasetTable: what is to be cached, as people asked for it: stored in the registry, and kept in
// memory for everybody who asks.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/secret.h"
#include "cluster/group_json.h"
#include "registry/registry.h"
#include "spec/document.h"

namespace forebay {

struct DatasetKey {
  std::string namespace_name;
  std::string name;
  auto operator<=>(const DatasetKey&) const = default;
};

// Values of secret options, by the path of the mount they belong to, then by option.
using MountSecrets = std::map<std::string, std::map<std::string, Secret>>;

// One dataset. Immutable: a change makes another record.
struct DatasetRecord {
  DatasetSpec spec;
  DatasetKey name;
  DatasetUid uid;  // Blocks are keyed by it.
  std::uint64_t generation = 0;
  std::uint64_t refreshed = 0;  // How often it was refreshed by hand.
  std::uint32_t replicas = 1;   // Holders that every file has at least.
  MountSecrets secrets;         // Given with it, and stored.
  MountSecrets resolved;        // Those that it refers to, as they were when it was read.
  std::string changed_at;       // RFC 3339: when its document changed last.
  // Why no worker can serve it; nothing: it is bound to the group.
  std::optional<NotBoundReason> not_bound;
};

using DatasetPointer = std::shared_ptr<const DatasetRecord>;

// As workers and clients are told of it.
DatasetEntry EntryOf(const DatasetRecord& record, WithSecrets secrets);

enum class DatasetChange { kCreated, kConfigured, kUnchanged };
// "created", "configured", "unchanged".
std::string_view ChangeName(DatasetChange change);

// Thread safety: safe. Writes are stored before they are seen.
// Errors of writes: kInvalidArgument, kNotFound, and kUnavailable or kDenied if the state cannot be
// stored: nothing has changed then.
class DatasetTable {
 public:
  // Reads what is stored. `secrets_directory` keeps one file of mode 0600 a dataset with secrets,
  // and is where NAMESPACE/NAME/KEY is looked for if a document refers to a Secret.
  static Result<std::unique_ptr<DatasetTable>> Open(Registry& registry,
                                                    std::string secrets_directory,
                                                    std::map<std::string, std::string> environment);

  // Creates or replaces the dataset. `secrets`: nothing keeps those there are. Another mount point
  // or block size gives it a new uid: its paths then mean other bytes.
  Result<DatasetChange> Put(DatasetSpec spec, const std::optional<MountSecrets>& secrets)
      EXCLUDES(mutex_);
  // The same for all of `specs`, whose names differ, with the secrets there are, and `others` are
  // stored with them: all of it or, after an error, nothing.
  Result<std::vector<DatasetChange>> PutAll(std::vector<DatasetSpec> specs,
                                            std::vector<StoredObject> others) EXCLUDES(mutex_);
  Status Delete(const DatasetKey& name) EXCLUDES(mutex_);
  // What is known of its files counts as out of date from now on.
  Status Refresh(const DatasetKey& name) EXCLUDES(mutex_);
  // The same, if that dataset was refreshed so often. Errors: kNotFound: it was deleted;
  // kUnavailable: it was refreshed, or pinned or not, meanwhile; those of the registry.
  Status RefreshFrom(DatasetUid uid, std::uint64_t refreshed) EXCLUDES(mutex_);
  // Every file has at least `replicas` holders from now on; never fewer than before.
  Status RaiseReplicas(const DatasetKey& name, std::uint32_t replicas) EXCLUDES(mutex_);

  DatasetPointer Find(const DatasetKey& name) const EXCLUDES(mutex_);
  DatasetPointer FindUid(DatasetUid uid) const EXCLUDES(mutex_);
  std::vector<DatasetPointer> All() const EXCLUDES(mutex_);  // By namespace and name.

  // What changed since `generation`.
  struct Changes {
    std::uint64_t generation = 0;  // Up to which this says everything.
    bool full = false;             // `datasets` are all there are.
    std::vector<DatasetPointer> datasets;
    std::vector<DatasetUid> deleted;
  };
  Changes Since(std::uint64_t generation) const EXCLUDES(mutex_);

 private:
  // Deletions that are remembered for workers that know older states.
  static constexpr std::size_t kDeletedMax = 20'000;

  DatasetTable(Registry& registry, std::string secrets_directory,
               std::map<std::string, std::string> environment)
      : registry_(registry),
        secrets_directory_(std::move(secrets_directory)),
        environment_(std::move(environment)) {}

  Result<DatasetPointer> Load(const StoredObject& object) const;
  void RemoveLeftSecrets() REQUIRES(mutex_);
  Result<DatasetRecord> RecordOf(DatasetSpec spec) const;
  Status Store(DatasetRecord record) REQUIRES(mutex_);
  void Keep(DatasetRecord record, std::uint64_t generation) REQUIRES(mutex_);
  // Resolves what the record refers to, and says if something keeps it from being bound.
  void Bind(DatasetRecord& record) const;
  Result<std::string> Resolve(const DatasetRecord& record, const std::string& source) const;
  Status StoreSecrets(const DatasetRecord& record) const;
  std::string SecretsFile(const DatasetKey& name) const;
  void Forget(const DatasetRecord& record, std::uint64_t generation) REQUIRES(mutex_);

  Registry& registry_;
  const std::string secrets_directory_;
  const std::map<std::string, std::string> environment_;
  mutable Mutex mutex_;
  std::map<DatasetKey, DatasetPointer> datasets_ GUARDED_BY(mutex_);
  std::map<DatasetUid, DatasetKey> by_uid_ GUARDED_BY(mutex_);
  std::map<std::uint64_t, DatasetKey> by_generation_ GUARDED_BY(mutex_);
  std::deque<std::pair<std::uint64_t, DatasetUid>> deleted_ GUARDED_BY(mutex_);
  std::uint64_t generation_ GUARDED_BY(mutex_) = 0;
  std::uint64_t full_before_ GUARDED_BY(mutex_) = 0;  // Who knows less than this is told all.
};

}  // namespace forebay
