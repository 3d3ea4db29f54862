// market_task: a research task of the demo. Stands ready, reads its files at the signal, and then
// computes a feature of each. Its contract is in README.md beside it.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "client/client.h"
#include "client/group_directory.h"

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
  const std::vector<Span>& files() const { return files_; }
  std::span<const std::byte> BytesOf(const Span& file) const {
    return std::span(memory_).subspan(file.begin, file.end - file.begin);
  }

 private:
  std::vector<std::byte> memory_;
  std::vector<Span> files_;
  std::size_t size_ = 0;
  Clock::time_point first_byte_;
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

Result<nlohmann::json> FeaturesOf(const Keeper& kept, bool with_sha256) {
  nlohmann::json report;
  for (const Span& file : kept.files()) {
    const std::span<const std::byte> bytes = kept.BytesOf(file);
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

Status Run(const Options& options) {
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
  // On one machine the tasks share two cores: one that computes must not slow those that still
  // read.
  if (nice(19) == -1) return Error(Code::kInternal, "nice(2) failed");

  Result<nlohmann::json> report = FeaturesOf(kept, options.sha256);
  if (!report.ok()) return report.error();
  const auto seconds = [&](Clock::time_point time) {
    return std::chrono::duration<double>(time - signal.value()).count();
  };
  const SourceBytes sources = client.value()->source_bytes();
  report.value()["firstByteSeconds"] = seconds(kept.first_byte());
  report.value()["accessSeconds"] = seconds(end);
  report.value()["bytes"] = kept.size();
  report.value()["sources"] = {
      {"local", sources.local}, {"peer", sources.peer}, {"upstream", sources.upstream}};
  Print(report.value().dump());
  return {};
}

}  // namespace
}  // namespace forebay

int main(int argc, char** argv) {
  forebay::Options options;
  CLI::App app("A research task: reads files at a signal, then computes realised volatilities");
  app.add_option("--control", options.control, "of the group whose datasets are read");
  app.add_option("--group-file", options.group_file, "STATE/group.json, while control is away");
  app.add_option("--start-fd", options.start_fd, "where the signal comes from");
  app.add_option("--reserve", options.reserve, "bytes of memory to set aside before the signal");
  app.add_flag("--sha256", options.sha256, "also report the SHA-256 of each file");
  app.add_option("urls", options.urls)->required();
  CLI11_PARSE(app, argc, argv);
  const forebay::Status done = forebay::Run(options);
  if (done.ok()) return 0;
  fmt::print(stderr, "market_task: {}\n", done.error().message());
  return 1;
}
