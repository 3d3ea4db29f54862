#include "cluster/control_link.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/wall_clock.h"
#include "io/socket.h"

namespace forebay {
namespace {

// Whoever may connect can ask for a heartbeat; more than a hundred a second tell nothing new.
constexpr std::chrono::milliseconds kPauseMin{10};
constexpr std::chrono::milliseconds kStopPoll{100};
constexpr std::chrono::seconds kSayAgain{60};
constexpr int kStatusOk = 200;
constexpr int kStatusConflict = 409;
constexpr std::size_t kQuotedBytesMax = 300;

// The answer's status and body.
class BodyReceiver : public HttpReceiver {
 public:
  Status OnHead(const HttpHead& head) override {
    status = head.status;
    return {};
  }
  Status OnBody(std::span<const std::byte> bytes) override {
    if (body.size() + bytes.size() > kGroupJsonBytesMax) {
      return Error(Code::kUnavailable, "control's answer is too long");
    }
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }

  int status = 0;
  std::string body;
};

std::shared_ptr<const GroupView> NothingKnown() {
  auto view = std::make_shared<GroupView>();
  view->map_json = ToJson(view->map);
  return view;
}

// How often control had been started when it published this map.
std::uint64_t GenerationOf(const GroupMap& map) {
  constexpr int kCounterBits = 32;
  return map.epoch >> kCounterBits;
}

}  // namespace

Result<ControlAddress> ParseControlAddress(const std::string& text) {
  if (text.starts_with("unix:")) {
    Result<Address> address = ParseAddress(text);
    if (!address.ok()) return std::move(address).error();
    return ControlAddress{"http://control", address.value().unix_path, text};
  }
  constexpr std::string_view kScheme = "http://";
  std::string host(text.starts_with(kScheme) ? text.substr(kScheme.size()) : "");
  if (host.ends_with('/')) host.pop_back();
  const Result<Address> address = ParseAddress(host);
  if (host.empty() || host.find('/') != std::string::npos || !address.ok() ||
      address.value().is_unix()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": write http://HOST:PORT or unix:PATH", text));
  }
  return ControlAddress{std::string(kScheme) + host, "", text};
}

ControlLink::ControlLink(const ControlLinkOptions& options, std::uint64_t instance)
    : options_(options),
      instance_(fmt::format("{:016x}", instance)),
      started_at_(Rfc3339(WallClockNanoseconds())),
      http_({.connections_max = 1,
             .connect_timeout = options.timeout,
             .stall_timeout = options.timeout}),
      view_(NothingKnown()) {}

ControlLink::~ControlLink() {
  thread_.StopAndJoin();
}

void ControlLink::Start(const std::string& address) {
  address_ = address;
  thread_.Run("heartbeat", [this](std::stop_token stop) { Run(stop); });
}

Status ControlLink::AwaitJoined(std::stop_token stop) {
  MutexLock lock(mutex_);
  while (!joined_ && !refused_ && !stop.stop_requested()) {
    changed_.WaitUntil(mutex_, Clock::now() + kStopPoll);
  }
  if (refused_) return *refused_;
  if (!joined_) return Error(Code::kCancelled, "asked to stop");
  return {};
}

void ControlLink::Leave() {
  thread_.StopAndJoin();
  const Result<HeartbeatAnswer> answer = Send(Compose(/*leaving=*/true), {});
  if (!answer.ok()) {
    Log(Level::kWarning, "control does not know that this worker goes",
        {{"error", answer.error().message()}});
  }
}

std::shared_ptr<const GroupView> ControlLink::view() const {
  MutexLock lock(mutex_);
  return view_;
}

std::uint64_t ControlLink::newest_epoch() const {
  MutexLock lock(mutex_);
  // What cannot be had is not waited for.
  return away_ ? view_->map.epoch : std::max(newest_, view_->map.epoch);
}

void ControlLink::Heard(std::uint64_t epoch) {
  MutexLock lock(mutex_);
  if (epoch <= std::max(newest_, view_->map.epoch)) return;
  newest_ = epoch;
  asked_ = true;
  changed_.NotifyAll();
}

void ControlLink::Refresh() {
  MutexLock lock(mutex_);
  asked_ = true;
  changed_.NotifyAll();
}

void ControlLink::AwaitNews(Deadline deadline, std::stop_token stop) {
  MutexLock lock(mutex_);
  asked_ = true;
  changed_.NotifyAll();
  const std::uint64_t target = begun_ + 1;
  while (ended_ < target && !away_ && !Passed(deadline) && !stop.stop_requested()) {
    changed_.WaitUntil(mutex_, std::min(deadline, Clock::now() + kStopPoll));
  }
}

void ControlLink::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Beat(stop);
    const Deadline now = Clock::now();
    MutexLock lock(mutex_);
    while (!asked_ && !stop.stop_requested() && Clock::now() < now + options_.interval) {
      changed_.WaitUntil(mutex_, std::min(now + options_.interval, Clock::now() + kStopPoll));
    }
    while (!stop.stop_requested() && Clock::now() < now + kPauseMin) {
      changed_.WaitUntil(mutex_, now + kPauseMin);
    }
  }
}

void ControlLink::Beat(const std::stop_token& stop) {
  std::uint64_t claimed = 0;
  {
    MutexLock lock(mutex_);
    ++begun_;
    asked_ = false;
    claimed = newest_;
  }
  Heartbeat heartbeat = Compose(/*leaving=*/false);
  const bool had_map = heartbeat.map.has_value();
  Result<HeartbeatAnswer> answer = Send(heartbeat, stop);
  const bool answered = answer.ok();
  const bool learning = answered && answer.value().learning;
  std::optional<Error> denial;  // Control wants nothing to do with this worker.
  if (answered) {
    if (away_since_) Log(Level::kInfo, "control answers again", {{"url", options_.control.text}});
    away_since_.reset();
    for (DatasetFigures& figures : heartbeat.datasets) told_[figures.uid] = figures;
    send_map_ = learning;
    // A control that learns, or whose maps are of another generation, is a new one: it was told
    // nothing yet.
    const std::optional<GroupMap>& map = answer.value().map;
    if (learning || (map && GenerationOf(*map) != GenerationOf(view()->map))) told_.clear();
    Apply(std::move(answer).value());
  } else {
    told_.clear();
    if (answer.error().code() == Code::kDenied) {
      denial = answer.error();
    } else if (!stop.stop_requested()) {
      NoteAway(answer.error());
    }
  }
  MutexLock lock(mutex_);
  ended_ = begun_;
  away_ = !answered;
  if (answered) joined_ = true;
  // Control's map is the newest there is: who claimed a newer one before it was asked was wrong.
  if (answered && newest_ == claimed) newest_ = view_->map.epoch;
  if (learning && !had_map && view_->map.epoch != 0) asked_ = true;
  if (denial && !joined_) refused_ = std::move(denial);
  changed_.NotifyAll();
}

Heartbeat ControlLink::Compose(bool leaving) {
  const std::shared_ptr<const GroupView> known = view();
  Heartbeat heartbeat;
  heartbeat.name = options_.name;
  heartbeat.instance = instance_;
  heartbeat.address = address_;
  heartbeat.weight = options_.weight;
  heartbeat.pid = static_cast<std::uint64_t>(getpid());
  heartbeat.started_at = started_at_;
  heartbeat.known_epoch = known->map.epoch;
  heartbeat.known_datasets = known->datasets_generation;
  if (send_map_ && known->map.epoch != 0) heartbeat.map = known->map;
  heartbeat.leaving = leaving;
  options_.figures(heartbeat);
  // Both are in the order of uids, but for a few: of ten thousand most are not looked for.
  auto told = told_.begin();
  std::erase_if(heartbeat.datasets, [&](const DatasetFigures& figures) {
    if (told == told_.end() || told->first != figures.uid) told = told_.find(figures.uid);
    if (told == told_.end()) return false;
    const bool same = told->second == figures;
    ++told;
    return same;
  });
  return heartbeat;
}

Result<HeartbeatAnswer> ControlLink::Send(const Heartbeat& heartbeat, const std::stop_token& stop) {
  HttpRequest request;
  request.method = HttpMethod::kPost;
  request.url = options_.control.url + "/internal/v1/heartbeat";
  request.headers = {"Content-Type: application/json"};
  request.body = ToJson(heartbeat);
  request.unix_path = options_.control.unix_path;
  BodyReceiver receiver;
  const Status sent = http_.Perform(request, receiver, Clock::now() + options_.timeout, stop);
  if (!sent.ok()) return sent.error();
  if (receiver.status == kStatusOk) return HeartbeatAnswerFromJson(receiver.body);
  return Error(receiver.status == kStatusConflict ? Code::kDenied : Code::kUnavailable,
               fmt::format("control at {} answers {}: {}", options_.control.text, receiver.status,
                           receiver.body.substr(0, kQuotedBytesMax)));
}

void ControlLink::Apply(HeartbeatAnswer answer) {
  const std::shared_ptr<const GroupView> before = view();
  auto now = std::make_shared<GroupView>(*before);
  // Never back: an answer that was overtaken, or a control that lost its memory, changes nothing.
  if (answer.map && answer.map->epoch > before->map.epoch) {
    now->map = *std::move(answer.map);
    now->placement = MakePlacement(now->map).value();  // It decoded, so it has one.
    now->map_json = ToJson(now->map);
    now->returned = Returned(*before, *now);
  }
  const bool datasets_changed = answer.full || !answer.datasets.empty() || !answer.deleted.empty();
  if (answer.full) now->datasets.clear();
  for (const DatasetUid& uid : answer.deleted) now->datasets.erase(uid);
  for (DatasetEntry& dataset : answer.datasets) {
    const DatasetUid uid = dataset.uid;
    now->datasets[uid] = std::make_shared<const DatasetEntry>(std::move(dataset));
  }
  now->datasets_generation = answer.datasets_generation;
  now->knows_all_datasets = before->knows_all_datasets || answer.full;
  if (now->map.epoch == before->map.epoch && !datasets_changed &&
      now->datasets_generation == before->datasets_generation) {
    return;
  }
  options_.on_view(now);
  MutexLock lock(mutex_);
  view_ = std::move(now);
  changed_.NotifyAll();
}

bool ControlLink::Returned(const GroupView& before, const GroupView& now) const {
  for (const MapMember& member : now.map.members) {
    if (member.name == options_.name && member.masked) return true;
  }
  // A ring that was there before this process knew any, and that counts on it.
  if (before.map.epoch == 0) return now.placement.ring().Find(options_.name).has_value();
  return before.returned && before.map.ring.epoch == now.map.ring.epoch;
}

void ControlLink::NoteAway(const Error& error) {
  const Deadline now = Clock::now();
  if (!away_since_) {
    away_since_ = now;
  } else if (now < said_at_ + kSayAgain) {
    return;
  }
  said_at_ = now;
  Log(Level::kWarning, "control does not answer; going on with what is known",
      {{"url", options_.control.text}, {"error", error.message()}});
}

}  // namespace forebay
