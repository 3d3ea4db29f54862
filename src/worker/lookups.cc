#include "worker/lookups.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "worker/block_reply.h"

namespace forebay {
namespace {

// That something does not exist is believed for at most this long, whatever the dataset's bound.
constexpr std::chrono::milliseconds kNegativeAgeMax{1000};
// A listing that is fetched for the sake of single names stops after this many pages.
constexpr int kListingPagesMax = 32;
constexpr std::size_t kFlightsMax = 65'536;
constexpr std::size_t kWaitersMax = 65'536;

WireAttributes ToWire(const Attributes& attributes) {
  return {static_cast<std::uint8_t>(attributes.type), attributes.size, attributes.mtime_ns,
          attributes.version};
}

std::string DirectoryOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

}  // namespace

struct SharedLookups::Question {
  std::shared_ptr<const ServedStore> store;
  std::string path;
  bool list = false;
  std::string after;
  std::uint64_t refreshed = 0;

  // Unambiguous: the path's length precedes it.
  std::string Key() const {
    return fmt::format("{}{}:{}:{}:{}{}", list ? 'L' : 'S', store->number, refreshed, path.size(),
                       path, after);
  }
};

struct SharedLookups::Answer {
  Deadline asked_at;
  Status status;
  LookupReply reply;  // Its age is filled in when it is given.
};

struct SharedLookups::Flight {
  Question question;
  std::string key;  // Of `flights_`: the question's with its generation.
  std::uint64_t generation = 0;
  bool with_listing = false;  // Fetch the whole directory first.
};

class SharedLookups::Waiting {
 public:
  explicit Waiting(std::shared_ptr<Waker> waker) : waker_(std::move(waker)) {}

  void Give(AnswerPointer answer) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      answer_ = std::move(answer);
    }
    waker_->Wake();
  }

  AnswerPointer answer() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return answer_;
  }

 private:
  const std::shared_ptr<Waker> waker_;
  mutable Mutex mutex_;
  AnswerPointer answer_ GUARDED_BY(mutex_);
};

class SharedLookups::WaitingReply : public Reply {
 public:
  WaitingReply(std::shared_ptr<Waiting> waiting, bool list)
      : waiting_(std::move(waiting)), list_(list) {}

  bool Ready() override { return waiting_->answer() != nullptr; }
  bool NeedsLink() const override { return false; }

  std::optional<ReplyFrame> Next() override {
    const AnswerPointer answer = waiting_->answer();
    if (!answer->status.ok()) return ErrorFrame(answer->status.error());
    LookupReply reply = answer->reply;
    reply.age = std::chrono::milliseconds(AgeMilliseconds(answer->asked_at, Clock::now()));
    ReplyFrame frame;
    frame.type = list_ ? FrameType::kListReply : FrameType::kStatReply;
    frame.body = Encode(reply);
    if (frame.body.size() > kFrameBodyBytesMax) {
      return ErrorFrame(Error(Code::kInternal, "a page of this listing does not fit a frame"));
    }
    return frame;
  }

 private:
  const std::shared_ptr<Waiting> waiting_;
  const bool list_;
};

SharedLookups::SharedLookups(LookupOptions options)
    : options_(options),
      flights_(kFlightsMax, kWaitersMax),
      names_(options.names_max),
      pages_(options.pages_max),
      queue_(options.queue_max) {
  for (std::uint32_t i = 0; i < options_.threads; ++i) {
    threads_.Run("lookup", [this](std::stop_token stop) { RunThread(std::move(stop)); });
  }
}

SharedLookups::~SharedLookups() {
  threads_.RequestStop();
  queue_.Close();
  threads_.StopAndJoin();
}

std::unique_ptr<Reply> SharedLookups::Stat(StorePath path, const RequestContext& context,
                                           Freshness freshness) {
  return Ask({std::move(path.store), std::move(path.path), false, "", freshness.refreshed}, context,
             freshness.max_age);
}

std::unique_ptr<Reply> SharedLookups::List(StorePath path, std::string after,
                                           const RequestContext& context, Freshness freshness) {
  return Ask(
      {std::move(path.store), std::move(path.path), true, std::move(after), freshness.refreshed},
      context, freshness.max_age);
}

std::unique_ptr<Reply> SharedLookups::Ask(Question question, const RequestContext& context,
                                          std::chrono::milliseconds max_age) {
  const Deadline now = Clock::now();
  const StalenessBound bound(max_age);
  const auto waiting = std::make_shared<Waiting>(context.waker);
  auto reply = std::make_unique<WaitingReply>(waiting, question.list);
  const std::string key = question.Key();
  auto flight = std::make_shared<Flight>();
  {
    MutexLock lock(mutex_);
    Kept& kept = question.list ? pages_ : names_;
    // A question must not push out an answer before it has one of its own.
    const AnswerPointer* found = kept.Find(key);
    const AnswerPointer known = found == nullptr ? nullptr : *found;
    const StalenessBound negative(std::min(max_age, kNegativeAgeMax));
    if (known && (known->status.ok() ? bound : negative).Usable(known->asked_at, now)) {
      waiting->Give(known);
      return reply;
    }
    Newest& newest = newest_[key];
    if (newest.generation == 0 || !bound.MayJoin(newest.sent_at, now)) {
      newest = {++generations_, std::nullopt};
    }
    flight->key = fmt::format("{}#{}", key, newest.generation);
    flight->generation = newest.generation;
    switch (flights_.Join(flight->key, waiting)) {
      case Joined::kFollow: return reply;
      case Joined::kOverloaded:
        return std::make_unique<ReadyReply>(
            ErrorFrame(Error(Code::kOverloaded, "too many questions at once")));
      case Joined::kLead: break;
    }
    const std::string directory = DirectoryOf(question.path);
    flight->with_listing =
        options_.fetch_listings && !question.list && !question.path.empty() &&
        listing_rule_.Looked(DirectoryHash64({}, question.store->uid, directory), now);
  }
  flight->question = std::move(question);
  if (!queue_.TryPush(flight)) {
    auto answer = std::make_shared<Answer>();
    answer->status = Error(Code::kOverloaded, "too many questions wait for the store");
    End(*flight, std::move(answer), /*keep=*/false);
  }
  return reply;
}

void SharedLookups::RunThread(std::stop_token stop) {
  while (const std::optional<std::shared_ptr<Flight>> popped = queue_.Pop()) {
    const Flight& flight = **popped;
    const Deadline asked_at = Clock::now();
    {
      MutexLock lock(mutex_);
      const auto newest = newest_.find(flight.question.Key());
      if (newest != newest_.end() && newest->second.generation == flight.generation) {
        newest->second.sent_at = asked_at;
      }
    }
    const AnswerPointer answer = AskUpstream(flight, asked_at, stop);
    const bool keep = answer->status.ok() || answer->status.error().code() == Code::kNotFound;
    End(flight, answer, keep);
  }
}

SharedLookups::AnswerPointer SharedLookups::AskUpstream(const Flight& flight, Deadline asked_at,
                                                        std::stop_token stop) {
  const Question& question = flight.question;
  Upstream& upstream = *question.store->upstream;
  const Deadline deadline = asked_at + options_.timeout;
  auto answer = std::make_shared<Answer>();
  answer->asked_at = asked_at;
  if (question.list) {
    Result<ListPage> page = upstream.List(question.path, question.after, deadline, stop);
    if (page.ok()) {
      answer->reply.next = std::move(page.value().next);
      answer->reply.left_out = page.value().left_out;
      for (Entry& entry : page.value().entries) {
        answer->reply.entries.push_back({std::move(entry.name), ToWire(entry.attributes)});
      }
    } else {
      answer->status = std::move(page).error();
    }
    return answer;
  }
  if (flight.with_listing) KeepListing(question, asked_at, stop);
  const Result<Attributes> attributes = upstream.Stat(question.path, deadline, stop);
  if (attributes.ok()) {
    answer->reply.entries.push_back({"", ToWire(attributes.value())});
  } else {
    answer->status = attributes.error();
  }
  return answer;
}

void SharedLookups::KeepListing(const Question& name, Deadline asked_at, std::stop_token stop) {
  const std::string directory = DirectoryOf(name.path);
  std::string after;
  for (int pages = 0; pages < kListingPagesMax; ++pages) {
    const Result<ListPage> page =
        name.store->upstream->List(directory, after, asked_at + options_.timeout, stop);
    // The name itself is asked for next, and says what is wrong.
    if (!page.ok()) return;
    MutexLock lock(mutex_);
    for (const Entry& entry : page.value().entries) {
      // A listing shows a directory where a key is both; a question for the key means the file.
      if (entry.attributes.type != FileType::kFile) continue;
      auto answer = std::make_shared<Answer>();
      answer->asked_at = asked_at;
      answer->reply.entries.push_back({"", ToWire(entry.attributes)});
      Keep({name.store, directory + entry.name, false, "", name.refreshed}, std::move(answer));
    }
    after = page.value().next;
    if (after.empty()) return;
  }
  MutexLock lock(mutex_);
  listing_rule_.TooLarge(DirectoryHash64({}, name.store->uid, directory), asked_at);
}

void SharedLookups::Keep(const Question& question, AnswerPointer answer) {
  Kept& all = question.list ? pages_ : names_;
  AnswerPointer& kept = all.Use(question.Key(), [](const AnswerPointer&) {});
  // A slow answer must not replace one that was asked for later.
  if (!kept || kept->asked_at <= answer->asked_at) kept = std::move(answer);
}

void SharedLookups::End(const Flight& flight, const AnswerPointer& answer, bool keep) {
  std::vector<std::shared_ptr<Waiting>> waiters;
  {
    MutexLock lock(mutex_);
    if (keep) Keep(flight.question, answer);
    waiters = flights_.Finish(flight.key);
    const auto newest = newest_.find(flight.question.Key());
    if (newest != newest_.end() && newest->second.generation == flight.generation) {
      newest_.erase(newest);
    }
  }
  for (const std::shared_ptr<Waiting>& waiter : waiters) waiter->Give(answer);
}

}  // namespace forebay
