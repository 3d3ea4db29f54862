#include "cluster/snapshot_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "cluster/problem_detail.h"

namespace forebay {
namespace {

constexpr int kOk = 200;
constexpr std::size_t kAnswerBytesMax = 1u << 30;  // About ten million names.
// A control from which nothing comes for this long is away; one that does not take the connection
// sooner. It is then not asked again for as long.
constexpr std::chrono::milliseconds kPatience{1000};
constexpr std::chrono::minutes kFetchMax{1};
// Between two tries: control is asked by every worker at once, and must not be kept busy by it.
constexpr std::chrono::milliseconds kPauseMin{25};
constexpr std::chrono::milliseconds kPauseMax{400};
constexpr std::chrono::milliseconds kStopPoll{100};

Error Late(const SnapshotKey& key) {
  return {Code::kUnavailable,
          fmt::format("the snapshot of dataset {} cannot be had: control is still making it, or it "
                      "is away; `forebay status` tells, `forebay up` starts control again",
                      key.uid.value.Hex())};
}

Error Stopped() {
  return {Code::kCancelled, "asked to stop"};
}

// What a status other than 200 means; nothing: ask again.
std::optional<Error> Refusal(const HttpAnswer& answer) {
  switch (answer.status()) {
    case 400: return Error(Code::kInvalidArgument, ProblemDetail(answer));
    case 403: return Error(Code::kDenied, ProblemDetail(answer));
    case 404: return Error(Code::kNotFound, ProblemDetail(answer));
    case 409: return Error(Code::kNotHere, ProblemDetail(answer));
    default: return std::nullopt;
  }
}

// Null: this is not what was asked for.
SnapshotPointer Fitting(Result<Snapshot> read, const SnapshotKey& key) {
  if (!read.ok() || read.value().key().uid != key.uid ||
      read.value().key().refreshed < key.refreshed) {
    return nullptr;
  }
  return std::make_shared<const Snapshot>(std::move(read).value());
}

}  // namespace

Result<std::shared_ptr<SnapshotSource>> SnapshotSource::Create(const SnapshotPlaces& places) {
  HttpEndpoint endpoint;
  if (!places.control.empty()) {
    Result<HttpEndpoint> parsed = ParseHttpEndpoint(places.control);
    if (!parsed.ok()) return std::move(parsed).error();
    endpoint = std::move(parsed).value();
  }
  return std::shared_ptr<SnapshotSource>(new SnapshotSource(places, std::move(endpoint)));
}

SnapshotSource::SnapshotSource(SnapshotPlaces places, HttpEndpoint endpoint)
    : places_(std::move(places)),
      endpoint_(std::move(endpoint)),
      http_(HttpClientOptions{.connect_timeout = kPatience, .stall_timeout = kPatience}) {}

Result<SnapshotPointer> SnapshotSource::Get(const SnapshotKey& key, Deadline deadline,
                                            std::stop_token stop) {
  for (auto pause = kPauseMin;; pause = std::min(2 * pause, kPauseMax)) {
    Result<SnapshotPointer> known = FindOrClaim(key, deadline, stop);
    if (!known.ok() || known.value() != nullptr) return known;
    Result<SnapshotPointer> fetched = Fetch(key, stop);
    MutexLock lock(mutex_);
    fetching_.erase(key.uid);
    fetched_.NotifyAll();
    if (!fetched.ok()) return fetched;
    if (fetched.value() != nullptr) {
      Keep(fetched.value());
      return fetched;
    }
    if (stop.stop_requested()) return Stopped();
    const Deadline again = Clock::now() + pause;
    if (again >= deadline) return Late(key);
    while (Clock::now() < again && !stop.stop_requested()) {
      fetched_.WaitUntil(mutex_, std::min<Deadline>(again, Clock::now() + kStopPoll));
    }
  }
}

Result<SnapshotPointer> SnapshotSource::FindOrClaim(const SnapshotKey& key, Deadline deadline,
                                                    const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (true) {
    const auto found = std::ranges::find_if(kept_, [&key](const SnapshotPointer& kept) {
      return kept->key().uid == key.uid && kept->key().refreshed >= key.refreshed;
    });
    if (found != kept_.end()) {
      kept_.splice(kept_.begin(), kept_, found);
      return kept_.front();
    }
    if (stop.stop_requested()) return Stopped();
    if (fetching_.insert(key.uid).second) return SnapshotPointer();
    const Deadline now = Clock::now();
    if (now >= deadline) return Late(key);
    fetched_.WaitUntil(mutex_, std::min<Deadline>(deadline, now + kStopPoll));
  }
}

// The file first: control writes it before it tells anybody, and replaces it whole.
Result<SnapshotPointer> SnapshotSource::Fetch(const SnapshotKey& key, const std::stop_token& stop) {
  if (!places_.directory.empty()) {
    SnapshotPointer read = Fitting(ReadSnapshot(SnapshotPath(places_.directory, key.uid)), key);
    if (read != nullptr) return read;
  }
  return AskControl(key, stop);
}

Result<SnapshotPointer> SnapshotSource::AskControl(const SnapshotKey& key,
                                                   const std::stop_token& stop) {
  if (places_.control.empty()) return SnapshotPointer();
  {
    MutexLock lock(mutex_);
    if (Clock::now() < away_until_) return SnapshotPointer();
  }
  const HttpCall call{.target = fmt::format("/internal/v1/snapshot?uid={}&refreshed={}",
                                            key.uid.value.Hex(), key.refreshed),
                      .answer_bytes_max = kAnswerBytesMax};
  const Result<HttpAnswer> answer = Call(http_, endpoint_, call, Clock::now() + kFetchMax, stop);
  if (!answer.ok()) {
    if (answer.error().code() == Code::kCancelled) return Stopped();
    MutexLock lock(mutex_);
    away_until_ = Clock::now() + kPatience;
    return SnapshotPointer();
  }
  if (answer.value().status() == kOk) {
    return Fitting(DecodeSnapshot(std::as_bytes(std::span(answer.value().body))), key);
  }
  if (std::optional<Error> refusal = Refusal(answer.value())) return *std::move(refusal);
  return SnapshotPointer();
}

void SnapshotSource::Keep(SnapshotPointer snapshot) {
  std::erase_if(kept_, [&snapshot](const SnapshotPointer& kept) {
    return kept->key().uid == snapshot->key().uid;
  });
  std::size_t names = snapshot->names();
  std::erase_if(kept_, [&names](const SnapshotPointer& kept) {
    names += kept->names();
    return names > kNamesMax;
  });
  kept_.push_front(std::move(snapshot));
}

}  // namespace forebay
