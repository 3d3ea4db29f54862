#include "core/fill_plan.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "base/rng.h"

namespace forebay {
namespace {

constexpr std::uint64_t kEpoch = 20;

Ring MakeRing(std::uint64_t epoch, std::initializer_list<const char*> names) {
  std::vector<RingMember> members;
  for (const char* name : names) members.push_back({name, 1});
  return Ring::Create(epoch, std::move(members)).value();
}

// Who lives in the ring of c, d, e, f before which was that of a, b, c; for one block.
class FillPlan : public testing::Test {
 protected:
  FillPlan() {
    // A block whose home before is in neither of the others' places.
    for (hash_ = 1; placement_.PreviousHome(hash_) != "a"; ++hash_) {
    }
    std::array<std::uint32_t, 4> space{};
    for (const std::uint32_t member : placement_.Holders(hash_, space)) {
      holders_.push_back(placement_.ring().name(member));
    }
  }

  FillView View(const std::string& self) const { return {placement_, kEpoch, kEpoch, self, false}; }
  FillStep Next(const FillView& view, FillAsker asker, std::uint64_t epoch,
                const std::set<std::string_view>& asked = {}) const {
    return NextFillStep(view, {hash_, asker, epoch},
                        [&asked](std::string_view peer) { return !asked.contains(peer); });
  }

  Placement placement_ =
      Placement::Create(MakeRing(10, {"c", "d", "e", "f"}), MakeRing(5, {"a", "b", "c"}), {})
          .value();
  std::uint64_t hash_ = 0;
  std::vector<std::string> holders_;
};

TEST_F(FillPlan, AHomeAsksThePreviousHomeAndThenTheUpstream) {
  const FillView home = View(holders_[0]);
  for (const FillAsker asker : {FillAsker::kReader, FillAsker::kHolder}) {
    EXPECT_EQ(Next(home, asker, kEpoch), (FillStep{FillAction::kAskBefore, "a"}));
    EXPECT_EQ(Next(home, asker, kEpoch, {"a"}), (FillStep{FillAction::kUpstream, {}}));
    // By whatever map the asker found the home.
    EXPECT_EQ(Next(home, asker, kEpoch - 1, {"a"}), (FillStep{FillAction::kUpstream, {}}));
  }
}

TEST_F(FillPlan, ANewerEpochIsLearntFirst) {
  FillView home = View(holders_[0]);
  EXPECT_EQ(Next(home, FillAsker::kReader, kEpoch + 1).action, FillAction::kRefreshFirst);
  home.newest_epoch = kEpoch + 1;  // From somebody else.
  EXPECT_EQ(Next(home, FillAsker::kReader, kEpoch, {"a"}).action, FillAction::kRefreshFirst);
  EXPECT_EQ(Next(home, FillAsker::kHolder, kEpoch - 1).action, FillAction::kRefreshFirst);
  // What is not here is not here.
  EXPECT_EQ(Next(home, FillAsker::kNewHome, kEpoch + 1).action, FillAction::kNotHere);
}

TEST_F(FillPlan, WhoIsNotHomeFillsFromThoseBeforeIt) {
  const FillView third = View(holders_[2]);
  EXPECT_EQ(Next(third, FillAsker::kReader, kEpoch),
            (FillStep{FillAction::kAskHolder, holders_[0]}));
  EXPECT_EQ(Next(third, FillAsker::kReader, kEpoch, {holders_[0]}),
            (FillStep{FillAction::kAskHolder, holders_[1]}));
  // All before it fail: it acts as home.
  EXPECT_EQ(Next(third, FillAsker::kReader, kEpoch, {holders_[0], holders_[1]}),
            (FillStep{FillAction::kAskBefore, "a"}));
}

TEST_F(FillPlan, WhoIsNotHomeRefusesAnOlderMap) {
  EXPECT_EQ(Next(View(holders_[1]), FillAsker::kReader, kEpoch - 1).action, FillAction::kStale);
  EXPECT_EQ(Next(View(holders_[1]), FillAsker::kHolder, kEpoch - 1).action, FillAction::kStale);
  EXPECT_EQ(Next(View("a"), FillAsker::kReader, kEpoch).action, FillAction::kStale);
  EXPECT_EQ(Next(View("stranger"), FillAsker::kHolder, kEpoch).action, FillAction::kStale);
}

TEST_F(FillPlan, ThePreviousHomeAnswersFromWhatItHas) {
  EXPECT_EQ(Next(View("a"), FillAsker::kNewHome, kEpoch).action, FillAction::kNotHere);
  EXPECT_EQ(Next(View("a"), FillAsker::kNewHome, kEpoch - 1).action, FillAction::kStale);
}

TEST_F(FillPlan, OneThatReturnsAsksWhoActedForIt) {
  FillView home = View(holders_[0]);
  home.returned = true;
  EXPECT_EQ(Next(home, FillAsker::kReader, kEpoch, {"a"}),
            (FillStep{FillAction::kAskBefore, holders_[1]}));
  EXPECT_EQ(Next(home, FillAsker::kReader, kEpoch, {"a", holders_[1]}),
            (FillStep{FillAction::kUpstream, {}}));
}

TEST_F(FillPlan, TheMaskedAreNotAsked) {
  const std::vector<std::string> masked = {"a", holders_[0]};
  placement_ =
      Placement::Create(MakeRing(10, {"c", "d", "e", "f"}), MakeRing(5, {"a", "b", "c"}), masked)
          .value();
  const FillStep step = Next(View(holders_[1]), FillAsker::kReader, kEpoch, {"b", "c"});
  EXPECT_EQ(step, (FillStep{FillAction::kUpstream, {}}));
  // It does not know yet that it was unmasked.
  EXPECT_EQ(Next(View(holders_[0]), FillAsker::kReader, kEpoch).action, FillAction::kStale);
}

TEST_F(FillPlan, NobodyWaitsInACircle) {
  const FillView view = View(holders_[0]);
  const auto may = [this, &view](FillAsker asker, std::uint64_t epoch,
                                 std::optional<FillAction> under_way) {
    return MayJoinFill(view, {hash_, asker, epoch}, under_way);
  };
  for (const FillAction any :
       {FillAction::kAskHolder, FillAction::kAskBefore, FillAction::kUpstream}) {
    EXPECT_TRUE(may(FillAsker::kReader, kEpoch - 1, any));
    EXPECT_TRUE(may(FillAsker::kHolder, kEpoch, any));
  }
  EXPECT_FALSE(may(FillAsker::kHolder, kEpoch - 1, FillAction::kAskHolder));
  EXPECT_FALSE(may(FillAsker::kHolder, kEpoch + 1, FillAction::kAskHolder));
  EXPECT_TRUE(may(FillAsker::kHolder, kEpoch - 1, FillAction::kUpstream));
  EXPECT_TRUE(may(FillAsker::kNewHome, kEpoch - 1, FillAction::kUpstream));
  EXPECT_FALSE(may(FillAsker::kNewHome, kEpoch + 1, FillAction::kAskBefore));
  EXPECT_FALSE(may(FillAsker::kNewHome, kEpoch, FillAction::kAskHolder));
  // Only being begun: it may come to wait for anybody.
  EXPECT_TRUE(may(FillAsker::kReader, kEpoch - 1, std::nullopt));
  EXPECT_TRUE(may(FillAsker::kHolder, kEpoch, std::nullopt));
  EXPECT_FALSE(may(FillAsker::kHolder, kEpoch - 1, std::nullopt));
  EXPECT_FALSE(may(FillAsker::kNewHome, kEpoch, std::nullopt));
}

}  // namespace
}  // namespace forebay
