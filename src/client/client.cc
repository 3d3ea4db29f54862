#include "client/client.h"

#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "client/backends.h"
#include "client/fill.h"
#include "client/lookups.h"
#include "client/near_link.h"
#include "client/open_file.h"
#include "client/pool_questions.h"
#include "client/read_files.h"
#include "cluster/dataset_upstream.h"

namespace forebay {
namespace {

constexpr std::uint32_t kUpstreamConcurrencyMax = 256;
// Where a client starts with its own reads when workers fail it.
constexpr std::uint32_t kUpstreamStart = 4;

std::uint64_t RandomNumber() {
  std::uint64_t number = 0;
  CHECK(getrandom(&number, sizeof(number), 0) == sizeof(number));
  return number;
}

Status Check(const ClientOptions& options) {
  if (options.upstream_concurrency_max < 1 ||
      options.upstream_concurrency_max > kUpstreamConcurrencyMax) {
    return Error(Code::kInvalidArgument, "upstream_concurrency_max \"" +
                                             std::to_string(options.upstream_concurrency_max) +
                                             "\": write a number from 1 to 256");
  }
  if (options.group && !options.members.members.empty()) {
    return Error(Code::kInvalidArgument, "members and a group: a client has one of them");
  }
  if (options.stall_patience.count() <= 0) {
    return Error(Code::kInvalidArgument, "stall_patience \"" +
                                             std::to_string(options.stall_patience.count()) +
                                             "ms\": write a duration above 0");
  }
  return {};
}

GroupMap MapOf(const MembersFile& file) {
  GroupMap map;
  map.epoch = kFileEpoch;
  map.ring.epoch = kFileEpoch;
  for (const Member& member : file.members) {
    map.ring.members.push_back(RingMember{member.name, member.weight});
    map.members.push_back(MapMember{.name = member.name, .address = member.address});
  }
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::ranges::sort(map.ring.members, by_name);
  std::ranges::sort(map.members, by_name);
  return map;
}

// `base` is what all channels have in common.
Workers::LinkFactory ChannelLinks(const ChannelOptions& base) {
  return [base](const std::string& text,
                Workers::OnNewer on_newer) -> Result<std::unique_ptr<WorkerLink>> {
    Result<Address> address = ParseAddress(text);
    if (!address.ok()) return std::move(address).error();
    ChannelOptions options = base;
    options.on_newer = std::move(on_newer);
    return MakeChannelLink(std::move(address).value(), std::move(options));
  };
}

// What the mounts of datasets leave open is taken from `environment`.
Datasets::Factory DatasetUpstreams(std::map<std::string, std::string> environment) {
  return [environment = std::move(environment)](
             const DatasetEntry& dataset) -> Result<std::shared_ptr<Upstream>> {
    Result<std::unique_ptr<Upstream>> upstream = MakeDatasetUpstream(dataset, environment);
    if (!upstream.ok()) return std::move(upstream).error();
    return std::shared_ptr<Upstream>(std::move(upstream).value());
  };
}

}  // namespace

struct Client::State {
  Backends backends;
  Lookups lookups{backends};
  std::unique_ptr<NearLink> near = nullptr;
};

struct File::State {
  OpenFile file;
  std::atomic<std::uint64_t>& local_bytes;
  std::unique_ptr<NearFile> near = nullptr;

  // From the near worker; nothing: it does not have it.
  std::optional<std::size_t> ReadNear(std::uint64_t offset, std::span<std::byte> buffer,
                                      Deadline deadline, const std::stop_token& stop) const {
    if (!near) return std::nullopt;
    const std::optional<std::size_t> read = near->Read(offset, buffer, deadline, stop);
    if (read) local_bytes += *read;
    return read;
  }
};

Result<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  if (Status checked = Check(options); !checked.ok()) return checked.error();
  const MembersFile& file = options.members;
  Result<UpstreamOptions> upstream = ResolveOptions(file.options, options.environment);
  if (!upstream.ok()) return std::move(upstream).error().Within("options");
  const bool in_group = options.group != nullptr;
  const std::uint64_t reader_id = RandomNumber();
  const std::uint32_t most = options.upstream_concurrency_max;
  const bool has_pool = in_group || !file.members.empty();
  const AimdOptions pace{.start = has_pool ? std::min(kUpstreamStart, most) : most, .cap = most};
  const ChannelOptions channels{.reader_id = reader_id,
                                .block_bytes = in_group ? 0 : file.block_bytes,
                                .endpoint = in_group ? "" : upstream.value().endpoint,
                                .receivers = std::make_shared<Receivers>()};
  auto state = std::unique_ptr<State>(new State{
      .backends = {.limits = {.window_bytes_max = options.window_bytes_max,
                              .stall_patience = options.stall_patience},
                   .seed = reader_id,
                   .workers = Workers(ChannelLinks(channels), reader_id),
                   .stores = Stores(std::move(upstream).value(),
                                    {.block_bytes = file.block_bytes, .staleness = file.staleness},
                                    MakeUpstream),
                   .datasets = nullptr,
                   .upstream_reads = UpstreamReads(pace)}});
  Backends& backends = state->backends;
  if (!options.near_socket.empty()) {
    state->near = std::make_unique<NearLink>(std::move(options.near_socket));
  }
  if (in_group) {
    backends.datasets =
        std::make_unique<Datasets>(std::move(options.group), backends.workers,
                                   DatasetUpstreams(std::move(options.environment)),
                                   DatasetsOptions{.directory_at_hand = options.group_at_hand,
                                                   .staleness_max = options.staleness_max});
  } else if (!file.members.empty()) {
    if (Status adopted = backends.workers.Adopt(MapOf(file)); !adopted.ok()) return adopted.error();
  }
  return std::unique_ptr<Client>(new Client(std::move(state)));
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::~Client() = default;

Status Client::Resolve(const std::string& url, Deadline deadline, std::stop_token stop) {
  const Result<Place> place = state_->backends.Find(url, deadline, std::move(stop));
  return place.ok() ? Status() : Status(place.error());
}

void Client::ConnectAhead() {
  for (const WorkerRef& worker : state_->backends.workers.Living()) worker->link->ConnectAhead();
}

Result<std::uint64_t> Client::Generation(const std::string& url, Deadline deadline,
                                         std::stop_token stop) {
  const Result<DatasetPath> path = ParseDatasetUrl(url);
  if (!path.ok()) return path.error();
  if (!state_->backends.datasets) return Error(Code::kInvalidArgument, "there is no group");
  return state_->backends.datasets->Renew(path.value().dataset, deadline, std::move(stop));
}

Result<Attributes> Client::Stat(const std::string& url, Deadline deadline, std::stop_token stop) {
  Result<Place> place = state_->backends.Find(url, deadline, stop);
  if (!place.ok()) return place.error();
  return state_->lookups.Stat(place.value(), deadline, stop);
}

Result<Looked> Client::LookUp(const std::string& url, Deadline deadline, std::stop_token stop) {
  Result<Place> place = state_->backends.Find(url, deadline, stop);
  if (!place.ok()) return place.error();
  return state_->lookups.LookUp(place.value(), deadline, stop);
}

Result<ListPage> Client::List(const std::string& url, const std::string& after, Deadline deadline,
                              std::stop_token stop) {
  Result<ListedPage> listed = ListFor(url, after, deadline, std::move(stop));
  if (!listed.ok()) return std::move(listed).error();
  return std::move(listed.value().page);
}

Result<ListedPage> Client::ListFor(const std::string& url, const std::string& after,
                                   Deadline deadline, std::stop_token stop) {
  Result<Place> place = state_->backends.Find(url, deadline, stop);
  if (!place.ok()) return place.error();
  if (!place.value().path.empty() && !place.value().path.ends_with('/')) {
    return Error(Code::kInvalidArgument, "\"" + url + "\": a directory's URL ends in '/'");
  }
  return state_->lookups.List(place.value(), after, deadline, stop);
}

Result<std::unique_ptr<File>> Client::Open(const std::string& url, Deadline deadline,
                                           std::stop_token stop) {
  Result<Place> place = state_->backends.Find(url, deadline, stop);
  if (!place.ok()) return place.error();
  Result<Attributes> attributes = state_->lookups.Stat(place.value(), deadline, stop);
  if (!attributes.ok()) return std::move(attributes).error();
  if (attributes.value().type == FileType::kDirectory) {
    return Error(Code::kInvalidArgument, "\"" + url + "\": is a directory; name a file in it");
  }
  return std::unique_ptr<File>(new File(std::unique_ptr<File::State>(new File::State{
      .file = OpenFile(state_->backends, state_->lookups, std::move(place).value(),
                       std::move(attributes).value(), OpenFile::Binding::kFirstBytes),
      .local_bytes = state_->backends.local_bytes})));
}

Result<std::unique_ptr<File>> Client::OpenVersion(const std::string& url,
                                                  const Attributes& attributes, Deadline deadline,
                                                  std::stop_token stop) {
  CHECK(attributes.type == FileType::kFile);
  Result<Place> place = state_->backends.Find(url, deadline, stop);
  if (!place.ok()) return place.error();
  return std::unique_ptr<File>(new File(std::unique_ptr<File::State>(new File::State{
      .file = OpenFile(state_->backends, state_->lookups, std::move(place).value(), attributes,
                       OpenFile::Binding::kOpened),
      .local_bytes = state_->backends.local_bytes,
      .near = state_->near ? state_->near->Open(url, attributes, deadline, stop) : nullptr})));
}

Result<FileKey> Client::KeyOf(const std::string& url, const Attributes& attributes,
                              Deadline deadline, std::stop_token stop) {
  Result<Place> place = state_->backends.Find(url, deadline, std::move(stop));
  if (!place.ok()) return place.error();
  return MakeFileVersion(place.value(), attributes)->key;
}

Status Client::ReadFiles(std::span<const FileToRead> files, FileSink& sink,
                         std::chrono::milliseconds read_timeout, std::stop_token stop) {
  return ReadFilesRun(state_->backends, state_->lookups, sink, read_timeout).Run(files, stop);
}

Result<FillReport> Client::Fill(std::span<const FileToRead> files, const PoolFillOptions& options,
                                std::stop_token stop) {
  if (options.replicas < 1 || options.replicas > Ring::kHoldersMax) {
    return Error(Code::kInvalidArgument, "replicas \"" + std::to_string(options.replicas) +
                                             "\": write a number from 1 to " +
                                             std::to_string(Ring::kHoldersMax));
  }
  return FillRun(state_->backends, state_->lookups, options).Run(files, stop);
}

Result<PoolCensus> Client::Have(std::span<const FileToRead> files, bool verify, Deadline deadline,
                                std::stop_token stop) {
  std::vector<std::shared_ptr<const FileVersion>> versions;
  versions.reserve(files.size());
  for (const FileToRead& file : files) {
    Result<Place> place = state_->backends.Find(file.url, deadline, stop);
    if (!place.ok()) return place.error();
    const bool is_other =
        !versions.empty() && versions.front()->key.dataset != place.value().store->dataset;
    if (is_other || !file.attributes) {
      return Error(Code::kInvalidArgument,
                   "\"" + file.url + "\": " +
                       (is_other ? "of another store than the file before it" : "no attributes"));
    }
    versions.push_back(MakeFileVersion(place.value(), *file.attributes));
  }
  return PoolQuestions(state_->backends.workers).Count(versions, verify, deadline, stop);
}

Result<DropReport> Client::Drop(const std::string& url, std::span<const std::string> paths,
                                Deadline deadline, std::stop_token stop) {
  Result<Place> place = state_->backends.Find(url, deadline, stop);
  if (!place.ok()) return place.error();
  return PoolQuestions(state_->backends.workers).Forget(place.value().store, paths, deadline, stop);
}

Result<std::vector<WorkerText>> Client::Metrics(Deadline deadline, std::stop_token stop) {
  return PoolQuestions(state_->backends.workers).Metrics(deadline, stop);
}

Result<std::vector<std::string>> Client::Refresh(Deadline deadline, std::stop_token stop) {
  return PoolQuestions(state_->backends.workers).Refresh(deadline, stop);
}

Status Client::Adopt(const GroupMap& map) {
  return state_->backends.workers.Adopt(map);
}

std::uint64_t Client::epoch() const {
  return state_->backends.workers.epoch();
}

std::vector<PoolMember> Client::members() const {
  std::vector<PoolMember> members;
  for (const WorkerRef& worker : state_->backends.workers.Living()) {
    members.push_back({worker->name, worker->address});
  }
  return members;
}

SourceBytes Client::source_bytes() const {
  return SourceBytes{.local = state_->backends.local_bytes,
                     .peer = state_->backends.peer_bytes,
                     .upstream = state_->backends.upstream_bytes};
}

std::uint64_t Client::checksum_failures() const {
  return state_->backends.checksum_failures;
}

File::File(std::unique_ptr<State> state) : state_(std::move(state)) {}
File::~File() = default;

const Attributes& File::attributes() const {
  return state_->file.attributes();
}

int File::whole() const {
  return state_->near ? state_->near->whole() : -1;
}

Result<std::size_t> File::Read(std::uint64_t offset, std::span<std::byte> buffer, Deadline deadline,
                               std::stop_token stop) {
  if (const auto read = state_->ReadNear(offset, buffer, deadline, stop)) return *read;
  return state_->file.Read(offset, buffer, deadline, stop);
}

Result<std::size_t> File::ReadAlone(std::uint64_t offset, std::span<std::byte> buffer,
                                    Deadline deadline, std::stop_token stop) {
  if (const auto read = state_->ReadNear(offset, buffer, deadline, stop)) return *read;
  return state_->file.ReadAlone(offset, buffer, deadline, stop);
}

}  // namespace forebay
