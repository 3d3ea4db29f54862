#include "mount/filesystem.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/wall_clock.h"
#include "mount/errno_of.h"
#include "mount/kernel_channel.h"
#include "mount/listing.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

// How long the kernel may keep what does not change: 10 years.
constexpr std::chrono::nanoseconds kValidForEver = std::chrono::hours(24 * 3650);
// What is read of a file when it is opened: what a worker sends at least.
constexpr std::size_t kHeadBytes = 64u << 10;
constexpr std::size_t kHeadBytesMax = 8u << 20;  // Of all handles.
constexpr std::size_t kBuffersKept = 8u << 20;
// Smaller files stay in the kernel's pages, which are as fast and take no call to the kernel more.
constexpr std::uint64_t kPassThroughBytesMin = 128u << 10;

constexpr std::string_view kXattrCached = "user.forebay.cached";
constexpr std::string_view kXattrVersion = "user.forebay.version";
constexpr std::string_view kXattrHolders = "user.forebay.holders";

// Where numbers of handles begin: at a place of this process's own.
std::uint64_t FirstHandle(const NodeTable& table) {
  constexpr unsigned kShift = 32;
  return table.serial() << kShift;
}

Answer Failed(int error) {
  Answer answer;
  answer.error = error;
  return answer;
}

Answer Bytes(std::vector<std::byte> body) {
  Answer answer;
  answer.body = std::move(body);
  return answer;
}

// The reply to a question for a value of `value`'s size, or for the value itself.
Answer XattrAnswer(std::uint32_t size, std::string_view value) {
  if (size == 0) return Bytes(EncodeXattrSize(value.size()));
  if (value.size() > size) return Failed(ERANGE);
  const auto bytes = std::as_bytes(std::span(value));
  return Bytes({bytes.begin(), bytes.end()});
}

std::chrono::nanoseconds LeftOf(const Freshness& freshness, std::chrono::nanoseconds most) {
  const Clock::time_point now = Clock::now();
  if (freshness.until >= now + most) return most;
  return std::max<std::chrono::nanoseconds>(freshness.until - now, 0s);
}

// Of a file that is open, and so has been there.
int ErrnoOfOpen(Code code) {
  return code == Code::kNotFound ? ESTALE : ErrnoOf(code);
}

// Whether its version can be told from all that come after it.
bool IsSettled(const KnownNode& node) {
  return WallClockNanoseconds() >= SettledAtNanoseconds(node.attributes);
}

std::string Below(const std::string& directory, std::string_view name) {
  std::string path = directory;
  if (!path.empty()) path += '/';
  path += name;
  return path;
}

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

}  // namespace

struct Filesystem::OpenFile {
  OpenFile(NodeRef own_node, std::unique_ptr<File> own_file, std::atomic<std::size_t>& total)
      : node(std::move(own_node)), file(std::move(own_file)), head_bytes_of_all(total) {}
  ~OpenFile() {
    MutexLock lock(mutex);
    head_bytes_of_all -= head.size();
  }

  void KeepHead(std::vector<std::byte> bytes, bool is_young) EXCLUDES(mutex) {
    if (head_bytes_of_all.fetch_add(bytes.size()) + bytes.size() > kHeadBytesMax) {
      head_bytes_of_all -= bytes.size();
      return;
    }
    MutexLock lock(mutex);
    is_head_young = is_young;
    head = std::move(bytes);
  }
  // Copies what is kept of the bytes at `offset`; how many. Until their end was read: once. What
  // was read by a young tag is not handed out once that has settled: the kernel would keep it for
  // good.
  std::size_t CopyHead(std::uint64_t offset, std::span<std::byte> into) EXCLUDES(mutex) {
    MutexLock lock(mutex);
    if (offset >= head.size() || (is_head_young && IsSettled(*node))) return 0;
    const std::size_t count = std::min<std::size_t>(into.size(), head.size() - offset);
    std::memcpy(into.data(), head.data() + offset, count);
    if (offset + count == head.size()) {
      head_bytes_of_all -= head.size();
      head = {};
    }
    return count;
  }

  const NodeRef node;
  const std::unique_ptr<File> file;
  std::optional<std::int32_t> backing = std::nullopt;  // Of Backings::Open, if that was asked.
  std::atomic<std::size_t>& head_bytes_of_all;
  Mutex mutex;
  std::vector<std::byte> head GUARDED_BY(mutex);
  bool is_head_young GUARDED_BY(mutex) = false;
};

struct Filesystem::OpenDirectory {
  OpenDirectory(NodeRef own_node, DirectoryPages& pages)
      : node(std::move(own_node)), listing(pages, node) {}

  const NodeRef node;
  Listing listing;
};

Filesystem::Filesystem(Client& client, NodeTable& table, FilesystemOptions options,
                       std::shared_ptr<KernelChannel> channel)
    : client_(client),
      options_(std::move(options)),
      nodes_(table),
      backings_(std::move(channel), nodes_, table),
      files_(FirstHandle(table)),
      pages_(options_.valid_max),
      directories_(FirstHandle(table)),
      buffers_(kBuffersKept),
      processes_(table.serial()),
      own_files_({{"status", [this] { return MountStatusText(options_.facts, Figures()); }},
                  {"config", [this] { return options_.facts.config; }},
                  {"stats", [this] { return MountStats::Text(Figures()); }}},
                 options_.ownership, FirstHandle(table)) {
  CHECK(options_.root.ends_with('/'));
}

Filesystem::~Filesystem() = default;

struct Filesystem::Dispatch {
  Filesystem& filesystem;
  const Request& request;
  std::stop_token stop;

  template <typename T>
  Answer operator()(const T& call) {
    return filesystem.Do(request, call, std::move(stop));
  }
  Answer operator()(const StatFsCall&) { return filesystem.StatFs(std::move(stop)); }
  Answer operator()(const DestroyCall&) { return {}; }
  Answer operator()(const ChangeCall&) { return Failed(EROFS); }
  Answer operator()(const MalformedCall&) { return Failed(EINVAL); }
  Answer operator()(const FlushCall&) { return Failed(ENOSYS); }  // And is not asked again.
  Answer operator()(const UnknownCall&) { return Failed(ENOSYS); }
  Answer operator()(const InitCall&) { return Failed(EIO); }  // Long past.
  Answer operator()(const ForgetCall&) { return {}; }
  Answer operator()(const InterruptCall&) { return {}; }
};

Answer Filesystem::Handle(const Request& request, std::stop_token stop) {
  Answer answer;
  if (OwnFiles::Concerns(request)) {
    OwnFiles::Reply reply = own_files_.Handle(request);
    answer.error = reply.error;
    answer.body = std::move(reply.body);
  } else {
    answer = std::visit(Dispatch{*this, request, std::move(stop)}, request.call);
  }
  stats_.Count(request, answer.error, answer.data_bytes);
  return answer;
}

MountFigures Filesystem::Figures() const {
  return {.source_bytes = client_.source_bytes(),
          .checksum_failures = client_.checksum_failures(),
          .nodes = nodes_.size(),
          .open_files = files_.size(),
          .open_directories = directories_.size(),
          .processes = processes_,
          .epoch = client_.epoch(),
          .passes_through = backings_.may_pass_through(),
          .members = client_.members()};
}

Answer Filesystem::StatFs(std::stop_token stop) const {
  std::optional<MountedSize> totals;
  if (options_.totals) totals = options_.totals(std::move(stop));
  return Bytes(EncodeStatFs(totals.value_or(MountedSize{})));
}

void Filesystem::Recycle(Answer answer) {
  buffers_.Put(std::move(answer.data));
}

void Filesystem::Forget(const ForgetCall& call) {
  for (const ForgetCall::Node& node : call.nodes) {
    nodes_.Forget(node.node, node.lookups, [this](KnownNode& last) { backings_.Forget(last); });
  }
}

void Filesystem::ForgetNames(KernelChannel& channel, bool all_at_once) {
  constexpr std::size_t kNamesMax = 100'000;
  pages_.Clear();
  channel.ForgetAttributes(kRootNode);
  if (all_at_once && channel.ForgetNames().ok()) return;
  for (const Nodes::KnownName& known : nodes_.Names(kNamesMax)) {
    channel.ForgetName(known.directory, known.name);
  }
}

std::optional<NodeReply> Filesystem::Known(const std::string& path, const Looked& looked) {
  const NodeRef node = nodes_.Enter(path, looked.attributes);
  if (!node) return std::nullopt;
  return NodeReply{.node = node->id,
                   .ino = InodeOf(path),
                   .attributes = looked.attributes,
                   .valid = LeftOf(looked.freshness, options_.valid_max)};
}

Answer Filesystem::Do(const Request& request, const LookupCall& call, std::stop_token stop) {
  const NodeRef parent = nodes_.Find(request.node);
  if (!parent) return Failed(ESTALE);
  if (!parent->is_directory()) return Failed(ENOTDIR);
  const std::string path = Below(parent->path, call.name);
  const Result<Looked> looked = client_.LookUp(UrlOf(path), Soon(), std::move(stop));
  if (!looked.ok()) {
    constexpr std::size_t kUsualNameMax = 255;
    const bool is_long =
        looked.error().code() == Code::kInvalidArgument && call.name.size() > kUsualNameMax;
    return Failed(is_long ? ENAMETOOLONG : ErrnoOf(looked.error().code()));
  }
  const std::optional<NodeReply> known = Known(path, looked.value());
  return known ? Bytes(EncodeEntry(*known, options_.ownership)) : Failed(ENOMEM);
}

Answer Filesystem::Do(const Request& request, const GetAttributesCall&, std::stop_token stop) {
  const NodeRef node = nodes_.Find(request.node);
  if (!node) return Failed(ESTALE);
  NodeReply reply{.node = node->id,
                  .ino = InodeOf(node->path),
                  .attributes = node->attributes,
                  .valid = kValidForEver};  // A version does not change.
  if (node->is_directory()) {
    const std::string url = node->path.empty() ? UrlOf("") : UrlOf(node->path + '/');
    const Result<Looked> looked = client_.LookUp(url, Soon(), std::move(stop));
    if (!looked.ok()) return Failed(ErrnoOf(looked.error().code()));
    if (looked.value().attributes.type != FileType::kDirectory) return Failed(ENOENT);
    reply.attributes = looked.value().attributes;
    reply.valid = LeftOf(looked.value().freshness, options_.valid_max);
  }
  return Bytes(EncodeAttributes(reply, options_.ownership));
}

Result<Filesystem::FileRef> Filesystem::OpenNode(const NodeRef& node, std::stop_token stop) {
  Result<std::unique_ptr<File>> file =
      client_.OpenVersion(UrlOf(node->path), node->attributes, Soon(), std::move(stop));
  if (!file.ok()) return std::move(file).error();
  return std::make_shared<OpenFile>(node, std::move(file).value(), head_bytes_);
}

Status Filesystem::ReadHead(OpenFile& file, std::stop_token stop) {
  std::vector<std::byte> head(std::min<std::uint64_t>(kHeadBytes, file.node->attributes.size));
  const bool is_young = !IsSettled(*file.node);
  const Result<std::size_t> read = file.file->ReadAlone(0, head, Soon(), std::move(stop));
  if (!read.ok()) return read.error();
  CHECK(read.value() == head.size());
  file.KeepHead(std::move(head), is_young);
  return {};
}

Answer Filesystem::Do(const Request& request, const OpenCall& call, std::stop_token stop) {
  if ((call.flags & O_ACCMODE) != O_RDONLY) return Failed(EROFS);
  const NodeRef node = nodes_.Find(request.node);
  if (!node) return Failed(ESTALE);
  if (node->is_directory()) return Failed(EISDIR);
  const bool is_direct = (call.flags & O_DIRECT) != 0;
  if (node->is_with_kernel && !is_direct && IsSettled(*node) && !node->has_young_pages) {
    // Nobody is asked for what the kernel has; if it has not, FindFile will open it.
    return Bytes(EncodeOpen({.handle = files_.Add(nullptr), .keep_pages = true}));
  }
  const Result<FileRef> opened = OpenNode(node, stop);
  if (!opened.ok()) return Failed(ErrnoOf(opened.error().code()));
  OpenFile& file = *opened.value();
  const int whole = node->attributes.size >= kPassThroughBytesMin ? file.file->whole() : -1;
  file.backing = backings_.Open(*node, whole);
  const bool is_buffered = *file.backing == Backings::kNone;
  if (is_buffered && node->attributes.size > 0) {
    const Status read = ReadHead(file, std::move(stop));
    if (!read.ok()) {
      backings_.Release(*node, *file.backing);
      // At ESTALE the kernel asks for the name again, and the program gets the new version.
      return Failed(ErrnoOf(read.error().code()));
    }
  }
  bool keep_pages = is_buffered;
  if (!IsSettled(*node)) {
    node->has_young_pages = true;
    keep_pages = false;
  } else if (node->has_young_pages.exchange(false)) {
    keep_pages = false;
  }
  return Bytes(EncodeOpen(
      {.handle = files_.Add(opened.value()), .keep_pages = keep_pages, .backing = *file.backing}));
}

Result<Filesystem::FileRef> Filesystem::FindFile(const Request& request, std::uint64_t handle,
                                                 std::stop_token stop) {
  if (FileRef file = files_.Find(handle)) return file;
  const NodeRef node = nodes_.Find(request.node);
  if (!node || node->is_directory()) return Error(Code::kChanged, "no such node");
  Result<FileRef> file = OpenNode(node, std::move(stop));
  if (!file.ok()) {
    node->is_with_kernel = false;  // Who opens it next is to find out.
    return file;
  }
  return files_.Restore(handle, std::move(file).value());
}

Result<std::size_t> Filesystem::ReadInto(OpenFile& file, const ReadCall& call,
                                         std::span<std::byte> buffer, std::stop_token stop) {
  const std::size_t done = file.CopyHead(call.offset, buffer);
  if (done == buffer.size()) return done;
  // The kernel reads ahead itself, with several requests at a time: done twice, bytes would come
  // twice.
  const auto method =
      options_.kernel_reads_ahead && !call.is_direct ? &File::ReadAlone : &File::Read;
  Result<std::size_t> read =
      (*file.file.*method)(call.offset + done, buffer.subspan(done), Soon(), std::move(stop));
  if (!read.ok()) return read;
  return done + read.value();
}

Answer Filesystem::Do(const Request& request, const ReadCall& call, std::stop_token stop) {
  const Result<FileRef> file = FindFile(request, call.handle, stop);
  if (!file.ok()) return Failed(ErrnoOfOpen(file.error().code()));
  KnownNode& node = *file.value()->node;
  const std::uint64_t size = node.attributes.size;
  if (call.offset >= size || call.size == 0) return {};
  const std::size_t wanted = static_cast<std::size_t>(
      std::min<std::uint64_t>(std::min(call.size, kRequestBytesMax), size - call.offset));
  Answer answer;
  answer.data = buffers_.Get(wanted);
  const Result<std::size_t> read =
      ReadInto(*file.value(), call, {answer.data.memory.get(), wanted}, std::move(stop));
  if (!read.ok()) {
    node.is_with_kernel = false;
    answer.error = ErrnoOfOpen(read.error().code());
    return answer;
  }
  answer.data_bytes = read.value();
  const bool is_small = size < kPassThroughBytesMin;
  if (is_small && answer.data_bytes == size && !call.is_direct && IsSettled(node)) {
    node.is_with_kernel = true;
  }
  return answer;
}

Answer Filesystem::Do(const Request&, const ReleaseCall& call, std::stop_token) {
  const FileRef file = files_.Remove(call.handle);
  if (file && file->backing) backings_.Release(*file->node, *file->backing);
  return {};
}

Answer Filesystem::Do(const Request& request, const OpenDirectoryCall&, std::stop_token) {
  const NodeRef node = nodes_.Find(request.node);
  if (!node) return Failed(ESTALE);
  if (!node->is_directory()) return Failed(ENOTDIR);
  return Bytes(
      EncodeOpen({.handle = directories_.Add(std::make_shared<OpenDirectory>(node, pages_))}));
}

Filesystem::DirectoryRef Filesystem::FindDirectory(const Request& request, std::uint64_t handle) {
  if (DirectoryRef directory = directories_.Find(handle)) return directory;
  const NodeRef node = nodes_.Find(request.node);
  if (!node || !node->is_directory()) return nullptr;
  return directories_.Restore(handle, std::make_shared<OpenDirectory>(node, pages_));
}

bool Filesystem::AddEntry(const KnownNode& directory, const DirectoryPage& page, std::size_t index,
                          DirectoryReply& reply, bool plus) {
  const std::span<const std::byte> dirent = page.Dirent(index);
  if (!plus || dirent.empty()) return reply.Add(dirent);
  if (!reply.FitsPlus(dirent)) return false;
  const Entry& entry = page.entry(index);
  const std::optional<NodeReply> known =
      Known(Below(directory.path, entry.name), Looked{entry.attributes, pages_.FreshnessOf(page)});
  return reply.AddPlus(dirent, known.value_or(NodeReply{}), options_.ownership);
}

Answer Filesystem::Do(const Request& request, const ReadDirectoryCall& call, std::stop_token stop) {
  const DirectoryRef directory = FindDirectory(request, call.handle);
  if (!directory) return Failed(ESTALE);
  const std::string& path = directory->node->path;
  DirectoryReply reply(std::min(call.size, kRequestBytesMax));
  const auto add_dots = [&](std::string_view name, const std::string& of, std::uint64_t offset) {
    return reply.AddName(name, {.ino = InodeOf(of), .is_directory = true, .offset = offset},
                         call.plus);
  };
  bool fits = call.offset > 0 || add_dots(".", path, 1);
  fits = fits && (call.offset > 1 || add_dots("..", ParentOf(path), DirectoryPage::kFirstOffset));
  if (fits) {
    const std::string url = path.empty() ? UrlOf("") : UrlOf(path + '/');
    const Status listed = directory->listing.Read(
        call.offset,
        [&](const std::string& after) { return client_.ListFor(url, after, Soon(), stop); },
        [&](const DirectoryPage& page, std::size_t index) {
          return AddEntry(*directory->node, page, index, reply, call.plus);
        });
    // What was added the kernel must get; the error comes again with the next request.
    if (!listed.ok() && reply.empty()) return Failed(ErrnoOf(listed.error().code()));
  }
  return Bytes(std::move(reply).Take());
}

Answer Filesystem::Do(const Request&, const ReleaseDirectoryCall& call, std::stop_token) {
  directories_.Remove(call.handle);
  return {};
}

Result<std::string> Filesystem::Xattr(const KnownNode& node, std::string_view name,
                                      std::stop_token stop) {
  if (name == kXattrVersion) return node.attributes.version;
  const FileToRead file{UrlOf(node.path), node.attributes};
  const Result<PoolCensus> census =
      client_.Have(std::span(&file, 1), false, Soon(), std::move(stop));
  if (!census.ok()) return census.error();
  const std::vector<std::uint8_t>& holders = census.value().holders.at(0);
  if (name == kXattrHolders) {
    // Every block has so many.
    return fmt::format("{}", holders.empty() ? 0 : std::ranges::min(holders));
  }
  constexpr std::size_t kHundred = 100;
  const auto held = static_cast<std::size_t>(
      std::ranges::count_if(holders, [](std::uint8_t count) { return count > 0; }));
  // Rounded down: 1.00 means all of it.
  const std::size_t percent = holders.empty() ? kHundred : held * kHundred / holders.size();
  return fmt::format("{}.{:02}", percent / kHundred, percent % kHundred);
}

Answer Filesystem::Do(const Request& request, const GetXattrCall& call, std::stop_token stop) {
  const bool is_ours =
      call.name == kXattrCached || call.name == kXattrVersion || call.name == kXattrHolders;
  if (!is_ours) return Failed(ENODATA);  // Asked for at every exec: fast.
  const NodeRef node = nodes_.Find(request.node);
  if (!node) return Failed(ESTALE);
  if (node->is_directory()) return Failed(ENODATA);
  const Result<std::string> value = Xattr(*node, call.name, std::move(stop));
  if (!value.ok()) return Failed(ErrnoOf(value.error().code()));
  return XattrAnswer(call.size, value.value());
}

Answer Filesystem::Do(const Request& request, const ListXattrCall& call, std::stop_token) {
  const NodeRef node = nodes_.Find(request.node);
  if (!node) return Failed(ESTALE);
  std::string names;
  if (!node->is_directory()) {
    for (const std::string_view name : {kXattrCached, kXattrVersion, kXattrHolders}) {
      names += name;
      names += '\0';
    }
  }
  return XattrAnswer(call.size, names);
}

Answer Filesystem::Do(const Request& request, const AccessCall& call, std::stop_token) {
  if (!nodes_.Find(request.node)) return Failed(ESTALE);
  return Failed((call.mask & W_OK) != 0 ? EROFS : 0);
}

}  // namespace forebay
