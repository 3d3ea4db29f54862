#include "cluster/group_view.h"

#include <utility>

namespace forebay {

Result<std::unique_ptr<FixedGroup>> FixedGroup::Create(const MembersFile& members) {
  auto view = std::make_shared<GroupView>();
  for (const Member& member : members.members) {
    view->map.ring.members.push_back({member.name, member.weight});
    view->map.members.push_back({member.name, member.address, false});
  }
  Result<Placement> placement = MakePlacement(view->map);
  if (!placement.ok()) return std::move(placement).error();
  view->placement = std::move(placement).value();
  view->map_json = ToJson(view->map);
  return std::unique_ptr<FixedGroup>(new FixedGroup(std::move(view)));
}

}  // namespace forebay
