#include "mount/mount_stats.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace forebay {
namespace {

Counter& CountOfRequests(const std::string& operation) {
  return Metrics().AddCounter("forebay_mount_requests_total",
                              "Requests of the kernel that were answered.",
                              {{"operation", operation}});
}

Counter& CountOfErrors(int error) {
  const char* const name = strerrorname_np(error);
  return Metrics().AddCounter(
      "forebay_mount_errors_total",
      "Answers that were errors, but ENOENT and what says that something is not supported.",
      {{"errno", name == nullptr ? std::to_string(error) : name}});
}

Counter& read_bytes =
    Metrics().AddCounter("forebay_mount_read_bytes_total", "Bytes of files that the kernel got.");

template <typename T>
constexpr std::size_t IndexOf() {
  return FuseCall(T{}).index();
}

}  // namespace

MountStats::MountStats() {
  requests_[IndexOf<LookupCall>()] = &CountOfRequests("lookup");
  requests_[IndexOf<GetAttributesCall>()] = &CountOfRequests("getattr");
  requests_[IndexOf<OpenCall>()] = &CountOfRequests("open");
  requests_[IndexOf<ReadCall>()] = &CountOfRequests("read");
  requests_[IndexOf<OpenDirectoryCall>()] = &CountOfRequests("opendir");
  requests_[IndexOf<ReadDirectoryCall>()] = &CountOfRequests("readdir");
  requests_[IndexOf<StatFsCall>()] = &CountOfRequests("statfs");
  requests_[IndexOf<GetXattrCall>()] = &CountOfRequests("getxattr");
  requests_[IndexOf<ChangeCall>()] = &CountOfRequests("change");
}

void MountStats::Count(const Request& request, int error, std::size_t bytes) {
  Counter* const requests = requests_.at(request.call.index());
  if (requests != nullptr) requests->Add();
  if (bytes > 0) read_bytes.Add(bytes);
  if (error == 0 || error == ENOENT || error == ENODATA || error == ENOSYS) return;
  CountOfErrors(error).Add();
}

std::string MountStats::Text(const MountFigures& figures) {
  const SourceBytes& source = figures.source_bytes;
  std::string text = Metrics().Text();
  text +=
      "# HELP forebay_mount_source_bytes_total Bytes that the mount's reads got, by where from.\n"
      "# TYPE forebay_mount_source_bytes_total counter\n";
  text += fmt::format("forebay_mount_source_bytes_total{{source=\"local\"}} {}\n", source.local);
  text += fmt::format("forebay_mount_source_bytes_total{{source=\"peer\"}} {}\n", source.peer);
  text +=
      fmt::format("forebay_mount_source_bytes_total{{source=\"upstream\"}} {}\n", source.upstream);
  text +=
      "# HELP forebay_mount_nodes_count Files and directories that the kernel knows.\n"
      "# TYPE forebay_mount_nodes_count gauge\n";
  text += fmt::format("forebay_mount_nodes_count {}\n", figures.nodes);
  text +=
      "# HELP forebay_mount_open_files_count Files that are open.\n"
      "# TYPE forebay_mount_open_files_count gauge\n";
  text += fmt::format("forebay_mount_open_files_count {}\n", figures.open_files);
  return text;
}

std::string MountStatusText(const MountFacts& facts, const MountFigures& figures) {
  using Json = nlohmann::ordered_json;
  Json workers = Json::array();
  for (const PoolMember& member : figures.members) {
    workers.push_back({{"name", member.name}, {"address", member.address}});
  }
  const Json status = {{"version", facts.version},
                       {"source", facts.source},
                       {"url", facts.root},
                       {"directory", facts.directory},
                       {"epoch", figures.epoch},
                       {"workers", std::move(workers)},
                       {"sourceBytes",
                        {{"local", figures.source_bytes.local},
                         {"peer", figures.source_bytes.peer},
                         {"upstream", figures.source_bytes.upstream}}},
                       {"passthrough", figures.passes_through},
                       {"checksumFailures", figures.checksum_failures},
                       {"nodes", figures.nodes},
                       {"openFiles", figures.open_files},
                       {"openDirectories", figures.open_directories},
                       {"processes", figures.processes}};
  constexpr int kIndent = 2;
  return status.dump(kIndent, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace forebay
