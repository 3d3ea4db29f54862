// TreeUpstream: several stores, or parts of them, laid into one tree.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "upstream/upstream.h"

namespace forebay {

struct TreeMount {
  std::string point;   // "/", "/a", "/a/b": where in the tree.
  std::string prefix;  // Of the store's paths that are meant, without the '/' at its end; "": all.
  std::unique_ptr<Upstream> upstream;
};

// The tree of `mounts`. A mount point is a directory, and so is what lies above one, whether or not
// the store around it has a directory of that name; what that store has at a mount point or below
// it is not seen. Versions are those of the stores. Errors name the mount unless there is but one.
// A single mount of a whole store at "/" is that store itself.
//
// Errors: kInvalidArgument: no mount, a point that is not a plain absolute path, or one that
// repeats.
Result<std::unique_ptr<Upstream>> MakeTreeUpstream(std::vector<TreeMount> mounts);

}  // namespace forebay
