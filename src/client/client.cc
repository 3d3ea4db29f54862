#include "client/client.h"

#include <sys/random.h>

#include <utility>

#include "base/check.h"
#include "client/backends.h"
#include "client/fill.h"
#include "client/lookups.h"
#include "client/open_file.h"
#include "client/read_files.h"

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
  if (options.stall_patience.count() <= 0) {
    return Error(Code::kInvalidArgument, "stall_patience \"" +
                                             std::to_string(options.stall_patience.count()) +
                                             "ms\": write a duration above 0");
  }
  return {};
}

// A channel to each member, in the order of the ring.
Result<std::vector<std::unique_ptr<WorkerLink>>> MakeLinks(const MembersFile& file,
                                                           const Ring& ring,
                                                           const std::string& endpoint,
                                                           std::uint64_t reader_id) {
  std::vector<std::unique_ptr<WorkerLink>> links(ring.size());
  for (const Member& member : file.members) {
    Result<Address> address = ParseAddress(member.address);
    if (!address.ok()) return std::move(address).error().Within("member " + member.name);
    const std::optional<std::uint32_t> place = ring.Find(member.name);
    CHECK(place.has_value());
    links[*place] =
        MakeChannelLink(std::move(address).value(), ChannelOptions{.reader_id = reader_id,
                                                                   .block_bytes = file.block_bytes,
                                                                   .endpoint = endpoint});
  }
  return links;
}

Result<Ring> MakeRing(const MembersFile& file) {
  std::vector<RingMember> members;
  for (const Member& member : file.members) {
    members.push_back(RingMember{member.name, member.weight});
  }
  return Ring::Create(1, std::move(members));
}

}  // namespace

struct Client::State {
  Backends backends;
  Lookups lookups{backends};
};

struct File::State {
  OpenFile file;
};

Result<std::unique_ptr<Client>> Client::Create(const ClientOptions& options) {
  if (Status checked = Check(options); !checked.ok()) return checked.error();
  const MembersFile& file = options.members;
  Result<UpstreamOptions> upstream = ResolveOptions(file.options, options.environment);
  if (!upstream.ok()) return std::move(upstream).error().Within("options");
  Result<Ring> ring = MakeRing(file);
  if (!ring.ok()) return ring.error();
  const std::uint64_t reader_id = RandomNumber();
  auto links = MakeLinks(file, ring.value(), upstream.value().endpoint, reader_id);
  if (!links.ok()) return links.error();

  const std::uint32_t most = options.upstream_concurrency_max;
  const AimdOptions pace{.start = file.members.empty() ? most : std::min(kUpstreamStart, most),
                         .cap = most};
  return std::unique_ptr<Client>(new Client(std::unique_ptr<State>(new State{
      .backends = {.limits = {.block_bytes = file.block_bytes,
                              .window_bytes_max = options.window_bytes_max,
                              .stall_patience = options.stall_patience,
                              .staleness = file.staleness},
                   .workers = Workers(std::move(ring).value(), std::move(links).value(), reader_id),
                   .stores = Stores(std::move(upstream).value(), MakeUpstream),
                   .upstream_reads = UpstreamReads(pace)}})));
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::~Client() = default;

Result<Attributes> Client::Stat(const std::string& url, Deadline deadline, std::stop_token stop) {
  Result<Place> place = state_->backends.stores.Find(url);
  if (!place.ok()) return place.error();
  return state_->lookups.Stat(place.value(), state_->backends.limits.staleness, deadline, stop);
}

Result<ListPage> Client::List(const std::string& url, const std::string& after, Deadline deadline,
                              std::stop_token stop) {
  Result<Place> place = state_->backends.stores.Find(url);
  if (!place.ok()) return place.error();
  if (!place.value().path.empty() && !place.value().path.ends_with('/')) {
    return Error(Code::kInvalidArgument, "\"" + url + "\": a directory's URL ends in '/'");
  }
  return state_->lookups.List(place.value(), after, deadline, stop);
}

Result<std::unique_ptr<File>> Client::Open(const std::string& url, Deadline deadline,
                                           std::stop_token stop) {
  Result<Place> place = state_->backends.stores.Find(url);
  if (!place.ok()) return place.error();
  Result<Attributes> attributes =
      state_->lookups.Stat(place.value(), state_->backends.limits.staleness, deadline, stop);
  if (!attributes.ok()) return std::move(attributes).error();
  if (attributes.value().type == FileType::kDirectory) {
    return Error(Code::kInvalidArgument, "\"" + url + "\": is a directory; name a file in it");
  }
  return std::unique_ptr<File>(new File(std::unique_ptr<File::State>(
      new File::State{.file = OpenFile(state_->backends, state_->lookups, std::move(place).value(),
                                       std::move(attributes).value())})));
}

Status Client::ReadFiles(std::span<const FileToRead> files, FileSink& sink,
                         std::chrono::milliseconds read_timeout, std::stop_token stop) {
  return ReadFilesRun(state_->backends, state_->lookups, sink, read_timeout).Run(files, stop);
}

Result<std::uint64_t> Client::Fill(std::span<const FileToRead> files,
                                   const std::function<void(std::uint64_t)>& progress,
                                   std::chrono::milliseconds block_timeout, std::stop_token stop) {
  return FillRun(state_->backends, state_->lookups, block_timeout).Run(files, progress, stop);
}

SourceBytes Client::source_bytes() const {
  return SourceBytes{.peer = state_->backends.peer_bytes,
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

Result<std::size_t> File::Read(std::uint64_t offset, std::span<std::byte> buffer, Deadline deadline,
                               std::stop_token stop) {
  return state_->file.Read(offset, buffer, deadline, stop);
}

}  // namespace forebay
