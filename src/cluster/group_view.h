// GroupView: all that a worker knows of its group at one time, and where it knows it from.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "cluster/group_json.h"
#include "cluster/members.h"
#include "core/ring.h"

namespace forebay {

// Thread safety: immutable. Published as a std::shared_ptr<const GroupView>, replaced whole.
struct GroupView {
  GroupMap map;
  Placement placement;  // Of `map`.
  std::string map_json;
  std::map<DatasetUid, std::shared_ptr<const DatasetEntry>> datasets;
  std::uint64_t datasets_generation = 0;
  bool knows_all_datasets = false;  // Blocks of others are of datasets that are gone.
  // Others may have acted as home in this worker's place: see core/fill_plan.h.
  bool returned = false;
};

// Thread safety: safe.
class GroupSource {
 public:
  virtual ~GroupSource() = default;

  virtual std::shared_ptr<const GroupView> view() const = 0;
  // The newest epoch that anybody told of, as long as it may be had: never below that of view().
  virtual std::uint64_t newest_epoch() const = 0;
  // Somebody has the map of `epoch`.
  virtual void Heard(std::uint64_t epoch) = 0;
  // Something is new: look at once, but do not wait.
  virtual void Refresh() = 0;
  // Waits until control was asked after this call began, or cannot be. Obeys `stop` within 100 ms.
  virtual void AwaitNews(Deadline deadline, std::stop_token stop) = 0;
};

// The group that a members file describes: one view for ever, with epoch 0, and no datasets.
class FixedGroup : public GroupSource {
 public:
  // Errors: those of MakePlacement.
  static Result<std::unique_ptr<FixedGroup>> Create(const MembersFile& members);

  std::shared_ptr<const GroupView> view() const override { return view_; }
  std::uint64_t newest_epoch() const override { return 0; }
  void Heard(std::uint64_t) override {}
  void Refresh() override {}
  void AwaitNews(Deadline, std::stop_token) override {}

 private:
  explicit FixedGroup(std::shared_ptr<const GroupView> view) : view_(std::move(view)) {}
  const std::shared_ptr<const GroupView> view_;
};

}  // namespace forebay
