// OpenSegments: the segments of a tier, with what a predecessor that did not end in order left in
// them, or new.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/quota.h"
#include "store/memory_tier.h"
#include "store/segment.h"
#include "store/slot_scan.h"
#include "store/tier_directory.h"
#include "store/tier_files.h"

namespace forebay {

struct OpenedSegments {
  std::vector<std::unique_ptr<Segment>> segments;
  std::map<std::uint32_t, FoundChunk> chunks;  // By number in the tier: those with blocks.
  TierAdoption adoption;
};

// The layout for `options`, which keeps the size of a predecessor's segments where that can be.
TierLayout LayoutFor(const TierOptions& options, const TierDirectory& directory, TierFiles& files);

// Opens or makes the segments that `layout` wants, and removes the others. Chunks without a block
// have no pages. Reads headers only: whether a block's bytes are still right is for its first
// serve.
//
// Errors: those of Segment::Create. A segment that cannot be adopted is made anew.
Result<OpenedSegments> OpenSegments(TierFiles& files, const TierDirectory& directory,
                                    const TierLayout& layout, std::uint32_t block_bytes);

}  // namespace forebay
