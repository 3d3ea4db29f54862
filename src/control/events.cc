#include "control/events.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/wall_clock.h"
#include "control/json_text.h"

namespace forebay {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMillisecond = 1'000'000;  // In nanoseconds.
constexpr std::int64_t kRepeatsWithinMs = 60'000;
constexpr std::chrono::milliseconds kStopPoll{100};

std::string Encode(const Event& event) {
  return JsonText({{"time", event.time_ms},
                   {"warning", event.warning},
                   {"reason", event.reason},
                   {"object", event.object},
                   {"namespace", event.namespace_name},
                   {"message", event.message},
                   {"count", event.count}});
}

// Nothing: not what this version writes.
std::optional<Event> Decode(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  try {
    return Event{.time_ms = json.at("time"),
                 .warning = json.at("warning"),
                 .reason = json.at("reason"),
                 .object = json.at("object"),
                 .namespace_name = json.at("namespace"),
                 .message = json.at("message"),
                 .count = json.at("count")};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

bool Repeats(const Event& event, const Event& before) {
  return event.reason == before.reason && event.object == before.object &&
         event.namespace_name == before.namespace_name && event.message == before.message &&
         event.time_ms - before.time_ms < kRepeatsWithinMs;
}

}  // namespace

EventLog::EventLog(Registry& registry) : registry_(registry) {
  const Result<std::vector<StoredEvent>> stored = registry.ListEvents(0);
  if (!stored.ok()) {
    Log(Level::kWarning, "events of the past cannot be read",
        {{"error", stored.error().message()}});
    return;
  }
  MutexLock lock(mutex_);
  for (const StoredEvent& row : stored.value()) {
    std::optional<Event> event = Decode(row.json);
    if (!event) continue;
    event->sequence = row.id;
    next_ = row.id + 1;
    DropTwinOf(*event);
    events_.push_back(*std::move(event));
  }
}

std::uint64_t EventLog::DropTwinOf(const Event& event) {
  const auto twin = std::ranges::find_if(
      events_, [&event](const Event& before) { return Repeats(event, before); });
  if (twin == events_.end()) return 0;
  const std::uint64_t count = twin->count;
  events_.erase(twin);
  return count;
}

void EventLog::Add(Event event) {
  event.time_ms = WallClockNanoseconds() / kMillisecond;
  Log(event.warning ? Level::kWarning : Level::kInfo, "event",
      {{"reason", event.reason}, {"object", event.object}, {"message", event.message}});
  std::string text;
  {
    MutexLock lock(mutex_);
    event.count += DropTwinOf(event);
    event.sequence = next_++;
    text = Encode(event);
    events_.push_back(std::move(event));
    if (events_.size() > kEventsMax) events_.pop_front();
    changed_.NotifyAll();
  }
  const Result<std::uint64_t> kept = registry_.AppendEvent(text);
  if (!kept.ok()) {
    Log(Level::kWarning, "event not stored", {{"error", kept.error().message()}});
  }
}

std::vector<Event> EventLog::Since(std::uint64_t sequence) const {
  MutexLock lock(mutex_);
  const auto first = std::ranges::find_if(
      events_, [sequence](const Event& event) { return event.sequence > sequence; });
  return {first, events_.end()};
}

std::vector<Event> EventLog::Await(std::uint64_t sequence, Deadline until,
                                   const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (next_ <= sequence + 1 && Clock::now() < until && !stop.stop_requested()) {
    changed_.WaitUntil(mutex_, std::min(until, Clock::now() + kStopPoll));
  }
  const auto first = std::ranges::find_if(
      events_, [sequence](const Event& event) { return event.sequence > sequence; });
  return {first, events_.end()};
}

}  // namespace forebay
