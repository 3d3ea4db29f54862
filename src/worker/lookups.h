// SharedLookups: attributes and listings at a directory's home, asked once for the whole pool.
//
// Invariant: an answer's age counts from before the upstream was asked, and an answer older than
// the asker's bound is never given. With a bound of 0 a question only joins a check that was not
// sent yet.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/bounded_queue.h"
#include "base/mutex.h"
#include "base/task_group.h"
#include "core/ids.h"
#include "core/recent_map.h"
#include "core/single_flight.h"
#include "core/staleness.h"
#include "rpc/server.h"
#include "worker/stores.h"

namespace forebay {

struct LookupOptions {
  std::uint32_t threads = 8;                  // Questions at the upstream at a time.
  std::uint32_t queue_max = 8192;             // Questions that wait for a thread.
  std::size_t names_max = 262'144;            // Attributes kept, each about 300 bytes.
  std::size_t pages_max = 256;                // Pages of listings kept, each at most 1,000 names.
  std::chrono::milliseconds timeout{30'000};  // Of one question.
  bool fetch_listings = true;  // Many names of one directory are asked for by its listing.
};

// Thread safety: safe.
class SharedLookups {
 public:
  explicit SharedLookups(LookupOptions options);
  ~SharedLookups();

  // The reply to a Stat or List of `path`; never blocks.
  // An answer that was asked for under a smaller count of refreshes is not given. With max_age
  // max() whatever is kept is given: a name is asked for again only once it was forgotten.
  struct Freshness {
    std::chrono::milliseconds max_age{0};
    std::uint64_t refreshed = 0;
  };
  std::unique_ptr<Reply> Stat(StorePath path, const RequestContext& context, Freshness freshness);
  std::unique_ptr<Reply> List(StorePath path, std::string after, const RequestContext& context,
                              Freshness freshness);

 private:
  struct Question;  // What is asked: store, path, page.
  struct Answer;    // What the upstream said, and when it was asked.
  class Waiting;    // One who asks.
  class WaitingReply;
  using AnswerPointer = std::shared_ptr<const Answer>;
  using Kept = RecentMap<std::string, AnswerPointer, KeyHash>;
  // The newest flight of a question: the only one that can still be joined.
  struct Newest {
    std::uint64_t generation = 0;
    std::optional<Deadline> sent_at;
  };
  struct Flight;

  std::unique_ptr<Reply> Ask(Question question, const RequestContext& context,
                             std::chrono::milliseconds max_age) EXCLUDES(mutex_);
  void RunThread(std::stop_token stop) EXCLUDES(mutex_);
  AnswerPointer AskUpstream(const Flight& flight, Deadline asked_at, std::stop_token stop)
      EXCLUDES(mutex_);
  // Fetches the listing around a name and keeps what it says of all names.
  void KeepListing(const Question& name, Deadline asked_at, std::stop_token stop) EXCLUDES(mutex_);
  void Keep(const Question& question, AnswerPointer answer) REQUIRES(mutex_);
  void End(const Flight& flight, const AnswerPointer& answer, bool keep) EXCLUDES(mutex_);

  const LookupOptions options_;
  Mutex mutex_;
  SingleFlight<std::string, std::shared_ptr<Waiting>, KeyHash> flights_ GUARDED_BY(mutex_);
  std::uint64_t generations_ GUARDED_BY(mutex_) = 0;  // Never reused: an old flight may still fly.
  std::map<std::string, Newest> newest_ GUARDED_BY(mutex_);  // By question, while one flies.
  Kept names_ GUARDED_BY(mutex_);
  Kept pages_ GUARDED_BY(mutex_);
  ListingRule listing_rule_ GUARDED_BY(mutex_);
  BoundedQueue<std::shared_ptr<Flight>> queue_;
  TaskGroup threads_;  // Last: joined first.
};

}  // namespace forebay
