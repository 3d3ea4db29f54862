// upstream_probe URL COMMAND [--flag=value...]: one call of an Upstream, its outcome as JSON on
// stdout.
//
//   stat                                 {"ok", "type", "size", "mtime_ns", "version"}
//   list [--pages=N]                     {"ok", "pages": [{"left_out", "entries": [...]}]}
//   read --offset= --length=             {"ok", "cacheable", "delivered", "sha256_128"}; bytes go
//   to
//        --version= --size=              --out=FILE
//   metrics is part of every answer: the text of the registry.
//   --option=KEY=VALUE  --deadline_ms=N  --cancel_after_ms=N  --repeat=N  --threads=N (read)
// The store's options also come from the environment, as they do in the product.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/metrics.h"
#include "base/task_group.h"
#include "upstream/upstream.h"

namespace forebay {
namespace {

using Json = nlohmann::json;
using Flags = std::multimap<std::string, std::string>;

std::string Flag(const Flags& flags, const std::string& name, const std::string& otherwise) {
  const auto found = flags.find(name);
  return found == flags.end() ? otherwise : found->second;
}

std::uint64_t Number(const Flags& flags, const std::string& name, std::uint64_t otherwise) {
  const auto found = flags.find(name);
  return found == flags.end() ? otherwise : std::stoull(found->second);
}

// JSON strings are UTF-8; names need not be.
std::string Escaped(const std::string& bytes) {
  std::string escaped;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    // Latin-1: one code point a byte.
    if (byte < 0x80) {
      escaped += c;
    } else {
      escaped += static_cast<char>(0xc0 | byte >> 6);
      escaped += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return escaped;
}

Json Failed(const Error& error) {
  return {{"ok", false}, {"code", CodeName(error.code())}, {"message", Escaped(error.message())}};
}

Json ToJson(const Attributes& attributes) {
  return {{"ok", true},
          {"type", attributes.type == FileType::kFile ? "file" : "dir"},
          {"size", attributes.size},
          {"mtime_ns", attributes.mtime_ns},
          {"version", Escaped(attributes.version)}};
}

class FileSink final : public ByteSink {
 public:
  explicit FileSink(const std::string& path) : file_(path, std::ios::binary) {}
  Status Write(std::span<const std::byte> bytes) override {
    file_.write(reinterpret_cast<const char*>(bytes.data()),
                static_cast<std::streamsize>(bytes.size()));
    delivered_ += bytes.size();
    return {};
  }
  void Finish() { file_.close(); }
  std::uint64_t delivered() const { return delivered_; }

 private:
  std::ofstream file_;
  std::uint64_t delivered_ = 0;
};

struct Call {
  Upstream& upstream;
  const std::string& path;
  const Flags& flags;
  std::stop_token stop;

  Deadline DeadlineNow() const {
    return Clock::now() + std::chrono::milliseconds(Number(flags, "deadline_ms", 30'000));
  }
};

Json List(const Call& call) {
  Json pages = Json::array();
  std::string after;
  const std::uint64_t pages_max = Number(call.flags, "pages", 1'000'000);
  do {
    const Result<ListPage> page =
        call.upstream.List(call.path, after, call.DeadlineNow(), call.stop);
    if (!page.ok()) return Failed(page.error());
    Json entries = Json::array();
    for (const Entry& entry : page.value().entries) {
      Json json = ToJson(entry.attributes);
      json["name"] = Escaped(entry.name);
      entries.push_back(std::move(json));
    }
    pages.push_back({{"left_out", page.value().left_out}, {"entries", std::move(entries)}});
    after = page.value().next;
  } while (!after.empty() && pages.size() < pages_max);
  return {{"ok", true}, {"pages", std::move(pages)}};
}

Json Read(const Call& call) {
  const ReadRange range{.path = call.path,
                        .version = Flag(call.flags, "version", ""),
                        .file_size = Number(call.flags, "size", 0),
                        .offset = Number(call.flags, "offset", 0),
                        .length = Number(call.flags, "length", 0)};
  FileSink sink(Flag(call.flags, "out", "/dev/null"));
  const Result<ReadOutcome> outcome =
      call.upstream.Read(range, sink, call.DeadlineNow(), call.stop);
  sink.Finish();
  Json json = outcome.ok() ? Json{{"ok", true}, {"cacheable", outcome.value().cacheable}}
                           : Failed(outcome.error());
  json["delivered"] = sink.delivered();
  return json;
}

Json RunOnce(const Call& call, const std::string& command) {
  const Deadline started = Clock::now();
  Json json;
  if (command == "list") {
    json = List(call);
  } else if (command == "read") {
    json = Read(call);
  } else {
    const Result<Attributes> attributes =
        call.upstream.Stat(call.path, call.DeadlineNow(), call.stop);
    json = attributes.ok() ? ToJson(attributes.value()) : Failed(attributes.error());
  }
  json["milliseconds"] =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started).count();
  return json;
}

Json RunAll(Upstream& upstream, const std::string& path, const std::string& command,
            const Flags& flags) {
  std::stop_source stop;
  TaskGroup tasks;
  if (const std::uint64_t after = Number(flags, "cancel_after_ms", 0); after > 0) {
    tasks.Run("cancel", [&stop, after](const std::stop_token&) {
      usleep(static_cast<useconds_t>(after * 1000));
      stop.request_stop();
    });
  }
  const Call call{upstream, path, flags, stop.get_token()};
  Mutex mutex;
  Json last;
  Json codes = Json::array();
  const auto run = [&](const std::stop_token&) {
    for (std::uint64_t i = 0; i < Number(flags, "repeat", 1); ++i) {
      Json json = RunOnce(call, command);
      MutexLock lock(mutex);
      codes.push_back(json["ok"].get<bool>() ? "OK" : json["code"].get<std::string>());
      last = std::move(json);
    }
  };
  {
    TaskGroup group;
    for (std::uint64_t i = 1; i < Number(flags, "threads", 1); ++i) group.Run("call", run);
    run(stop.get_token());
    while (group.running() > 0) usleep(1000);
  }
  last["codes"] = std::move(codes);
  return last;
}

Json Main(const std::string& url, const std::string& command, const Flags& flags) {
  const Result<Location> location = ParseLocation(url);
  if (!location.ok()) return Failed(location.error());
  OptionMap options;
  for (auto [it, end] = flags.equal_range("option"); it != end; ++it) {
    const std::size_t equals = it->second.find('=');
    options[it->second.substr(0, equals)] = it->second.substr(equals + 1);
  }
  std::map<std::string, std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  const Result<UpstreamOptions> resolved = ResolveOptions(options, environment);
  if (!resolved.ok()) return Failed(resolved.error());
  Location store = location.value();
  store.path.clear();  // Of a tree: the whole machine's.
  Result<std::unique_ptr<Upstream>> upstream = MakeUpstream(store, resolved.value());
  if (!upstream.ok()) return Failed(upstream.error());
  return RunAll(*upstream.value(), location.value().path, command, flags);
}

}  // namespace
}  // namespace forebay

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  forebay::Flags flags;
  for (int i = 3; i < argc; ++i) {
    const std::string text = argv[i];
    const std::size_t equals = text.find('=');
    if (!text.starts_with("--") || equals == std::string::npos) return 2;
    flags.emplace(text.substr(2, equals - 2), text.substr(equals + 1));
  }
  forebay::Json json = forebay::Main(argv[1], argv[2], flags);
  json["metrics"] = forebay::Metrics().Text();
  std::cout << json.dump(-1, ' ', false, forebay::Json::error_handler_t::replace) << '\n';
  return 0;
}
