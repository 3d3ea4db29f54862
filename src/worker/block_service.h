// BlockService: what a worker answers to a request, from tier, fills and lookups.
#pragma once

#include <memory>
#include <string>

#include "base/mutex.h"
#include "core/hot_files.h"
#include "rpc/server.h"
#include "store/memory_tier.h"
#include "worker/fills.h"
#include "worker/lookups.h"
#include "worker/stores.h"

namespace forebay {

// Thread safety: safe. Everything it refers to must outlive it.
class BlockService : public Service {
 public:
  struct Parts {
    std::string member;    // This worker's name.
    std::string endpoint;  // Of the store, as resolved here.
    std::uint32_t block_bytes = 0;
    MemoryTier& tier;
    ServedStores& stores;
    Fills& fills;
    SharedLookups& lookups;
  };

  BlockService(Parts parts, HotFilesOptions hot_files);

  Result<Welcome> Greet(const Hello& hello) override;
  std::unique_ptr<Reply> BeginRead(const ReadBlock& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginStat(const Lookup& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginList(const Lookup& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginGroup(const GroupQuestion& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginHave(const Have& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginDrop(const Drop& request, RequestContext context) override;
  std::unique_ptr<Reply> BeginMetrics(RequestContext context) override;
  std::uint64_t epoch() const override { return 0; }
  void Refresh() override {}

 private:
  Status Valid(const ReadBlock& request) const;
  std::uint16_t HoldersOf(const BlockKey& key, const ReadBlock& request,
                          const RequestContext& context) EXCLUDES(mutex_);
  void Recheck(const BlockKey& key);

  const Parts parts_;
  Mutex mutex_;
  HotFiles hot_files_ GUARDED_BY(mutex_);
};

}  // namespace forebay
