// Lookups: attributes and listings, through the pool while it answers, else straight from the
// store.
//
// Invariant: what is handed out was true at the store no longer ago than the staleness bound. All
// the caching is the workers'; the one thing kept here is a listing of a directory in which many
// names are looked up, for what is left of its bound.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "client/backends.h"
#include "core/ids.h"
#include "core/recent_map.h"
#include "core/staleness.h"

namespace forebay {

// Thread safety: safe. Errors: those of Upstream.
class Lookups {
 public:
  explicit Lookups(Backends& backends);

  // What is at `place`, known for no longer than its dataset allows.
  Result<Attributes> Stat(const Place& place, Deadline deadline, std::stop_token stop)
      EXCLUDES(mutex_);
  // The same, asked for now. What was known turned out to be old; so others are told as well.
  Result<Attributes> StatAnew(const Place& place, Deadline deadline, std::stop_token stop)
      EXCLUDES(mutex_);
  // The same as a tree shows it: a name that is both a file and a directory is the directory.
  Result<Looked> LookUp(const Place& place, Deadline deadline, std::stop_token stop)
      EXCLUDES(mutex_);
  Result<ListedPage> List(const Place& place, const std::string& after, Deadline deadline,
                          std::stop_token stop);

 private:
  // A directory's files, by name. Immutable.
  struct Listing {
    std::map<std::string, Attributes> files;
    std::uint64_t refreshed = 0;  // Of the dataset, when it was asked for.
    Freshness freshness;
  };
  // Larger directories are asked about name by name.
  static constexpr std::size_t kListingEntriesMax = 20'000;
  static constexpr std::size_t kListingsMax = 16;

  // What is answered is no older than `max_age`.
  Result<Looked> AskFor(const Place& place, std::chrono::milliseconds max_age, Deadline deadline,
                        std::stop_token stop) EXCLUDES(mutex_);
  // The answer of a worker. Nothing: nobody has one.
  std::optional<Result<LookupReply>> AskWorkers(bool list, const Place& place, const Lookup& lookup,
                                                Deadline deadline, std::stop_token stop);
  // The same, and then the store's; of a pinned dataset that of its snapshot.
  Result<LookupReply> Ask(bool list, const Place& place, const Lookup& lookup, Deadline deadline,
                          std::stop_token stop) EXCLUDES(mutex_);
  // What a listing that was kept says of the file at `place`.
  std::optional<Looked> FindListed(const Place& place) EXCLUDES(mutex_);
  void ForgetListing(std::uint64_t directory_hash) EXCLUDES(mutex_);
  void KeepListing(const Place& directory, std::uint64_t directory_hash, Deadline deadline,
                   std::stop_token stop) EXCLUDES(mutex_);

  Backends& backends_;
  Mutex mutex_;
  CondVar never_;  // Only waited for.
  ListingRule rule_ GUARDED_BY(mutex_);
  RecentMap<std::uint64_t, std::shared_ptr<const Listing>, KeyHash> listings_ GUARDED_BY(mutex_);
};

}  // namespace forebay
