// PosixUpstream: a mounted directory tree (local disk, NAS, CPFS) as an under-storage.
#pragma once

#include <memory>
#include <string>

#include "base/metrics.h"
#include "io/unique_fd.h"
#include "upstream/request_counts.h"
#include "upstream/upstream.h"

namespace forebay {

class Counter;

// Thread safety: safe. No state but the root's descriptor.
class PosixUpstream final : public Upstream {
 public:
  // `store` is the metrics label. Errors: kNotFound, kDenied if `root` cannot be opened.
  static Result<std::unique_ptr<Upstream>> Create(const std::string& root, const Labels& store);

  bool ProvenWhileStreaming(const std::string&) const override { return false; }
  // All three: the stop and the deadline are looked at between system calls. A file system that
  // does not answer (a dead NFS server) holds the calling thread until it does.
  // A fifo, socket or device is kInvalidArgument and is never opened blocking; a symlink that leads
  // out of the tree is kDenied.
  Result<Attributes> Stat(const std::string& path, Deadline deadline,
                          std::stop_token stop) override;
  // Costs one pass over the directory a page. Left out: special files, links to nowhere or out.
  Result<ListPage> List(const std::string& directory, const std::string& after, Deadline deadline,
                        std::stop_token stop) override;
  Result<ReadOutcome> Read(const ReadRange& range, ByteSink& sink, Deadline deadline,
                           std::stop_token stop) override;

 private:
  PosixUpstream(UniqueFd root, bool is_whole_machine, const Labels& store)
      : root_(std::move(root)), is_whole_machine_(is_whole_machine), counts_(store) {}

  Result<UniqueFd> Open(const std::string& path, int flags) const;
  Result<Attributes> StatEntry(int directory_fd, const std::string& directory,
                               const std::string& name) const;
  Result<ReadOutcome> ReadFile(const ReadRange& range, ByteSink& sink, Deadline deadline,
                               const std::stop_token& stop) const;
  Result<ListPage> ListDirectory(const std::string& directory, const std::string& after,
                                 Deadline deadline, const std::stop_token& stop) const;
  template <typename T>
  Result<T> Counted(std::string_view method, Deadline began, Result<T> outcome) const;

  const UniqueFd root_;
  const bool is_whole_machine_;  // The root is "/": an absolute link stays beneath it.
  const RequestCounts counts_;
};

}  // namespace forebay
