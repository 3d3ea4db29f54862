#include "registry/sqlite_statement.h"

#include <fmt/format.h>

#include <cerrno>

namespace forebay {
namespace {

// How long to wait for another process, a person with the sqlite3 command say.
constexpr int kBusyTimeoutMs = 500;

Error FullDisk(const std::string& where) {
  return Error(Code::kUnavailable, where + ": no space left; make room, it goes on by itself then");
}

Error ReadOnly(const std::string& where) {
  return Error(
      Code::kDenied,
      where + ": cannot be written; make the file, its folder and its file system writable");
}

}  // namespace

Result<SqliteFile> SqliteFile::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  SqliteFile file(path, handle);  // Also when it failed: the handle knows why.
  if (code != SQLITE_OK) return file.ErrorOf(code);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  return file;
}

Error SqliteFile::ErrorOf(int code) const {
  const std::string where = fmt::format("registry {}", path_);
  const int system_error = sqlite3_system_errno(handle_.get());
  switch (code & 0xff) {
    case SQLITE_FULL: return FullDisk(where);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return ReadOnly(where);
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      if (system_error == ENOSPC || system_error == EDQUOT) return FullDisk(where);
      if (system_error == EROFS || system_error == EACCES || system_error == EPERM) {
        return ReadOnly(where);
      }
      // SQLite does not keep the errno of every failure.
      return Error(Code::kUnavailable,
                   fmt::format("{}: the disk failed ({}{}); see the kernel's log", where,
                               sqlite3_errmsg(handle_.get()),
                               system_error == 0 ? "" : fmt::format(", errno {}", system_error)));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error(Code::kUnavailable, where + ": another process holds it; end that one");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Damaged(sqlite3_errmsg(handle_.get()));
    case SQLITE_TOOBIG: return Error(Code::kInvalidArgument, where + ": the object is too big");
    default:
      return Error(Code::kInternal, fmt::format("{}: {} (SQLite error {})", where,
                                                sqlite3_errmsg(handle_.get()), code));
  }
}

Error SqliteFile::Damaged(const std::string& what) const {
  return Error(Code::kCorrupt,
               fmt::format("registry {}: damaged ({}); stop control, put a backup in its place, or "
                           "move it away to begin with an empty one: datasets must then be created "
                           "anew, cached blocks stay",
                           path_, what));
}

Status SqliteFile::Run(const char* sql) {
  const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return ErrorOf(code);
  return {};
}

Statement::Statement(const SqliteFile& file, const char* sql) : file_(file) {
  sqlite3_stmt* statement = nullptr;
  Note(sqlite3_prepare_v2(file.handle(), sql, -1, &statement, nullptr));
  statement_.reset(statement);
}

void Statement::Note(int code) {
  if (code != SQLITE_OK && status_.ok()) status_ = file_.ErrorOf(code);
}

Statement& Statement::Bind(const std::string& text) {
  if (status_.ok()) {
    Note(sqlite3_bind_text64(statement_.get(), ++bound_, text.data(), text.size(), SQLITE_TRANSIENT,
                             SQLITE_UTF8));
  }
  return *this;
}

Statement& Statement::Bind(std::uint64_t number) {
  if (status_.ok()) {
    Note(sqlite3_bind_int64(statement_.get(), ++bound_, static_cast<std::int64_t>(number)));
  }
  return *this;
}

bool Statement::Row() {
  if (!status_.ok()) return false;
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) Note(code);
  return false;
}

std::string Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (text == nullptr) return {};
  return {text, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::uint64_t Statement::Number(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
}

Status Statement::Finish() {
  while (Row()) {
  }
  return status_;
}

Transaction::~Transaction() {
  // SQLite has undone it by itself after some failures.
  if (sqlite3_get_autocommit(file_.handle()) == 0) (void)file_.Run("ROLLBACK");
}

}  // namespace forebay
