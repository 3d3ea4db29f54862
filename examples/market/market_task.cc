// market_task: one research task. It waits for a signal, reads minute bars, then computes the
// realised volatility of each symbol. Contract: examples/market/README.md; format:
// docs/formats/market-bin.md.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/log.h"
#include "client/client.h"
#include "cluster/members.h"

namespace forebay {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::string_view kMagic = "FBMBAR01";
constexpr std::size_t kHeaderBytes = 64;
constexpr std::uint32_t kColumns = 6;
constexpr std::size_t kCloseColumn = 4;
constexpr double kMinutesAYear = 98'280;
constexpr std::chrono::seconds kReadTimeout{30};

struct Options {
  std::string members;
  std::string list;
  int start_fd = 0;
  std::size_t reserve_bytes = 0;
  bool sha256 = false;
  std::vector<std::string> urls;
};

// Keeps all files, one after the other.
class MemorySink : public FileSink {
 public:
  struct Extent {
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  // Fresh memory may come slower than the network; so it is touched before the clock runs.
  explicit MemorySink(std::size_t reserve_bytes) : memory_(reserve_bytes) {}

  Status Begin(const FileToRead& /*file*/, const Attributes& attributes) override {
    if (memory_.size() < end_ + attributes.size) memory_.resize(end_ + attributes.size);
    extents_.push_back(Extent{end_, end_});
    return {};
  }
  Status Write(std::span<const std::byte> bytes) override {
    const Clock::time_point now = Clock::now();
    if (end_ == 0) first_byte_ = now;
    std::memcpy(memory_.data() + end_, bytes.data(), bytes.size());
    end_ += bytes.size();
    extents_.back().end = end_;
    return {};
  }
  Status End(const FileToRead& file, Status outcome) override {
    if (!outcome.ok()) return std::move(outcome).error().Within(file.url);
    last_byte_ = Clock::now();
    return {};
  }

  std::string_view file(std::size_t place) const {
    const Extent& extent = extents_[place];
    return {reinterpret_cast<const char*>(memory_.data()) + extent.begin,
            extent.end - extent.begin};
  }
  std::size_t bytes() const { return end_; }
  Clock::time_point first_byte() const { return first_byte_; }
  Clock::time_point last_byte() const { return last_byte_; }

 private:
  std::vector<std::byte> memory_;
  std::size_t end_ = 0;
  std::vector<Extent> extents_;
  Clock::time_point first_byte_;
  Clock::time_point last_byte_;
};

template <typename T>
T NumberAt(std::string_view bytes, std::size_t offset) {
  T number;
  std::memcpy(&number, bytes.data() + offset, sizeof(number));
  return number;
}

Result<double> RealisedVolatility(std::string_view file) {
  if (file.size() < kHeaderBytes || !file.starts_with(kMagic)) {
    return Error(Code::kInvalidArgument, "is not a file of minute bars");
  }
  const auto rows = NumberAt<std::uint64_t>(file, 8);
  const std::uint64_t room = (file.size() - kHeaderBytes) / (sizeof(float) * kColumns);
  if (NumberAt<std::uint32_t>(file, 16) != kColumns || rows < 2 || rows != room ||
      file.size() != kHeaderBytes + sizeof(float) * kColumns * rows) {
    return Error(Code::kInvalidArgument, "its size does not fit its header");
  }
  const std::size_t closes = kHeaderBytes + sizeof(float) * rows * kCloseColumn;
  double sum = 0;
  double before = std::log(double{NumberAt<float>(file, closes)});
  for (std::uint64_t row = 1; row < rows; ++row) {
    const double now = std::log(double{NumberAt<float>(file, closes + sizeof(float) * row)});
    sum += (now - before) * (now - before);
    before = now;
  }
  return std::sqrt(sum * kMinutesAYear / static_cast<double>(rows - 1));
}

Result<Clock::time_point> AwaitSignal(int fd) {
  std::uint64_t nanoseconds = 0;
  const ssize_t got = read(fd, &nanoseconds, sizeof(nanoseconds));
  if (got != sizeof(nanoseconds)) {
    return Error(Code::kUnavailable, "no signal to start on descriptor " + std::to_string(fd) +
                                         (got < 0 ? std::string(": ") + std::strerror(errno)
                                                  : std::string(": it was closed")));
  }
  // The steady clock is CLOCK_MONOTONIC on Linux.
  return Clock::time_point(std::chrono::nanoseconds(nanoseconds));
}

Result<std::unique_ptr<Client>> MakeClient(const Options& options) {
  ClientOptions client_options;
  if (!options.members.empty()) {
    Result<MembersFile> members = ReadMembersFile(options.members);
    if (!members.ok()) return members.error();
    client_options.members = std::move(members).value();
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    client_options.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return Client::Create(std::move(client_options));
}

Result<std::vector<FileToRead>> FilesOf(const Options& options) {
  std::vector<FileToRead> files;
  for (const std::string& url : options.urls) files.push_back(FileToRead{url, std::nullopt});
  if (!options.list.empty()) {
    std::ifstream list(options.list);
    for (std::string url; std::getline(list, url);) files.push_back(FileToRead{url, std::nullopt});
    if (!list.eof()) {
      return Error(Code::kNotFound, "--list \"" + options.list + "\": cannot be read");
    }
  }
  if (files.empty()) return Error(Code::kInvalidArgument, "no URLs; name at least one");
  return files;
}

Result<nlohmann::json> Report(const Options& options, const std::vector<FileToRead>& files,
                              const MemorySink& sink, const SourceBytes& sources,
                              Clock::time_point signal) {
  const auto seconds = [signal](Clock::time_point when) {
    return std::chrono::duration<double>(when - signal).count();
  };
  nlohmann::json report = {
      {"firstByteSeconds", seconds(sink.first_byte())},
      {"accessSeconds", seconds(sink.last_byte())},
      {"bytes", sink.bytes()},
      {"sources",
       {{"local", sources.local}, {"peer", sources.peer}, {"upstream", sources.upstream}}},
      {"volatility", nlohmann::json::object()}};
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string& url = files[i].url;
    if (options.sha256) {
      const std::array<std::uint8_t, 32> digest = Sha256(sink.file(i));
      report["sha256"][url] = Hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
    }
    if (!url.ends_with(".bin")) continue;
    Result<double> volatility = RealisedVolatility(sink.file(i));
    if (!volatility.ok()) return std::move(volatility).error().Within(url);
    report["volatility"][url] = volatility.value();
  }
  return report;
}

Status Run(const Options& options) {
  Result<std::vector<FileToRead>> files = FilesOf(options);
  if (!files.ok()) return files.error();
  Result<std::unique_ptr<Client>> client = MakeClient(options);
  if (!client.ok()) return client.error();
  MemorySink sink(options.reserve_bytes);

  std::cout << "started\n" << std::flush;
  Result<Clock::time_point> signal = AwaitSignal(options.start_fd);
  if (!signal.ok()) return signal.error();
  if (Status read = client.value()->ReadFiles(files.value(), sink, kReadTimeout, {}); !read.ok()) {
    return read;
  }
  Result<nlohmann::json> report =
      Report(options, files.value(), sink, client.value()->source_bytes(), signal.value());
  if (!report.ok()) return report.error();
  std::cout << report.value().dump() << std::endl;
  return {};
}

}  // namespace
}  // namespace forebay

int main(int argc, char** argv) {
  forebay::Options options;
  CLI::App app("Reads minute bars after a signal, and computes realised volatility.");
  app.add_option("--members", options.members, "members file; without it, straight from the store");
  app.add_option("--list", options.list, "file with one URL a line");
  app.add_option("--start-fd", options.start_fd, "descriptor of the signal");
  app.add_option("--reserve", options.reserve_bytes, "bytes of memory to set aside");
  app.add_flag("--sha256", options.sha256, "also report the SHA-256 of each file");
  app.add_option("URL", options.urls, "what to read, in this order");
  CLI11_PARSE(app, argc, argv);
  forebay::SetLogLevel(forebay::Level::kWarning);
  if (forebay::Status done = forebay::Run(options); !done.ok()) {
    std::cerr << "market_task: " << done.error().message() << "\n";
    return 1;
  }
  return 0;
}
