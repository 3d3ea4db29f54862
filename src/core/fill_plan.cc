#include "core/fill_plan.h"

#include <algorithm>
#include <array>

namespace forebay {

FillStep NextFillStep(const FillView& view, const FillQuestion& question,
                      const std::function<bool(std::string_view)>& may_ask) {
  const bool asker_is_behind = question.epoch < view.epoch;
  if (question.asker == FillAsker::kNewHome) {
    return {asker_is_behind ? FillAction::kStale : FillAction::kNotHere, {}};
  }
  if (std::max(view.newest_epoch, question.epoch) > view.epoch) {
    return {FillAction::kRefreshFirst, {}};
  }
  const Ring& ring = view.placement.ring();
  std::array<std::uint32_t, Ring::kHoldersMax> space{};
  const std::span<const std::uint32_t> holders = view.placement.Holders(question.hash, space);
  const auto self = std::find_if(holders.begin(), holders.end(), [&view, &ring](std::uint32_t m) {
    return ring.name(m) == view.self;
  });
  if (self == holders.end()) return {FillAction::kStale, {}};
  if (self != holders.begin() && asker_is_behind) return {FillAction::kStale, {}};
  for (auto holder = holders.begin(); holder != self; ++holder) {
    if (may_ask(ring.name(*holder))) return {FillAction::kAskHolder, ring.name(*holder)};
  }
  const std::optional<std::string_view> before = view.placement.PreviousHome(question.hash);
  if (before && *before != view.self && may_ask(*before)) return {FillAction::kAskBefore, *before};
  const auto next = self + 1;
  if (view.returned && next != holders.end() && may_ask(ring.name(*next))) {
    return {FillAction::kAskBefore, ring.name(*next)};
  }
  return {FillAction::kUpstream, {}};
}

bool MayJoinFill(const FillView& view, const FillQuestion& question,
                 std::optional<FillAction> under_way) {
  const FillAction at = under_way.value_or(FillAction::kAskHolder);  // The worst.
  switch (question.asker) {
    case FillAsker::kReader: return true;
    case FillAsker::kHolder:
      // Within one map each asks only those before it. By two maps, two may take each other for
      // the home.
      return at != FillAction::kAskHolder || question.epoch == view.epoch;
    case FillAsker::kNewHome:
      // Whatever else it waits for may be waiting for the asker.
      return at == FillAction::kUpstream;
  }
  CHECK(false);
}

}  // namespace forebay
