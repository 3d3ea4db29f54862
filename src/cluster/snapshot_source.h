// SnapshotSource: how workers and clients get the snapshots of pinned datasets: from the files that
// control keeps, if they are on this host, or from control. Nobody else knows what is pinned.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <set>
#include <stop_token>
#include <string>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "cluster/snapshot.h"
#include "io/http_call.h"

namespace forebay {

struct SnapshotPlaces {
  std::string control;    // As ParseHttpEndpoint takes it; empty: nobody to ask.
  std::string directory;  // STATE/snapshots; empty: of another host.
};

// Thread safety: safe.
class SnapshotSource {
 public:
  // Snapshots are kept until those used last have so many names together (each 100 to 200 bytes);
  // the one used last is always kept.
  static constexpr std::size_t kNamesMax = 1'000'000;

  // Errors: kInvalidArgument: `control` is no such address.
  static Result<std::shared_ptr<SnapshotSource>> Create(const SnapshotPlaces& places);

  // The snapshot of that count of refreshes, or a later one. One that is being made is waited for,
  // and so is a control that is away. Of several who need the same one, one fetches it: it may
  // take longer than its deadline, as long as something comes.
  //
  // Obeys `stop` within 100 ms.
  // Errors: kUnavailable: not there by the deadline; kNotHere: control says that there is none (any
  // more), so the store is the one to ask; kDenied, kInvalidArgument and kNotFound: control cannot
  // list the dataset; kCancelled.
  Result<SnapshotPointer> Get(const SnapshotKey& key, Deadline deadline, std::stop_token stop)
      EXCLUDES(mutex_);

 private:
  SnapshotSource(SnapshotPlaces places, HttpEndpoint endpoint);

  // The kept one, or nothing and the right to fetch it. Errors: kUnavailable, kCancelled.
  Result<SnapshotPointer> FindOrClaim(const SnapshotKey& key, Deadline deadline,
                                      const std::stop_token& stop) EXCLUDES(mutex_);
  // Nothing: nobody has it (yet).
  Result<SnapshotPointer> Fetch(const SnapshotKey& key, const std::stop_token& stop)
      EXCLUDES(mutex_);
  Result<SnapshotPointer> AskControl(const SnapshotKey& key, const std::stop_token& stop)
      EXCLUDES(mutex_);
  void Keep(SnapshotPointer snapshot) REQUIRES(mutex_);

  const SnapshotPlaces places_;
  const HttpEndpoint endpoint_;
  HttpClient http_;
  Mutex mutex_;
  CondVar fetched_;
  Deadline away_until_ GUARDED_BY(mutex_) = Deadline::min();  // Control is not asked before.
  std::set<DatasetUid> fetching_ GUARDED_BY(mutex_);
  std::list<SnapshotPointer> kept_ GUARDED_BY(mutex_);  // Last used first.
};

}  // namespace forebay
