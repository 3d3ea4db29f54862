#include "worker/block_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/metrics.h"

namespace forebay {
namespace {

// Those who wait for control's news all wait for the same heartbeat.
constexpr std::uint32_t kNewsThreads = 8;
constexpr std::chrono::milliseconds kNewsPatience{1000};
constexpr std::uint32_t kQuestionThreads = 2;
constexpr std::size_t kLaterMax = 4096;

Counter& ChecksumFailures(const char* where) {
  return Metrics().AddCounter("forebay_checksum_failures_total",
                              "Bytes that did not match their checksum.", {{"where", where}});
}

template <typename T>
std::unique_ptr<Reply> OneFrame(FrameType type, const T& message) {
  ReplyFrame frame;
  frame.type = type;
  frame.body = Encode(message);
  if (frame.body.size() > kFrameBodyBytesMax) {
    frame = ErrorFrame(Error(Code::kOverloaded, "the answer does not fit a frame"));
  }
  return std::make_unique<ReadyReply>(std::move(frame));
}

FillAsker AskerOf(std::uint16_t flags) {
  if ((flags & kFlagHeldOnly) != 0) return FillAsker::kNewHome;
  return (flags & kFlagPeer) != 0 ? FillAsker::kHolder : FillAsker::kReader;
}

// The directory whose home answers for `path`.
std::string DirectoryOf(const std::string& path, bool list) {
  const std::size_t slash = path.rfind('/');
  if (list) return path;
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

// The length of the block that is asked for, if that makes sense.
Result<std::uint32_t> LengthOf(const ReadBlock& request) {
  const std::uint64_t start = std::uint64_t{request.index} * request.block_bytes;
  if (request.version.empty() || start >= request.file_size) {
    return Error(Code::kInvalidArgument,
                 fmt::format("block {} of a file of {} bytes does not exist", request.index,
                             request.file_size));
  }
  const std::uint64_t length =
      std::min<std::uint64_t>(request.block_bytes, request.file_size - start);
  if (request.length == 0 || std::uint64_t{request.offset} + request.length > length) {
    return Error(Code::kInvalidArgument, fmt::format("bytes {} + {} of a block of {} bytes",
                                                     request.offset, request.length, length));
  }
  return static_cast<std::uint32_t>(length);
}

void AppendBits(const std::vector<bool>& held, std::vector<std::uint8_t>& bits) {
  constexpr std::size_t kBitsPerByte = 8;
  const std::size_t begin = bits.size();
  bits.resize(begin + HeldBytes(static_cast<std::uint32_t>(held.size())));
  for (std::size_t i = 0; i < held.size(); ++i) {
    if (held[i])
      bits[begin + i / kBitsPerByte] |= static_cast<std::uint8_t>(1u << i % kBitsPerByte);
  }
}

}  // namespace

struct BlockService::Wanted {
  ReadBlock request;  // With the block size that holds.
  RequestContext context;
  StorePath path;
  BlockKey key;
  std::uint32_t length = 0;  // Of the block.
  FillQuestion question;
  std::uint16_t holders = 1;
  Deadline began;
};

BlockService::BlockService(Parts parts, HotFilesOptions hot_files)
    : parts_(std::move(parts)),
      hot_files_(hot_files),
      members_(hot_files.members),
      news_("news", kNewsThreads, kLaterMax),
      questions_("questions", kQuestionThreads, kLaterMax),
      verifying_("verify", 1, kLaterMax) {}

void BlockService::SetView(const GroupView& view) {
  {
    MutexLock lock(mutex_);
    members_ = std::max(static_cast<std::uint32_t>(view.placement.ring().size()), 1u);
    hot_files_.SetMembers(members_);
  }
  epoch_ = view.map.epoch;
}

Result<Welcome> BlockService::Greet(const Hello& hello) {
  if (hello.version_max < kProtocolVersionMin || hello.version_min > kProtocolVersion) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("the client speaks protocol versions {} to {}, this worker {} to {}; "
                    "upgrade the older side",
                    hello.version_min, hello.version_max, kProtocolVersionMin, kProtocolVersion));
  }
  if ((hello.block_bytes == 0) != in_group()) {
    return Error(Code::kInvalidArgument,
                 in_group() ? "this worker is in a group; name a dataset of it, not a members file"
                            : "this worker has a members file and is in no group; give the client "
                              "the same members file");
  }
  if (hello.block_bytes != parts_.block_bytes) {
    return Error(Code::kInvalidArgument,
                 fmt::format("blockSize: the client's is {}, this worker's {}; give both the same "
                             "members file",
                             hello.block_bytes, parts_.block_bytes));
  }
  if (!in_group() && hello.endpoint != parts_.endpoint) {
    return Error(Code::kInvalidArgument,
                 fmt::format("endpoint: the client's is \"{}\", this worker's \"{}\"; set "
                             "options.endpoint in the members file that both use",
                             hello.endpoint, parts_.endpoint));
  }
  return Welcome{std::min(hello.version_max, kProtocolVersion), parts_.member};
}

Result<StorePath> BlockService::FindStore(const std::string& store, const std::string& path) {
  Result<StorePath> found = parts_.stores.Find(store, path);
  // A dataset that others know may be new.
  if (!found.ok() && found.error().code() == Code::kUnavailable) parts_.group.Refresh();
  return found;
}

Result<std::uint32_t> BlockService::BlockBytes(const ReadBlock& request,
                                               const ServedStore& store) const {
  const std::uint32_t here = store.entry ? store.entry->block_bytes : parts_.block_bytes;
  if (here > parts_.block_bytes_max) {
    return Error(Code::kUnavailable,
                 fmt::format("dataset {}: its blocks of {} bytes are over this worker's "
                             "--block-size-max {}",
                             store.dataset, here, parts_.block_bytes_max));
  }
  if (request.block_bytes != here && (request.block_bytes != 0 || in_group())) {
    // One of both is behind, and a key means another block with another size.
    return Error(Code::kUnavailable, fmt::format("blocks of {} bytes were asked for, and are of {}",
                                                 request.block_bytes, here));
  }
  return here;
}

std::uint16_t BlockService::HoldersOf(const FileKey& file, const Wanted& wanted) {
  const RequestContext& context = wanted.context;
  if ((context.flags & (kFlagPeer | kFlagFillOnly)) != 0) return 1;
  const ServedStore& store = *wanted.path.store;
  MutexLock lock(mutex_);
  const std::uint32_t hot =
      hot_files_.Read(file, context.reader_id, wanted.request.file_size, Clock::now());
  const std::uint32_t least = store.entry ? store.entry->replicas : 1;
  return static_cast<std::uint16_t>(std::min(std::max(hot, least), members_));
}

ReplyFrame BlockService::FailureFrame(const Error& error, std::uint16_t holders) const {
  if (error.code() != Code::kStale) return ErrorFrame(error, holders);
  ReplyFrame frame;
  frame.type = FrameType::kStale;
  frame.holders = holders;
  frame.body = Encode(TextReply{parts_.group.view()->map_json});
  return frame;
}

std::unique_ptr<Reply> BlockService::Refuse(const Error& error, std::uint16_t holders) const {
  return std::make_unique<ReadyReply>(FailureFrame(error, holders));
}

std::unique_ptr<Reply> BlockService::AfterNews(const RequestContext& context,
                                               std::function<std::unique_ptr<Reply>()> make) {
  return news_.Begin(
      [this, until = std::min(context.deadline, Clock::now() + kNewsPatience),
       make = std::move(make)](std::stop_token stop) {
        parts_.group.AwaitNews(until, std::move(stop));
        return make();
      },
      context.waker);
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
  return Read(request, context, /*looked=*/false);
}

std::unique_ptr<Reply> BlockService::Read(ReadBlock request, const RequestContext& context,
                                          bool looked) {
  const Deadline began = Clock::now();
  Result<StorePath> path = FindStore(request.store, request.path);
  if (!path.ok()) return Refuse(path.error());
  const Result<std::uint32_t> block_bytes = BlockBytes(request, *path.value().store);
  if (!block_bytes.ok()) return Refuse(block_bytes.error());
  request.block_bytes = block_bytes.value();
  const Result<std::uint32_t> length = LengthOf(request);
  if (!length.ok()) return Refuse(length.error());
  const FileKey file{context.domain, path.value().store->uid, DigestOf(request.path),
                     DigestOf(request.version)};
  const BlockKey key{file, request.index};
  Wanted wanted{std::move(request),
                context,
                std::move(path).value(),
                key,
                length.value(),
                {key.Hash64(), AskerOf(context.flags), context.epoch},
                1,
                began};
  wanted.holders = HoldersOf(file, wanted);
  if (wanted.holders > 1 && context.queue_depth >= QueueShort(wanted.request.block_bytes) &&
      (context.flags & kFlagInsist) == 0) {
    return Refuse(Error(Code::kOverloaded, "other holders may be less busy"), wanted.holders);
  }
  if (!looked && (context.flags & kFlagRecheck) != 0) Recheck(key);

  const auto filling = [](const BlockHandle& handle) {
    return handle.state() == BlockHandle::State::kFilling;
  };
  const auto may_use = [&](const BlockHandle& handle) {
    // The second time: it may have ended meanwhile.
    return !filling(handle) || parts_.fills.MayJoin(wanted.key, wanted.question) ||
           !filling(handle);
  };
  std::optional<BlockHandle> found = parts_.tier.Find(key);
  if (found && may_use(*found)) return Serve(std::move(wanted), *std::move(found), std::nullopt);
  switch (parts_.fills.FirstStep(wanted.question, looked)) {
    case FillAction::kRefreshFirst:
      return AfterNews(context, [this, request = std::move(wanted.request), context] {
        return Read(request, context, /*looked=*/true);
      });
    case FillAction::kStale: return Refuse(Error(Code::kStale, ""), wanted.holders);
    case FillAction::kNotHere:
      return Refuse(Error(Code::kNotHere, "the block is not held"), wanted.holders);
    case FillAction::kAskHolder:
    case FillAction::kAskBefore:
    case FillAction::kUpstream: break;
  }
  const Error waits(Code::kNotHere, "this worker waits for another one for it");
  if (found) return Refuse(waits, wanted.holders);
  Result<MemoryTier::Admission> admission = parts_.tier.FindOrBegin(key, wanted.length);
  if (!admission.ok()) return Refuse(admission.error(), wanted.holders);
  std::optional<BlockWriter>& writer = admission.value().writer;
  // Somebody may have begun it since.
  if (!writer && !may_use(admission.value().handle)) return Refuse(waits, wanted.holders);
  return Serve(std::move(wanted), std::move(admission.value().handle), std::move(writer));
}

std::unique_ptr<Reply> BlockService::Serve(Wanted wanted, BlockHandle handle,
                                           std::optional<BlockWriter> writer) {
  if (handle.length() != wanted.length) {
    return Refuse(Error(Code::kUnavailable, "the dataset had blocks of another size"));
  }
  const std::shared_ptr<const ServedStore> store = wanted.path.store;
  const bool held = handle.state() == BlockHandle::State::kComplete;
  const CacheResult missed = writer ? CacheResult::kMiss : CacheResult::kCoalesced;
  store->metrics->requests(held ? CacheResult::kHit : missed).Add();
  const bool fill_only = (wanted.context.flags & kFlagFillOnly) != 0;
  // Of reads: what a load asks for says nothing about them.
  if (!fill_only) ++(held ? store->counters->hits : store->counters->misses);

  BlockReply::Options options;
  options.offset = wanted.request.offset;
  options.length = wanted.request.length;
  options.fill_only = fill_only;
  options.holders = wanted.holders;
  options.waker = wanted.context.waker;
  options.done = [metrics = store->metrics, began = wanted.began](BlockSource source,
                                                                  std::uint64_t bytes) {
    metrics->bytes(source).Add(bytes);
    metrics->duration(source).Observe(Clock::now() - began);
  };
  options.failed = [this, holders = wanted.holders](const Error& error) {
    return FailureFrame(error, holders);
  };
  if (writer) {
    options.source =
        parts_.fills.Start({wanted.key, std::move(wanted.request), std::move(wanted.path),
                            wanted.context.domain, wanted.question},
                           *std::move(writer));
  } else {
    options.source = parts_.fills.SourceOf(wanted.key);
  }
  return std::make_unique<BlockReply>(std::move(handle), std::move(options));
}

std::unique_ptr<Reply> BlockService::BeginStat(const Lookup& request, RequestContext context) {
  return LookUp(request, context, /*list=*/false, /*looked=*/false);
}

std::unique_ptr<Reply> BlockService::BeginList(const Lookup& request, RequestContext context) {
  return LookUp(request, context, /*list=*/true, /*looked=*/false);
}

std::unique_ptr<Reply> BlockService::LookUp(const Lookup& request, const RequestContext& context,
                                            bool list, bool looked) {
  Result<StorePath> path = FindStore(request.store, request.path);
  if (!path.ok()) return Refuse(path.error());
  const std::shared_ptr<const GroupView> view = parts_.group.view();
  if (context.epoch > view->map.epoch && !looked) {
    return AfterNews(context, [this, request, context, list] {
      return LookUp(request, context, list, /*looked=*/true);
    });
  }
  if (context.epoch < view->map.epoch) {
    const std::optional<std::uint32_t> home = view->placement.Home(
        DirectoryHash64(context.domain, path.value().store->uid, DirectoryOf(request.path, list)));
    if (!home || view->placement.ring().name(*home) != parts_.member) {
      return Refuse(Error(Code::kStale, ""));
    }
  }
  const std::shared_ptr<const DatasetEntry> entry = path.value().store->entry;
  SharedLookups* lookups = &parts_.lookups;
  // Who wants to know what the store says names an age.
  const bool pinned = entry && request.max_age == std::chrono::milliseconds::max();
  if (pinned && request.refreshed > entry->refreshed) {
    if (looked) return Refuse(Error(Code::kUnavailable, "a refresh is not known here yet"));
    return AfterNews(context, [this, request, context, list] {
      return LookUp(request, context, list, /*looked=*/true);
    });
  }
  if (pinned && path.value().store->snapshot) {
    lookups = &parts_.snapshots;
    path.value().store = path.value().store->snapshot;
  }
  const SharedLookups::Freshness freshness{
      request.max_age, entry ? std::max(request.refreshed, entry->refreshed) : 0};
  if (list) return lookups->List(std::move(path).value(), request.after, context, freshness);
  return lookups->Stat(std::move(path).value(), context, freshness);
}

std::unique_ptr<Reply> BlockService::BeginGroup(const GroupQuestion& request,
                                                RequestContext context) {
  // The dataset's entry in `view`; null: there is none.
  const auto find = [request](const GroupView& view) -> const DatasetEntry* {
    for (const auto& [uid, entry] : view.datasets) {
      if (entry->name == request.dataset && entry->name_space == request.name_space) {
        return entry.get();
      }
    }
    return nullptr;
  };
  const auto answer = [](const GroupView& view, const DatasetEntry* entry) {
    return OneFrame(FrameType::kGroupReply,
                    TextReply{GroupAnswerJson(view.map_json, entry, WithSecrets::kNo)});
  };
  const std::shared_ptr<const GroupView> view = parts_.group.view();
  if (request.dataset.empty()) return answer(*view, nullptr);
  if (const DatasetEntry* entry = find(*view)) return answer(*view, entry);
  return AfterNews(context, [this, request, find, answer]() -> std::unique_ptr<Reply> {
    const std::shared_ptr<const GroupView> now = parts_.group.view();
    if (const DatasetEntry* entry = find(*now)) return answer(*now, entry);
    return Refuse(Error(Code::kNotFound, fmt::format("dataset {}/{}: there is none",
                                                     request.name_space, request.dataset)));
  });
}

std::unique_ptr<Reply> BlockService::BeginHave(const Have& request, RequestContext context) {
  const bool verify = (context.flags & kFlagVerify) != 0;
  return (verify ? verifying_ : questions_)
      .Begin(
          [this, request, verify, domain = context.domain,
           deadline = context.deadline](std::stop_token stop) -> std::unique_ptr<Reply> {
            HaveReply reply;
            for (const Have::File& file : request.files) {
              const FileKey key{domain, request.dataset, file.path, file.version};
              if (!verify) {
                AppendBits(parts_.tier.Held(key, file.blocks), reply.bits);
                continue;
              }
              const Result<std::vector<bool>> held =
                  parts_.tier.Verify(key, file.blocks, deadline, stop);
              if (!held.ok()) return Refuse(held.error());
              AppendBits(held.value(), reply.bits);
            }
            return OneFrame(FrameType::kHaveReply, reply);
          },
          context.waker);
}

std::unique_ptr<Reply> BlockService::BeginDrop(const Drop& request, RequestContext context) {
  return questions_.Begin(
      [this, dataset = request.dataset, domain = context.domain,
       paths = std::set<Digest128>(request.paths.begin(), request.paths.end())](std::stop_token) {
        const std::uint64_t bytes = parts_.tier.DropIf([&](const BlockKey& key) {
          return key.file.domain == domain && key.file.dataset == dataset &&
                 (paths.empty() || paths.contains(key.file.path));
        });
        return OneFrame(FrameType::kDropReply, DropReply{bytes});
      },
      context.waker);
}

std::unique_ptr<Reply> BlockService::BeginMetrics(RequestContext context) {
  return questions_.Begin(
      [](std::stop_token) {
        return OneFrame(FrameType::kMetricsReply, TextReply{Metrics().Text()});
      },
      context.waker);
}

}  // namespace forebay
