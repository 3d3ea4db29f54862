#include "worker/block_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/metrics.h"

namespace forebay {
namespace {

// With more requests than this, a worker sends a reader on to the file's other holders; the reader
// comes back and insists if those are no better off. Measured in the main job (100 tasks, 10
// workers, so 20 requests each): with 4 nearly every request made the round, and the two cores were
// the limit.
constexpr std::uint32_t kQueueShort = 16;

Counter& ChecksumFailures(const char* where) {
  return Metrics().AddCounter("forebay_checksum_failures_total",
                              "Bytes that did not match their checksum.", {{"where", where}});
}

Counter& CacheRequests(const std::string& dataset, const char* result) {
  return Metrics().AddCounter("forebay_cache_requests_total", "Requests for blocks.",
                              {{"dataset", dataset}, {"namespace", ""}, {"result", result}});
}

std::string_view SourceName(BlockSource source) {
  switch (source) {
    case BlockSource::kLocal: return "local";
    case BlockSource::kPeer: return "peer";
    case BlockSource::kUpstream: return "upstream";
  }
  return "local";
}

void CountRead(const std::string& dataset, BlockSource source, std::uint64_t bytes,
               Deadline began) {
  const std::string name(SourceName(source));
  Metrics()
      .AddCounter("forebay_read_bytes_total", "Bytes that readers got, and from where.",
                  {{"dataset", dataset}, {"namespace", ""}, {"source", name}})
      .Add(bytes);
  Metrics()
      .AddHistogram("forebay_read_duration_seconds",
                    "From a request's arrival until its last byte goes to the socket.",
                    {{"source", name}})
      .Observe(Clock::now() - began);
}

std::unique_ptr<Reply> Refuse(const Error& error, std::uint16_t holders = 0) {
  return std::make_unique<ReadyReply>(ErrorFrame(error, holders));
}

}  // namespace

BlockService::BlockService(Parts parts, HotFilesOptions hot_files)
    : parts_(std::move(parts)), hot_files_(hot_files) {}

Result<Welcome> BlockService::Greet(const Hello& hello) {
  if (hello.version_max < kProtocolVersionMin || hello.version_min > kProtocolVersion) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("the client speaks protocol versions {} to {}, this worker {} to {}; "
                    "upgrade the older side",
                    hello.version_min, hello.version_max, kProtocolVersionMin, kProtocolVersion));
  }
  if (hello.block_bytes != parts_.block_bytes) {
    return Error(Code::kInvalidArgument,
                 fmt::format("blockSize: the client's is {}, this worker's {}; give both the same "
                             "members file",
                             hello.block_bytes, parts_.block_bytes));
  }
  if (hello.endpoint != parts_.endpoint) {
    return Error(Code::kInvalidArgument,
                 fmt::format("endpoint: the client's is \"{}\", this worker's \"{}\"; set "
                             "options.endpoint in the members file that both use",
                             hello.endpoint, parts_.endpoint));
  }
  return Welcome{std::min(hello.version_max, kProtocolVersion), parts_.member};
}

Status BlockService::Valid(const ReadBlock& request) const {
  const std::uint64_t start = std::uint64_t{request.index} * parts_.block_bytes;
  if (request.version.empty() || start >= request.file_size) {
    return Error(Code::kInvalidArgument,
                 fmt::format("block {} of a file of {} bytes does not exist", request.index,
                             request.file_size));
  }
  const std::uint64_t length =
      std::min<std::uint64_t>(parts_.block_bytes, request.file_size - start);
  if (request.length == 0 || std::uint64_t{request.offset} + request.length > length) {
    return Error(Code::kInvalidArgument, fmt::format("bytes {} + {} of a block of {} bytes",
                                                     request.offset, request.length, length));
  }
  return {};
}

std::uint16_t BlockService::HoldersOf(const BlockKey& key, const ReadBlock& request,
                                      const RequestContext& context) {
  if ((context.flags & (kFlagPeer | kFlagFillOnly)) != 0) return 1;
  MutexLock lock(mutex_);
  return static_cast<std::uint16_t>(
      hot_files_.Read(key.file, context.reader_id, request.file_size, Clock::now()));
}

// A reader got bytes that do not match: were they wrong here already, which the tier counts, or
// only on the way?
void BlockService::Recheck(const BlockKey& key) {
  const Status status = parts_.tier.Recheck(key);
  if (!status.ok() && status.error().code() == Code::kCorrupt) return;
  ChecksumFailures("wire").Add();
  Log(Level::kError, "checksum failure",
      {{"where", "wire"}, {"path_digest", key.file.path.Hex()}, {"block", key.index}});
}

std::unique_ptr<Reply> BlockService::BeginRead(const ReadBlock& request, RequestContext context) {
  const Deadline began = Clock::now();
  if (Status status = Valid(request); !status.ok()) return Refuse(status.error());
  Result<StorePath> path = parts_.stores.Find(request.store, request.path);
  if (!path.ok()) return Refuse(path.error());
  const ServedStore& store = *path.value().store;
  const BlockKey key{{context.domain, store.uid, DigestOf(request.path), DigestOf(request.version)},
                     request.index};
  const std::uint16_t holders = HoldersOf(key, request, context);
  if (holders > 1 && context.queue_depth >= kQueueShort && (context.flags & kFlagInsist) == 0) {
    return Refuse(Error(Code::kOverloaded, "other holders may be less busy"), holders);
  }
  if ((context.flags & kFlagRecheck) != 0) Recheck(key);

  const std::uint64_t start = std::uint64_t{request.index} * parts_.block_bytes;
  const auto length = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(parts_.block_bytes, request.file_size - start));
  Result<MemoryTier::Admission> admission = parts_.tier.FindOrBegin(key, length);
  if (!admission.ok()) return Refuse(admission.error(), holders);
  BlockHandle handle = std::move(admission.value().handle);
  const bool held = handle.state() == BlockHandle::State::kComplete;
  const bool leads = admission.value().writer.has_value();
  CacheRequests(store.dataset, held ? "hit" : leads ? "miss" : "coalesced").Add();

  BlockReply::Options options;
  options.offset = request.offset;
  options.length = request.length;
  options.fill_only = (context.flags & kFlagFillOnly) != 0;
  options.holders = holders;
  options.waker = context.waker;
  options.done = [dataset = store.dataset, began](BlockSource source, std::uint64_t bytes) {
    CountRead(dataset, source, bytes, began);
  };
  if (leads) {
    options.source = parts_.fills.Start({key, request, std::move(path).value(), context.domain},
                                        *std::move(admission.value().writer));
  } else {
    options.source = parts_.fills.SourceOf(key);
  }
  return std::make_unique<BlockReply>(std::move(handle), std::move(options));
}

std::unique_ptr<Reply> BlockService::BeginStat(const Lookup& request, RequestContext context) {
  Result<StorePath> path = parts_.stores.Find(request.store, request.path);
  if (!path.ok()) return Refuse(path.error());
  return parts_.lookups.Stat(std::move(path).value(), context, request.max_age);
}

std::unique_ptr<Reply> BlockService::BeginList(const Lookup& request, RequestContext context) {
  Result<StorePath> path = parts_.stores.Find(request.store, request.path);
  if (!path.ok()) return Refuse(path.error());
  return parts_.lookups.List(std::move(path).value(), request.after, context, request.max_age);
}

std::unique_ptr<Reply> BlockService::BeginGroup(const GroupQuestion&, RequestContext) {
  return Refuse(Error(Code::kInvalidArgument, "a members file is not a group"));
}

std::unique_ptr<Reply> BlockService::BeginHave(const Have&, RequestContext) {
  return Refuse(Error(Code::kInvalidArgument, "a members file is not a group"));
}

std::unique_ptr<Reply> BlockService::BeginDrop(const Drop&, RequestContext) {
  return Refuse(Error(Code::kInvalidArgument, "a members file is not a group"));
}

std::unique_ptr<Reply> BlockService::BeginMetrics(RequestContext) {
  ReplyFrame frame;
  frame.type = FrameType::kMetricsReply;
  frame.body = Encode(TextReply{Metrics().Text()});
  return std::make_unique<ReadyReply>(std::move(frame));
}

}  // namespace forebay
