// BlockService: what a worker answers to a request, from tier, fills, lookups and its group.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "cluster/group_view.h"
#include "core/hot_files.h"
#include "rpc/server.h"
#include "store/memory_tier.h"
#include "worker/fills.h"
#include "worker/later.h"
#include "worker/lookups.h"
#include "worker/stores.h"

namespace forebay {

// Thread safety: safe. Everything it refers to must outlive it. Threads: those of its Laters.
class BlockService : public Service {
 public:
  struct Parts {
    std::string member;    // This worker's name.
    std::string endpoint;  // Of a members file's store, as resolved here.
    // Of every block with a members file; 0 in a group, where each dataset has its own.
    std::uint32_t block_bytes = 0;
    std::uint32_t block_bytes_max = 0;  // What the tier takes.
    MemoryTier& tier;
    ServedStores& stores;
    Fills& fills;
    SharedLookups& lookups;
    // For the names of pinned datasets. Apart, since a snapshot is made by asking `lookups`.
    SharedLookups& snapshots;
    GroupSource& group;
  };

  BlockService(Parts parts, HotFilesOptions hot_files);

  // Before `view` is in force.
  void SetView(const GroupView& view) EXCLUDES(mutex_);

  Result<Welcome> Greet(const Hello& hello) override;
  std::unique_ptr<Reply> BeginRead(const ReadBlock& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginStat(const Lookup& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginList(const Lookup& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginGroup(const GroupQuestion& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginHave(const Have& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginDrop(const Drop& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginMetrics(RequestContext context) override;
  std::uint64_t epoch() const override { return epoch_; }
  void Refresh() override { parts_.group.Refresh(); }

 private:
  struct Wanted;  // A block, and who wants it.

  bool in_group() const { return parts_.block_bytes == 0; }
  Result<StorePath> FindStore(const std::string& store, const std::string& path);
  Result<std::uint32_t> BlockBytes(const ReadBlock& request, const ServedStore& store) const;
  // `looked`: control was asked for news for the sake of this request.
  std::unique_ptr<Reply> Read(ReadBlock request, const RequestContext& context, bool looked);
  // The block's handle, or the reply that refuses it; with a writer a fill is begun.
  std::unique_ptr<Reply> Serve(Wanted wanted, BlockHandle handle,
                               std::optional<BlockWriter> writer);
  std::unique_ptr<Reply> LookUp(const Lookup& request, const RequestContext& context, bool list,
                                bool looked);
  // Asks control for news, and then makes the reply.
  std::unique_ptr<Reply> AfterNews(const RequestContext& context,
                                   std::function<std::unique_ptr<Reply>()> make);
  ReplyFrame FailureFrame(const Error& error, std::uint16_t holders) const;
  std::unique_ptr<Reply> Refuse(const Error& error, std::uint16_t holders = 0) const;
  std::uint16_t HoldersOf(const FileKey& file, const Wanted& wanted) EXCLUDES(mutex_);
  void Recheck(const BlockKey& key);

  const Parts parts_;
  std::atomic<std::uint64_t> epoch_ = 0;
  Mutex mutex_;
  HotFiles hot_files_ GUARDED_BY(mutex_);
  std::uint32_t members_ GUARDED_BY(mutex_);
  Later news_;       // Requests that wait for control's newer map.
  Later questions_;  // Have, Drop and Metrics.
  Later verifying_;  // Have with Verify: as long as it takes to read the blocks.
};

}  // namespace forebay
