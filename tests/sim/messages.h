// What the nodes of the simulation tell each other.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>

#include "base/result.h"
#include "core/fill_plan.h"
#include "sim/content.h"
#include "sim/scheduler.h"

namespace forebay::sim {

// Bytes on their way. As with sendfile, what arrives is what the sender's pages hold when the
// receiver takes it, not when it was sent: that is what the recycling rule is for.
class Payload {
 public:
  Payload(std::shared_ptr<const Words> pages, std::size_t first, std::size_t count)
      : pages_(std::move(pages)), first_(first), count_(count) {}

  // A duplicate delivers what the first delivery did.
  const Words& Take() {
    if (!taken_) {
      const auto begin = pages_->begin() + static_cast<std::ptrdiff_t>(first_);
      taken_.emplace(begin, begin + static_cast<std::ptrdiff_t>(count_));
    }
    return *taken_;
  }

 private:
  std::shared_ptr<const Words> pages_;
  std::size_t first_;
  std::size_t count_;
  std::optional<Words> taken_;
};

struct ReadRequest {
  std::uint64_t id = 0;  // Unique for ever.
  FillAsker asker = FillAsker::kReader;
  BlockName name;
  std::uint32_t words = 0;  // Of the block.
  std::uint32_t file_words = 0;
  std::uint32_t tenant = 0;
};
struct ReadReply {
  std::uint64_t id = 0;
  std::optional<Code> error;
  BlockName name;
  std::shared_ptr<Payload> payload;  // Unless error.
  std::uint64_t send = 0;            // What the receiver acknowledges.
  std::uint32_t depth = 0;
  std::uint32_t holders = 1;
};
struct Acknowledgement {
  std::uint64_t send = 0;
};
struct Cancel {
  std::uint64_t id = 0;
};
struct StatRequest {
  std::uint64_t id = 0;
  std::uint32_t path = 0;
  bool fresh = false;  // Of a check sent no earlier than this request arrives.
};
struct StatReply {
  std::uint64_t id = 0;
  std::optional<Code> error;
  std::uint32_t version = 0;
  std::uint64_t age_ms = 0;
};
struct MapRequest {};
// The map itself, which is the envelope's. Refusals with kStale carry it too.
struct MapNotice {};

struct Message {
  NodeId from = kWorld;
  NodeId to = kWorld;
  std::size_t map = 0;  // The sender's: to others only its epoch, unless CarriesMap.
  std::variant<ReadRequest, ReadReply, Acknowledgement, Cancel, StatRequest, StatReply, MapRequest,
               MapNotice>
      body;

  bool CarriesMap() const {
    if (const auto* read = std::get_if<ReadReply>(&body)) return read->error == Code::kStale;
    if (const auto* stat = std::get_if<StatReply>(&body)) return stat->error == Code::kStale;
    return std::holds_alternative<MapNotice>(body);
  }
};

}  // namespace forebay::sim
