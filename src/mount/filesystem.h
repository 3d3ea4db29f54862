// Filesystem: one answer to each request, from nodes, handles and the client. Read-only.
//
// Invariants: what is read through a handle is of its node's version, and of no other. Names are
// handed to the kernel for no longer than their dataset's staleness bound allows.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/buffer_pool.h"
#include "client/client.h"
#include "mount/backings.h"
#include "mount/directory_pages.h"
#include "mount/handles.h"
#include "mount/mount_stats.h"
#include "mount/nodes.h"
#include "mount/own_files.h"
#include "mount/reply.h"
#include "mount/request.h"

namespace forebay {

class KernelChannel;

struct FilesystemOptions {
  std::string root;  // The URL of the mounted directory, ending in '/'.
  Ownership ownership;
  std::chrono::milliseconds read_timeout{30'000};  // Of every question and read.
  // Names and their attributes are kept by the kernel no longer than this.
  std::chrono::nanoseconds valid_max = std::chrono::seconds(60);
  // It asks for what a program will want next by itself, several MiB and requests ahead.
  bool kernel_reads_ahead = false;
  MountFacts facts = {};
  // How much is mounted, as far as it is known. May be empty.
  std::function<std::optional<MountedSize>(std::stop_token)> totals = {};
};

// An answer: an errno, or bytes.
struct Answer {
  int error = 0;
  std::vector<std::byte> body;
  // Instead of `body`, for data: the first `data_bytes` of it. Give it back with Recycle.
  BlockBuffer data;
  std::size_t data_bytes = 0;
};

// Thread safety: safe; nothing but what is named here is shared by requests.
// Memory: about 300 bytes a node, 64 KiB a handle that was just opened (8 MiB in all), a page of
// 1,000 names a directory that is being listed, those of DirectoryPages, and, where the kernel does
// not read ahead, the client's window a file that is being read.
class Filesystem {
 public:
  // `client` and `table` outlive this. What the kernel knows from a process before this one is in
  // `table`. `channel`: of a mount whose kernel can read nodes from other files; else null.
  Filesystem(Client& client, NodeTable& table, FilesystemOptions options,
             std::shared_ptr<KernelChannel> channel = nullptr);
  ~Filesystem();

  // Blocks as long as the client does; cancelled by `stop` within 100 ms. Not for INIT, forgets and
  // interrupts.
  Answer Handle(const Request& request, std::stop_token stop);
  void Recycle(Answer answer);

  void Forget(const ForgetCall& call);
  std::size_t known_nodes() const { return nodes_.size(); }  // With the root.
  // Whether names are kept, here or by the kernel.
  bool keeps_names() { return known_nodes() > 1 || !pages_.empty(); }
  // Forgets names, and has the kernel ask again for those it knows: for all if it can
  // (`all_at_once`), else for 100,000 at most; the others it keeps for valid_max at most. It may
  // wait for requests then.
  void ForgetNames(KernelChannel& channel, bool all_at_once);

 private:
  struct Dispatch;
  struct OpenFile;
  struct OpenDirectory;
  using FileRef = std::shared_ptr<OpenFile>;
  using DirectoryRef = std::shared_ptr<OpenDirectory>;

  Answer Do(const Request& request, const LookupCall& call, std::stop_token stop);
  Answer Do(const Request& request, const GetAttributesCall& call, std::stop_token stop);
  Answer Do(const Request& request, const OpenCall& call, std::stop_token stop);
  Answer Do(const Request& request, const ReadCall& call, std::stop_token stop);
  Answer Do(const Request& request, const OpenDirectoryCall& call, std::stop_token stop);
  Answer Do(const Request& request, const ReadDirectoryCall& call, std::stop_token stop);
  Answer Do(const Request& request, const ReleaseCall& call, std::stop_token stop);
  Answer Do(const Request& request, const ReleaseDirectoryCall& call, std::stop_token stop);
  Answer Do(const Request& request, const GetXattrCall& call, std::stop_token stop);
  Answer Do(const Request& request, const ListXattrCall& call, std::stop_token stop);
  Answer Do(const Request& request, const AccessCall& call, std::stop_token stop);

  MountFigures Figures() const;
  Answer StatFs(std::stop_token stop) const;
  Deadline Soon() const { return Clock::now() + options_.read_timeout; }
  std::string UrlOf(const std::string& path) const { return options_.root + path; }
  // The answer about a node, which it enters. Nothing: there are too many.
  std::optional<NodeReply> Known(const std::string& path, const Looked& looked);
  Result<FileRef> OpenNode(const NodeRef& node, std::stop_token stop);
  // What is open under `handle`, or was in a process before this one.
  Result<FileRef> FindFile(const Request& request, std::uint64_t handle, std::stop_token stop);
  DirectoryRef FindDirectory(const Request& request, std::uint64_t handle);
  Status ReadHead(OpenFile& file, std::stop_token stop);
  Result<std::size_t> ReadInto(OpenFile& file, const ReadCall& call, std::span<std::byte> buffer,
                               std::stop_token stop);
  bool AddEntry(const KnownNode& directory, const DirectoryPage& page, std::size_t index,
                DirectoryReply& reply, bool plus);
  Result<std::string> Xattr(const KnownNode& node, std::string_view name, std::stop_token stop);

  Client& client_;
  const FilesystemOptions options_;
  Nodes nodes_;
  Backings backings_;
  Handles<OpenFile> files_;
  DirectoryPages pages_;
  Handles<OpenDirectory> directories_;
  BufferPool buffers_;
  std::atomic<std::size_t> head_bytes_ = 0;  // Of all open files.
  const std::uint64_t processes_;            // That have served the mount, with this one.
  MountStats stats_;
  OwnFiles own_files_;
};

}  // namespace forebay
