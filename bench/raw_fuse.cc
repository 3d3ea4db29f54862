// The yardstick of mounts: the least loop over /dev/fuse that serves a flat directory of files.
//
//   raw_fuse DIRECTORY FOLDER [direct-io] [keep-cache] [read-ahead=KIB] [ttl=SECONDS] [threads=N]
//            [from=ADDRESS PORT]
//
// Mounts FOLDER at DIRECTORY, prints `ready`, and serves until SIGTERM. Bytes come from memory
// mapped once, before that; or from a `raw_pairing serve` (received, summed by CRC32C, written to
// the kernel), each file in order and by one thread. It checks nothing and forgets nothing.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <map>
#include <unordered_map>

#include "base/crc32c.h"
#include "base/task_group.h"
#include "raw_sockets.h"

namespace forebay {
namespace {

constexpr std::size_t kReadBytesMax = 1u << 20;
constexpr std::size_t kRequestBytesMax = 8192;
constexpr std::uint64_t kFirstFile = FUSE_ROOT_ID + 1;  // The node id of the first file.

struct Options {
  std::uint32_t open_flags = 0;
  std::uint64_t ttl_seconds = 0;
  std::size_t threads = 2;
  const char* read_ahead_kib = nullptr;
  const char* address = nullptr;
  const char* port = nullptr;
};

struct ServedFile {
  std::string name;
  struct stat status;
  std::span<const std::byte> bytes;
};

struct Folder {
  std::vector<ServedFile> files;
  std::unordered_map<std::string_view, std::uint64_t> nodes;
  struct stat root = {};
};

Folder Load(const char* path) {
  Folder folder;
  DIR* const directory = opendir(path);
  if (directory == nullptr || stat(path, &folder.root) != 0) Die(path);
  std::map<ino_t, std::span<const std::byte>> mapped;  // Links to one file are mapped once.
  while (const dirent* const entry = readdir(directory)) {
    const UniqueFd fd(openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC));
    ServedFile file{.name = entry->d_name, .status = {}, .bytes = {}};
    if (!fd || fstat(fd.get(), &file.status) != 0) Die(entry->d_name);
    if (!S_ISREG(file.status.st_mode)) continue;
    std::span<const std::byte>& bytes = mapped[file.status.st_ino];
    const auto size = static_cast<std::size_t>(file.status.st_size);
    if (bytes.empty() && size > 0) {
      void* const memory = mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd.get(), 0);
      if (memory == MAP_FAILED) Die("mmap");
      bytes = {static_cast<const std::byte*>(memory), size};
    }
    file.bytes = bytes;
    folder.files.push_back(std::move(file));
  }
  closedir(directory);
  for (std::uint64_t i = 0; i < folder.files.size(); ++i) {
    folder.nodes[folder.files[i].name] = kFirstFile + i;
  }
  return folder;
}

// Files read in order from a sender, by one thread.
class Stream {
 public:
  explicit Stream(const Options& options) : options_(options), buffer_(kReadBytesMax) {}

  // Nothing: it was not the next part.
  std::span<const std::byte> Read(std::uint64_t offset, std::size_t size, std::uint64_t of) {
    if (offset == 0) Begin(of);
    if (offset != position_ || size > buffer_.size()) return {};
    const ssize_t got = recv(connection_.get(), buffer_.data(), size, MSG_WAITALL);
    if (got != static_cast<ssize_t>(size)) Die("recv");
    position_ += size;
    const std::span<const std::byte> bytes(buffer_.data(), size);
    sums_ += GranuleChecksums(bytes).back();
    return bytes;
  }

 private:
  void Begin(std::uint64_t bytes) {
    connection_ = NewSocket();
    const sockaddr_in address = AddressOf(options_.address, options_.port);
    if (connect(connection_.get(), Raw(address), sizeof address) != 0) Die("connect");
    if (send(connection_.get(), &bytes, sizeof bytes, 0) != sizeof bytes) Die("send");
    position_ = 0;
  }

  const Options& options_;
  std::vector<std::byte> buffer_;
  UniqueFd connection_;
  std::uint64_t position_ = 0;
  std::uint64_t sums_ = 0;  // So that they are needed.
};

class Loop {
 public:
  Loop(int device, const Folder& folder, const Options& options)
      : device_(device), folder_(folder), options_(options), stream_(options) {}

  void Run() {
    while (true) {
      const ssize_t size = read(device_, request_.data(), request_.size());
      if (size > 0) {
        std::memcpy(&header_, request_.data(), sizeof header_);
        Serve();
      } else if (size == 0 || (errno != EINTR && errno != EAGAIN && errno != ENOENT)) {
        return;  // Unmounted.
      }
    }
  }

 private:
  template <typename T>
  T Body() const {
    T body{};
    std::memcpy(&body, request_.data() + sizeof header_, sizeof body);
    return body;
  }

  void Send(int error, const void* body, std::size_t size) const {
    fuse_out_header out{.len = static_cast<std::uint32_t>(sizeof out + size),
                        .error = -error,
                        .unique = header_.unique};
    const std::array<iovec, 2> parts = {iovec{&out, sizeof out},
                                        iovec{const_cast<void*>(body), size}};
    if (writev(device_, parts.data(), parts.size()) < 0 && errno != ENOENT) Die("answer");
  }
  template <typename T>
  void Answer(const T& body) const {
    Send(0, &body, sizeof body);
  }

  fuse_attr Attributes(std::uint64_t node) const {
    const struct stat& from =
        node == FUSE_ROOT_ID ? folder_.root : folder_.files.at(node - kFirstFile).status;
    fuse_attr attr{};
    attr.ino = node;
    attr.size = static_cast<std::uint64_t>(from.st_size);
    attr.blocks = static_cast<std::uint64_t>(from.st_blocks);
    attr.mtime = static_cast<std::uint64_t>(from.st_mtim.tv_sec);
    attr.mode = from.st_mode;
    attr.nlink = 1;
    attr.blksize = 4096;
    return attr;
  }
  fuse_entry_out Entry(std::uint64_t node) const {
    fuse_entry_out entry{};
    entry.nodeid = node;
    entry.entry_valid = entry.attr_valid = options_.ttl_seconds;
    entry.attr = Attributes(node);
    return entry;
  }

  void Serve() {
    switch (header_.opcode) {
      case FUSE_INIT: return Init();
      case FUSE_LOOKUP: return LookUp();
      case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr_valid = options_.ttl_seconds;
        out.attr = Attributes(header_.nodeid);
        return Answer(out);
      }
      case FUSE_OPEN: {
        fuse_open_out out{};
        out.open_flags = options_.open_flags;
        return Answer(out);
      }
      case FUSE_OPENDIR: return Answer(fuse_open_out{});
      case FUSE_READ: return Read();
      case FUSE_READDIR: return List<fuse_dirent>();
      case FUSE_READDIRPLUS: return List<fuse_direntplus>();
      case FUSE_RELEASE:
      case FUSE_RELEASEDIR:
      case FUSE_DESTROY: return Send(0, nullptr, 0);
      case FUSE_STATFS: return Answer(fuse_statfs_out{});
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT: return;
      default: return Send(ENOSYS, nullptr, 0);
    }
  }

  void Init() const {
    fuse_init_out out{};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = FUSE_KERNEL_MINOR_VERSION;
    out.max_readahead = kReadBytesMax;
    out.max_background = 64;
    out.congestion_threshold = 48;
    out.max_write = 4096;
    out.time_gran = 1;
    out.max_pages = kReadBytesMax / 4096;
    out.flags = FUSE_ASYNC_READ | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
                FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES;
    Answer(out);
  }

  void LookUp() const {
    const char* const name = reinterpret_cast<const char*>(request_.data() + sizeof header_);
    const auto found = folder_.nodes.find(name);
    if (found == folder_.nodes.end()) return Send(ENOENT, nullptr, 0);
    Answer(Entry(found->second));
  }

  void Read() {
    const auto call = Body<fuse_read_in>();
    const std::span<const std::byte> all = folder_.files.at(header_.nodeid - kFirstFile).bytes;
    if (call.offset >= all.size()) return Send(0, nullptr, 0);
    const std::size_t size = std::min<std::size_t>(call.size, all.size() - call.offset);
    if (options_.address == nullptr) return Send(0, all.data() + call.offset, size);
    const std::span<const std::byte> got = stream_.Read(call.offset, size, all.size());
    Send(got.empty() ? EIO : 0, got.data(), got.size());
  }

  static fuse_dirent& EntryOf(fuse_dirent& entry) { return entry; }
  static fuse_dirent& EntryOf(fuse_direntplus& entry) { return entry.dirent; }
  void Fill(fuse_dirent&, std::uint64_t) const {}
  void Fill(fuse_direntplus& entry, std::uint64_t node) const { entry.entry_out = Entry(node); }

  template <typename T>
  void List() {
    const auto call = Body<fuse_read_in>();
    listed_.resize(call.size);
    std::size_t used = 0;
    for (std::uint64_t i = call.offset; i < folder_.files.size(); ++i) {
      const ServedFile& file = folder_.files[i];
      // Names follow the fixed part, and the next entry is aligned.
      const std::size_t size = (sizeof(T) + file.name.size() + 7) / 8 * 8;
      if (used + size > listed_.size()) break;
      T entry{};
      fuse_dirent& plain = EntryOf(entry);
      plain.ino = kFirstFile + i;
      plain.off = i + 1;
      plain.namelen = static_cast<std::uint32_t>(file.name.size());
      plain.type = DT_REG;
      Fill(entry, kFirstFile + i);
      std::memcpy(&listed_[used], &entry, sizeof entry);
      std::memcpy(&listed_[used + sizeof entry], file.name.data(), file.name.size());
      used += size;
    }
    Send(0, listed_.data(), used);
  }

  const int device_;
  const Folder& folder_;
  const Options& options_;
  Stream stream_;
  std::array<std::byte, kRequestBytesMax> request_{};
  fuse_in_header header_{};
  std::vector<std::byte> listed_;
};

int Device() {
  const int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) Die("/dev/fuse");
  return device;
}

int MountAt(const char* directory) {
  const int device = Device();
  const std::string data = fmt::format(
      "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", device);
  if (mount("raw_fuse", directory, "fuse.raw", MS_NOSUID | MS_NODEV | MS_RDONLY, data.c_str()) !=
      0) {
    Die("mount");
  }
  return device;
}

void SetReadAhead(const char* directory, const char* kib) {
  struct stat status = {};
  if (stat(directory, &status) != 0) Die(directory);
  const std::string path =
      fmt::format("/sys/class/bdi/{}:{}/read_ahead_kb", major(status.st_dev), minor(status.st_dev));
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || write(fd.get(), kib, std::strlen(kib)) < 0) Die(path);
}

int Mounted(const char* directory, const Folder& folder, const Options& options) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  const int device = MountAt(directory);
  TaskGroup threads;
  for (std::size_t i = 0; i < options.threads; ++i) {
    auto original = static_cast<std::uint32_t>(device);
    const int own = i == 0 ? device : Device();
    if (i > 0 && ioctl(own, FUSE_DEV_IOC_CLONE, &original) != 0) Die("clone");
    threads.Run("raw", [&folder, &options, own](const std::stop_token&) {
      Loop(own, folder, options).Run();
    });
  }
  if (options.read_ahead_kib != nullptr) SetReadAhead(directory, options.read_ahead_kib);
  fmt::print("ready\n");
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  umount2(directory, MNT_DETACH);
  std::_Exit(0);  // With the process the kernel ends what is still open.
}

int Run(const std::vector<const char*>& arguments) {
  if (arguments.size() < 2) {
    fmt::print(stderr, "usage: at the top of bench/raw_fuse.cc\n");
    return 2;
  }
  Options options;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    const std::string_view text = arguments[i];
    const char* const value = arguments[i] + std::min(text.size(), text.find('=') + 1);
    if (text == "direct-io") options.open_flags |= FOPEN_DIRECT_IO;
    if (text == "keep-cache") options.open_flags |= FOPEN_KEEP_CACHE;
    if (text.starts_with("read-ahead=")) options.read_ahead_kib = value;
    if (text.starts_with("ttl=")) options.ttl_seconds = std::stoul(value);
    if (text.starts_with("threads=")) options.threads = std::stoul(value);
    if (text.starts_with("from=") && i + 1 < arguments.size()) {
      options.address = value;
      options.port = arguments[++i];
      options.threads = 1;
    }
  }
  return Mounted(arguments[0], Load(arguments[1]), options);
}

}  // namespace
}  // namespace forebay

int main(int argc, char** argv) {
  return forebay::Run(std::vector<const char*>(argv + 1, argv + argc));
}
