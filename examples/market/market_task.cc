// market_task: a research task of the demo. Stands ready, reads its files at the signal, and then
// computes a feature of each. Its contract is in README.md beside it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "client/client.h"
#include "client/group_directory.h"
#include "io/unique_fd.h"

extern "C" char** environ;  // NOLINT: as POSIX names it.

namespace forebay {
namespace {

// Long: straight from a throttled store, a hundred tasks each get a hundredth of its link.
constexpr std::chrono::milliseconds kReadTimeout{120'000};
constexpr std::chrono::seconds kResolveTimeout{30};

struct Options {
  // Of the group whose datasets are read. Neither: straight from the store.
  std::string control;
  std::string group_file;
  std::string mounted;  // Where the dataset is mounted: files are read there.
  int start_fd = STDIN_FILENO;
  std::uint64_t reserve = 0;  // Bytes.
  bool sha256 = false;
  std::vector<std::string> urls;
};

struct Span {
  std::string url;
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct KeptFile {
  std::string url;
  std::span<const std::byte> bytes;
};

// What was read, and when its first byte was there.
struct Haul {
  std::vector<KeptFile> files;
  std::size_t bytes = 0;
  Clock::time_point first_byte;
  SourceBytes sources;
};

// Keeps all bytes of all files, one file behind the other, in memory that was touched before the
// signal: fresh memory may come slower than the network.
class Keeper : public FileSink {
 public:
  explicit Keeper(std::uint64_t reserve) : memory_(reserve) {}

  std::span<std::byte> Memory(const FileToRead& file, const Attributes& attributes) override {
    const std::size_t begin = files_.empty() ? 0 : files_.back().end;
    if (attributes.size > memory_.size() - begin) return {};
    files_.push_back({file.url, begin, begin + attributes.size});
    return std::span(memory_).subspan(begin, attributes.size);
  }
  Status Begin(const FileToRead& file, const Attributes& attributes) override {
    const bool kept =
        std::ranges::any_of(files_, [&file](const Span& span) { return span.url == file.url; });
    if (kept || attributes.size == 0) return {};
    return Error(Code::kInvalidArgument, file.url + ": --reserve is too small for it");
  }
  Status Write(std::span<const std::byte> bytes) override {
    if (size_ == 0) first_byte_ = Clock::now();
    size_ += bytes.size();
    return {};
  }
  Status End(const FileToRead& file, Status outcome) override {
    if (!outcome.ok()) return std::move(outcome).error().Within(file.url);
    return {};
  }

  Clock::time_point first_byte() const { return first_byte_; }
  std::size_t size() const { return size_; }
  std::vector<KeptFile> files() const {
    std::vector<KeptFile> kept;
    for (const Span& file : files_) {
      kept.push_back({file.url, std::span(memory_).subspan(file.begin, file.end - file.begin)});
    }
    return kept;
  }

 private:
  std::vector<std::byte> memory_;
  std::vector<Span> files_;
  std::size_t size_ = 0;
  Clock::time_point first_byte_;
};

Error Failed(const std::string& path) {
  return {Code::kUnavailable, fmt::format("{}: {}", path, std::strerror(errno))};
}

// Reads files as programs do that know nothing of Forebay: every other one with read(2), the rest
// through mmap(2). They stay in memory until this is gone.
class OrdinaryReader {
 public:
  explicit OrdinaryReader(std::uint64_t reserve) : memory_(reserve) {}
  ~OrdinaryReader() {
    for (const std::span<std::byte> mapped : mappings_) munmap(mapped.data(), mapped.size());
  }

  Status Read(const std::string& url, const std::string& path, Haul& haul) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status = {};
    if (!fd || fstat(fd.get(), &status) != 0) return Failed(path);
    const auto size = static_cast<std::size_t>(status.st_size);
    Result<std::span<const std::byte>> bytes =
        haul.files.size() % 2 == 0 ? Copy(fd.get(), size) : Map(fd.get(), size);
    if (!bytes.ok()) return std::move(bytes).error().Within(path);
    if (haul.files.empty()) haul.first_byte = Clock::now();
    haul.files.push_back({url, bytes.value()});
    haul.bytes += size;
    return {};
  }

 private:
  Result<std::span<const std::byte>> Copy(int fd, std::size_t size) {
    if (size > memory_.size() - used_) return Error(Code::kInvalidArgument, "--reserve: too small");
    const std::span<std::byte> into = std::span(memory_).subspan(used_, size);
    for (std::size_t done = 0; done < size;) {
      const ssize_t got = read(fd, into.data() + done, size - done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return Error(Code::kUnavailable, got < 0 ? std::strerror(errno) : "too short");
      done += static_cast<std::size_t>(got);
    }
    used_ += size;
    return std::span<const std::byte>(into);
  }

  Result<std::span<const std::byte>> Map(int fd, std::size_t size) {
    void* const start = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (start == MAP_FAILED) return Error(Code::kUnavailable, std::strerror(errno));
    mappings_.emplace_back(static_cast<std::byte*>(start), size);
    constexpr std::size_t kPage = 4096;
    for (std::size_t at = 0; at < size; at += kPage) {
      touched_ = touched_ ^ std::to_integer<unsigned>(mappings_.back()[at]);
    }
    return std::span<const std::byte>(mappings_.back());
  }

  std::vector<std::byte> memory_;
  std::size_t used_ = 0;
  std::vector<std::span<std::byte>> mappings_;
  unsigned touched_ = 0;
};

template <typename T>
T Load(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// Realised volatility of a file as docs/formats/market-bin.md lays it out.
// Errors: kInvalidArgument, if it is not one.
Result<double> RealisedVolatility(std::span<const std::byte> file) {
  constexpr std::string_view kMagic = "FBMBAR01";
  constexpr std::size_t kHeadBytes = 64;
  constexpr std::uint64_t kColumns = 6;
  constexpr std::uint64_t kClose = 4;
  constexpr double kMinutesPerYear = 252 * 390;
  if (file.size() < kHeadBytes || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) {
    return Error(Code::kInvalidArgument, "not a file of minute bars");
  }
  const std::uint64_t rows = (file.size() - kHeadBytes) / (kColumns * sizeof(float));
  if (rows < 2 || Load<std::uint64_t>(file, kMagic.size()) != rows) {
    return Error(Code::kInvalidArgument, fmt::format("{} bytes do not hold its bars", file.size()));
  }
  const std::span<const std::byte> close =
      file.subspan(kHeadBytes + kClose * rows * sizeof(float), rows * sizeof(float));
  double squares = 0;
  double before = std::log(static_cast<double>(Load<float>(close, 0)));
  for (std::size_t i = 1; i < rows; ++i) {
    const double now = std::log(static_cast<double>(Load<float>(close, i * sizeof(float))));
    squares += (now - before) * (now - before);
    before = now;
  }
  return std::sqrt(squares * kMinutesPerYear / static_cast<double>(rows - 1));
}

// Waits for the signal; returns its time. Errors: kCancelled, if none comes.
Result<Clock::time_point> AwaitSignal(int fd) {
  std::uint64_t nanoseconds = 0;  // Of CLOCK_MONOTONIC, which Clock is.
  ssize_t got = 0;
  do {
    got = read(fd, &nanoseconds, sizeof nanoseconds);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof nanoseconds) return Error(Code::kCancelled, "no start signal came");
  return Clock::time_point(std::chrono::nanoseconds(static_cast<std::int64_t>(nanoseconds)));
}

Result<std::unique_ptr<Client>> Connect(const Options& options) {
  ClientOptions client;
  if (!options.control.empty() || !options.group_file.empty()) {
    Result<std::unique_ptr<GroupDirectory>> group =
        MakeControlDirectory({.control = options.control, .group_file = options.group_file});
    if (!group.ok()) return std::move(group).error().Within("--control");
    client.group = std::move(group).value();
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    client.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return Client::Create(std::move(client));
}

Result<nlohmann::json> FeaturesOf(const std::vector<KeptFile>& files, bool with_sha256) {
  nlohmann::json report;
  for (const KeptFile& file : files) {
    const std::span<const std::byte> bytes = file.bytes;
    if (file.url.ends_with(".bin")) {
      Result<double> volatility = RealisedVolatility(bytes);
      if (!volatility.ok()) return std::move(volatility).error().Within(file.url);
      report["volatility"][file.url] = volatility.value();
    }
    if (with_sha256) {
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      const std::array<std::uint8_t, 32> digest = Sha256(text);
      report["sha256"][file.url] =
          Hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
    }
  }
  return report;
}

void Print(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

// On one machine the tasks share two cores: one that computes must not slow those that still read.
Status Report(const Options& options, const Haul& haul, Clock::time_point signal,
              Clock::time_point end) {
  if (nice(19) == -1) return Error(Code::kInternal, "nice(2) failed");
  Result<nlohmann::json> report = FeaturesOf(haul.files, options.sha256);
  if (!report.ok()) return report.error();
  const auto seconds = [&](Clock::time_point time) {
    return std::chrono::duration<double>(time - signal).count();
  };
  report.value()["firstByteSeconds"] = seconds(haul.first_byte);
  report.value()["accessSeconds"] = seconds(end);
  report.value()["bytes"] = haul.bytes;
  report.value()["sources"] = {{"local", haul.sources.local},
                               {"peer", haul.sources.peer},
                               {"upstream", haul.sources.upstream}};
  Print(report.value().dump());
  return {};
}

Status RunClient(const Options& options) {
  Result<std::unique_ptr<Client>> client = Connect(options);
  if (!client.ok()) return client.error();
  std::vector<FileToRead> files;
  for (const std::string& url : options.urls) {
    const Status resolved = client.value()->Resolve(url, Clock::now() + kResolveTimeout, {});
    if (!resolved.ok()) return resolved;
    files.push_back({url, std::nullopt});
  }
  Keeper kept(options.reserve);

  Print("started");
  const Result<Clock::time_point> signal = AwaitSignal(options.start_fd);
  if (!signal.ok()) return signal.error();
  const Status read = client.value()->ReadFiles(files, kept, kReadTimeout, {});
  const Clock::time_point end = Clock::now();
  if (!read.ok()) return read.error();
  const Haul haul{.files = kept.files(),
                  .bytes = kept.size(),
                  .first_byte = kept.first_byte(),
                  .sources = client.value()->source_bytes()};
  return Report(options, haul, signal.value(), end);
}

// Of a mount: what it says of itself.
Result<SourceBytes> SourcesOf(const std::string& mounted) {
  std::ifstream file(mounted + "/.forebay/status");
  const nlohmann::json status = nlohmann::json::parse(file, nullptr, false);
  if (status.is_discarded() || !status.contains("sourceBytes")) {
    return Error(Code::kInvalidArgument, mounted + ": not a mount of forebay");
  }
  const nlohmann::json& bytes = status["sourceBytes"];
  return SourceBytes{.local = bytes.value("local", std::uint64_t{0}),
                     .peer = bytes.value("peer", std::uint64_t{0}),
                     .upstream = bytes.value("upstream", std::uint64_t{0})};
}

Status RunMounted(const Options& options) {
  std::vector<std::string> paths;
  for (const std::string& url : options.urls) {
    constexpr std::string_view kScheme = "://";
    const std::size_t host = url.find(kScheme);
    const std::size_t slash = url.find('/', host + kScheme.size());
    if (host == std::string::npos || slash == std::string::npos) {
      return Error(Code::kInvalidArgument, url + ": not a URL of a file");
    }
    paths.push_back(options.mounted + url.substr(slash));
  }
  OrdinaryReader reader(options.reserve);

  Print("started");
  const Result<Clock::time_point> signal = AwaitSignal(options.start_fd);
  if (!signal.ok()) return signal.error();
  Haul haul;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (Status read = reader.Read(options.urls[i], paths[i], haul); !read.ok()) return read;
  }
  const Clock::time_point end = Clock::now();
  const Result<SourceBytes> sources = SourcesOf(options.mounted);
  if (!sources.ok()) return sources.error();
  haul.sources = sources.value();
  return Report(options, haul, signal.value(), end);
}

}  // namespace
}  // namespace forebay

int main(int argc, char** argv) {
  forebay::Options options;
  CLI::App app("A research task: reads files at a signal, then computes realised volatilities");
  app.add_option("--control", options.control, "of the group whose datasets are read");
  app.add_option("--group-file", options.group_file, "STATE/group.json, while control is away");
  app.add_option("--mounted", options.mounted, "where the dataset is mounted: read there");
  app.add_option("--start-fd", options.start_fd, "where the signal comes from");
  app.add_option("--reserve", options.reserve, "bytes of memory to set aside before the signal");
  app.add_flag("--sha256", options.sha256, "also report the SHA-256 of each file");
  app.add_option("urls", options.urls)->required();
  CLI11_PARSE(app, argc, argv);
  const forebay::Status done =
      options.mounted.empty() ? forebay::RunClient(options) : forebay::RunMounted(options);
  if (done.ok()) return 0;
  fmt::print(stderr, "market_task: {}\n", done.error().message());
  return 1;
}
