// The upstream of a dataset: its mounts laid into one tree.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "cluster/group_json.h"
#include "upstream/upstream.h"

namespace forebay {

// `environment` has what the options of a mount leave open, as for ResolveOptions. Versions are
// those that workers see. Touches no network.
// Errors: kInvalidArgument, naming the mount.
Result<std::unique_ptr<Upstream>> MakeDatasetUpstream(
    const DatasetEntry& dataset, const std::map<std::string, std::string>& environment);

// Whether both have the same stores, with the same secrets, at the same places.
bool SameMounts(const DatasetEntry& a, const DatasetEntry& b);

}  // namespace forebay
