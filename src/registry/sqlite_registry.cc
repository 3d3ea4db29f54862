// The registry in a SQLite file: docs/formats/registry.md.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/mutex.h"
#include "io/unique_fd.h"
#include "registry/registry.h"
#include "registry/sqlite_statement.h"

namespace forebay {
namespace {

constexpr std::uint64_t kVersion = 1;
constexpr std::uint64_t kApplicationId = 0x46425247;  // "FBRG".
constexpr const char* kSchema = R"(
  PRAGMA application_id = 0x46425247;
  PRAGMA user_version = 1;
  CREATE TABLE objects (
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    generation INTEGER NOT NULL, json TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)) WITHOUT ROWID;
  CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, json TEXT NOT NULL);
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO counters VALUES ('generation', 0), ('starts', 0);
)";

Error OpenError(const std::string& path, int error) {
  const std::string what = fmt::format("registry {}: {}", path, std::strerror(error));
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS: return Error(Code::kDenied, what + "; make the file and its folder writable");
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
      return Error(Code::kInvalidArgument, what + "; name a file in a folder that exists");
    default: return Error(Code::kUnavailable, what);
  }
}

// SQLite would create the file, and its journal after it, as the umask has it.
Status CreatePrivate(const std::string& path) {
  constexpr mode_t kPrivate = 0600;
  const UniqueFd fd(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kPrivate));
  if (!fd) return OpenError(path, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return OpenError(path, errno);
  if (!S_ISREG(info.st_mode)) {
    return Error(Code::kInvalidArgument, "registry " + path + ": not a regular file");
  }
  if ((info.st_mode & 0777) != kPrivate && ::fchmod(fd.get(), kPrivate) != 0) {
    return OpenError(path, errno);
  }
  return {};
}

Result<std::uint64_t> NumberOf(const SqliteFile& file, const char* sql) {
  Statement statement(file, sql);
  const std::uint64_t number = statement.Row() ? statement.Number(0) : 0;
  if (!statement.status().ok()) return statement.status().error();
  return number;
}

// Adds 1 to a counter and returns its value.
Result<std::uint64_t> Count(const SqliteFile& file, const std::string& counter) {
  Statement count(file, "UPDATE counters SET value = value + 1 WHERE name = ? RETURNING value");
  count.Bind(counter);
  const std::uint64_t value = count.Row() ? count.Number(0) : 0;
  Status status = count.Finish();
  if (!status.ok()) return std::move(status).error();
  if (value == 0) {
    return file.Damaged("no counter '" + counter + "'");
  }
  return value;
}

class SqliteRegistry : public Registry {
 public:
  explicit SqliteRegistry(SqliteFile file) : file_(std::move(file)) {}

  // Makes the schema in an empty file, and checks any other.
  Status Prepare() EXCLUDES(mutex_);

  Result<std::vector<StoredObject>> List(const std::string& kind) override EXCLUDES(mutex_);
  Result<std::optional<StoredObject>> Find(const std::string& kind,
                                           const std::string& namespace_name,
                                           const std::string& name) override EXCLUDES(mutex_);
  Result<std::uint64_t> Put(const StoredObject& object,
                            std::optional<std::uint64_t> expected_generation) override
      EXCLUDES(mutex_);
  Result<std::vector<std::uint64_t>> PutAll(const std::vector<StoredObject>& objects) override
      EXCLUDES(mutex_);
  Result<std::uint64_t> Delete(const std::string& kind, const std::string& namespace_name,
                               const std::string& name,
                               std::optional<std::uint64_t> expected_generation) override
      EXCLUDES(mutex_);
  Result<std::uint64_t> Generation() override EXCLUDES(mutex_);
  Result<std::uint32_t> NextGeneration() override EXCLUDES(mutex_);
  Result<std::uint64_t> AppendEvent(const std::string& json) override EXCLUDES(mutex_);
  Result<std::vector<StoredEvent>> ListEvents(std::uint64_t since) override EXCLUDES(mutex_);

 private:
  Result<std::vector<StoredObject>> Objects(Statement& select) REQUIRES(mutex_);
  Result<std::optional<StoredObject>> FindLocked(const std::string& kind,
                                                 const std::string& namespace_name,
                                                 const std::string& name) REQUIRES(mutex_);
  // In the transaction that is open.
  Result<std::uint64_t> Write(const StoredObject& object) REQUIRES(mutex_);
  Status CheckSchema() REQUIRES(mutex_);

  Mutex mutex_;
  SqliteFile file_ GUARDED_BY(mutex_);
};

Status SqliteRegistry::Prepare() {
  MutexLock lock(mutex_);
  // EXTRA: with FULL a journal that was removed can be back after a power cut, and undo what was
  // acknowledged.
  Status status = file_.Run("PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA;");
  if (!status.ok()) return status;
  const Result<std::uint64_t> tables = NumberOf(file_, "SELECT count(*) FROM sqlite_master");
  if (!tables.ok()) return tables.error();
  if (tables.value() > 0) return CheckSchema();
  Transaction transaction(file_);
  if (!transaction.began().ok()) return transaction.began();
  status = file_.Run(kSchema);
  if (!status.ok()) return status;
  return transaction.Commit();
}

Status SqliteRegistry::CheckSchema() {
  const Result<std::uint64_t> id = NumberOf(file_, "PRAGMA application_id");
  if (!id.ok()) return id.error();
  if (id.value() != kApplicationId) {
    return Error(Code::kInvalidArgument, fmt::format("registry {}: a database of another program; "
                                                     "name another file",
                                                     file_.path()));
  }
  const Result<std::uint64_t> version = NumberOf(file_, "PRAGMA user_version");
  if (!version.ok()) return version.error();
  if (version.value() != kVersion) {
    return Error(Code::kInvalidArgument,
                 fmt::format("registry {}: version {}, this forebay knows {}; start the forebay "
                             "that wrote it, or a newer one",
                             file_.path(), version.value(), kVersion));
  }
  Statement check(file_, "PRAGMA quick_check(1)");
  const std::string found = check.Row() ? check.Text(0) : "";
  if (!check.status().ok()) return check.status();
  if (found == "ok") return {};
  return file_.Damaged(found);
}

Result<std::vector<StoredObject>> SqliteRegistry::Objects(Statement& select) {
  std::vector<StoredObject> objects;
  while (select.Row()) {
    objects.push_back(
        {select.Text(0), select.Text(1), select.Text(2), select.Number(3), select.Text(4)});
  }
  if (!select.status().ok()) return select.status().error();
  return objects;
}

Result<std::vector<StoredObject>> SqliteRegistry::List(const std::string& kind) {
  MutexLock lock(mutex_);
  Statement select(file_,
                   "SELECT kind, namespace, name, generation, json FROM objects WHERE kind = ? "
                   "ORDER BY namespace, name");
  return Objects(select.Bind(kind));
}

Result<std::optional<StoredObject>> SqliteRegistry::Find(const std::string& kind,
                                                         const std::string& namespace_name,
                                                         const std::string& name) {
  MutexLock lock(mutex_);
  return FindLocked(kind, namespace_name, name);
}

Result<std::optional<StoredObject>> SqliteRegistry::FindLocked(const std::string& kind,
                                                               const std::string& namespace_name,
                                                               const std::string& name) {
  Statement select(file_,
                   "SELECT kind, namespace, name, generation, json FROM objects WHERE kind = ? "
                   "AND namespace = ? AND name = ?");
  Result<std::vector<StoredObject>> found =
      Objects(select.Bind(kind).Bind(namespace_name).Bind(name));
  if (!found.ok()) return std::move(found).error();
  if (found.value().empty()) return std::optional<StoredObject>();
  return std::optional<StoredObject>(std::move(found.value().front()));
}

Status CheckExpected(const std::optional<StoredObject>& stored, const std::string& name,
                     std::optional<std::uint64_t> expected) {
  const std::uint64_t generation = stored ? stored->generation : kNoGeneration;
  if (!expected || *expected == generation) return {};
  if (*expected == kNoGeneration) return Error(Code::kStale, "'" + name + "' exists already");
  if (!stored) return Error(Code::kStale, "'" + name + "' was deleted meanwhile");
  return Error(Code::kStale, fmt::format("'{}' was changed meanwhile: generation {}, expected {}",
                                         name, generation, *expected));
}

Result<std::uint64_t> SqliteRegistry::Put(const StoredObject& object,
                                          std::optional<std::uint64_t> expected_generation) {
  MutexLock lock(mutex_);
  Transaction transaction(file_);
  if (!transaction.began().ok()) return transaction.began().error();
  const Result<std::optional<StoredObject>> stored =
      FindLocked(object.kind, object.namespace_name, object.name);
  if (!stored.ok()) return stored.error();
  Status status = CheckExpected(stored.value(), object.name, expected_generation);
  if (!status.ok()) return std::move(status).error();
  Result<std::uint64_t> generation = Write(object);
  if (!generation.ok()) return generation;
  status = transaction.Commit();
  if (!status.ok()) return std::move(status).error();
  return generation;
}

Result<std::vector<std::uint64_t>> SqliteRegistry::PutAll(
    const std::vector<StoredObject>& objects) {
  MutexLock lock(mutex_);
  Transaction transaction(file_);
  if (!transaction.began().ok()) return transaction.began().error();
  std::vector<std::uint64_t> generations;
  for (const StoredObject& object : objects) {
    const Result<std::uint64_t> generation = Write(object);
    if (!generation.ok()) return generation.error();
    generations.push_back(generation.value());
  }
  Status status = transaction.Commit();
  if (!status.ok()) return std::move(status).error();
  return generations;
}

Result<std::uint64_t> SqliteRegistry::Write(const StoredObject& object) {
  if (object.kind.empty() || object.name.empty()) {
    return Error(Code::kInvalidArgument, "an object needs a kind and a name");
  }
  Result<std::uint64_t> generation = Count(file_, "generation");
  if (!generation.ok()) return generation;
  Statement put(file_, "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)");
  put.Bind(object.kind).Bind(object.namespace_name).Bind(object.name);
  Status status = put.Bind(generation.value()).Bind(object.json).Finish();
  if (!status.ok()) return std::move(status).error();
  return generation;
}

Result<std::uint64_t> SqliteRegistry::Delete(const std::string& kind,
                                             const std::string& namespace_name,
                                             const std::string& name,
                                             std::optional<std::uint64_t> expected_generation) {
  MutexLock lock(mutex_);
  Transaction transaction(file_);
  if (!transaction.began().ok()) return transaction.began().error();
  const Result<std::optional<StoredObject>> stored = FindLocked(kind, namespace_name, name);
  if (!stored.ok()) return stored.error();
  Status status = CheckExpected(stored.value(), name, expected_generation);
  if (!status.ok()) return std::move(status).error();
  if (!stored.value()) return Error(Code::kNotFound, "'" + name + "' does not exist");
  Result<std::uint64_t> generation = Count(file_, "generation");
  if (!generation.ok()) return generation;
  Statement erase(file_, "DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?");
  status = erase.Bind(kind).Bind(namespace_name).Bind(name).Finish();
  if (status.ok()) status = transaction.Commit();
  if (!status.ok()) return std::move(status).error();
  return generation;
}

Result<std::uint64_t> SqliteRegistry::Generation() {
  MutexLock lock(mutex_);
  Statement select(file_, "SELECT value FROM counters WHERE name = 'generation'");
  const std::uint64_t generation = select.Row() ? select.Number(0) : 0;
  if (!select.status().ok()) return select.status().error();
  return generation;
}

Result<std::uint32_t> SqliteRegistry::NextGeneration() {
  MutexLock lock(mutex_);
  Transaction transaction(file_);
  if (!transaction.began().ok()) return transaction.began().error();
  const Result<std::uint64_t> start = Count(file_, "starts");
  if (!start.ok()) return start.error();
  if (start.value() > UINT32_MAX) {
    return Error(Code::kInternal, "registry " + file_.path() + ": control was started too often");
  }
  Status status = transaction.Commit();
  if (!status.ok()) return std::move(status).error();
  return static_cast<std::uint32_t>(start.value());
}

Result<std::uint64_t> SqliteRegistry::AppendEvent(const std::string& json) {
  MutexLock lock(mutex_);
  Transaction transaction(file_);
  if (!transaction.began().ok()) return transaction.began().error();
  Status status = Statement(file_, "INSERT INTO events (json) VALUES (?)").Bind(json).Finish();
  if (!status.ok()) return std::move(status).error();
  const auto id = static_cast<std::uint64_t>(sqlite3_last_insert_rowid(file_.handle()));
  if (id > kEventsMax) {
    status = Statement(file_, "DELETE FROM events WHERE id <= ?").Bind(id - kEventsMax).Finish();
  }
  if (status.ok()) status = transaction.Commit();
  if (!status.ok()) return std::move(status).error();
  return id;
}

Result<std::vector<StoredEvent>> SqliteRegistry::ListEvents(std::uint64_t since) {
  MutexLock lock(mutex_);
  Statement select(file_, "SELECT id, json FROM events WHERE id > ? ORDER BY id");
  select.Bind(std::min<std::uint64_t>(since, INT64_MAX));
  std::vector<StoredEvent> events;
  while (select.Row()) events.push_back({select.Number(0), select.Text(1)});
  if (!select.status().ok()) return select.status().error();
  return events;
}

}  // namespace

Result<std::unique_ptr<Registry>> OpenSqliteRegistry(const std::string& path) {
  Status created = CreatePrivate(path);
  if (!created.ok()) return std::move(created).error();
  Result<SqliteFile> file = SqliteFile::Open(path);
  if (!file.ok()) return std::move(file).error();
  auto registry = std::make_unique<SqliteRegistry>(std::move(file).value());
  Status prepared = registry->Prepare();
  if (!prepared.ok()) return std::move(prepared).error();
  return std::unique_ptr<Registry>(std::move(registry));
}

}  // namespace forebay
