// The little of SQLite that the registry uses, with our errors.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace forebay {

// An open database file. Thread safety: none.
class SqliteFile {
 public:
  // The file exists already.
  static Result<SqliteFile> Open(const std::string& path);

  sqlite3* handle() const { return handle_.get(); }
  const std::string& path() const { return path_; }

  // The last failure, `code` being what SQLite returned, as an Error that names the file and what
  // can be done.
  Error ErrorOf(int code) const;
  // kCorrupt: `what` is wrong with what the file holds.
  Error Damaged(const std::string& what) const;

  // Statements without parameters and results.
  Status Run(const char* sql);

 private:
  struct Closer {
    void operator()(sqlite3* handle) const { sqlite3_close(handle); }
  };
  SqliteFile(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}

  std::string path_;
  std::unique_ptr<sqlite3, Closer> handle_;
};

// One statement. The first failure is kept, and everything after it does nothing:
//
//   Statement find(file, "SELECT json FROM objects WHERE name = ?");
//   find.Bind(name);
//   while (find.Row()) use(find.Text(0));
//   if (!find.status().ok()) return find.status().error();
//
// Thread safety: none. Must not outlive the file.
class Statement {
 public:
  Statement(const SqliteFile& file, const char* sql);

  // The next parameter. The text is copied.
  Statement& Bind(const std::string& text);
  Statement& Bind(std::uint64_t number);  // Below 2^63.

  // Whether there is a (next) row.
  bool Row();
  std::string Text(int column) const;
  std::uint64_t Number(int column) const;

  // Runs a statement that gives no rows.
  Status Finish();
  const Status& status() const { return status_; }

 private:
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  void Note(int code);

  const SqliteFile& file_;
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  int bound_ = 0;
  Status status_;
};

// A change that is there as a whole or not at all. Undone unless committed.
//
// Thread safety: none. Must not outlive the file.
class Transaction {
 public:
  explicit Transaction(SqliteFile& file) : file_(file), began_(file.Run("BEGIN IMMEDIATE")) {}
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  const Status& began() const { return began_; }
  // When it returns, the change is on the disk.
  Status Commit() { return file_.Run("COMMIT"); }

 private:
  SqliteFile& file_;
  const Status began_;
};

}  // namespace forebay
