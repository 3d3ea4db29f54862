// Fill plan: how a worker that lacks a block comes by it, whatever mix of maps its askers hold.
//
// Invariants, while members are at most one ring behind (heartbeats see to that) and answer:
// a block is read from the upstream once, and workers never wait for each other in a circle.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "core/ring.h"

namespace forebay {

enum class FillAsker : std::uint8_t {
  kReader,
  kHolder,   // Another holder asks whom it takes for the home.
  kNewHome,  // A home asks who may have the block from before: one hop, never forwarded.
};

struct FillQuestion {
  std::uint64_t hash = 0;  // Of the block.
  FillAsker asker = FillAsker::kReader;
  std::uint64_t epoch = 0;  // Of the asker's map.
};

// What a worker knows.
struct FillView {
  const Placement& placement;
  std::uint64_t epoch = 0;         // Of its map.
  std::uint64_t newest_epoch = 0;  // The newest it was told of, by anyone.
  std::string_view self;
  // Others may have acted as home in its place: it saw itself masked, or started as a member of a
  // ring that was there before it. Then its next holder may have what it lacks.
  bool returned = false;
};

enum class FillAction : std::uint8_t {
  kAskHolder,  // Get the block from `peer`, who fills it before this worker (FillAsker::kHolder).
  kAskBefore,  // Ask `peer`, who may have it from before (FillAsker::kNewHome).
  kUpstream,   // Read it from the upstream.
  kRefreshFirst,  // Get the map of newest_epoch, then decide anew.
  kStale,         // Refuse: kStale with this worker's map, which is newer than the asker's.
  kNotHere,       // Refuse: kNotHere.
};

struct FillStep {
  FillAction action = FillAction::kNotHere;
  std::string_view peer;  // Lives as long as the placement.
  bool operator==(const FillStep&) const = default;
};

// The next step of the fill that `question` began. Ask again after each step that did not give the
// block, and always right before the upstream is read: the view may have changed meanwhile.
//
// `may_ask(name)` says whether a peer was not asked for this fill yet and is not failing now. When
// all that would fill before this worker fail, it acts as home.
FillStep NextFillStep(const FillView& view, const FillQuestion& question,
                      const std::function<bool(std::string_view)>& may_ask);

// Whether `question` may wait for a fill of its block that is at `under_way` (kAskHolder,
// kAskBefore or kUpstream; nothing: not known, as it is only being begun). If not, do as
// NextFillStep says of the question if that is a refusal or a refresh, else refuse with kNotHere.
bool MayJoinFill(const FillView& view, const FillQuestion& question,
                 std::optional<FillAction> under_way);

}  // namespace forebay
