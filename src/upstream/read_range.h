// What every Upstream checks before it asks its store.
#pragma once

#include "base/result.h"
#include "upstream/upstream.h"

namespace forebay {

// Errors: kInvalidArgument. Pure.
inline Status CheckRange(const ReadRange& range) {
  if (range.length == 0 || range.offset > range.file_size ||
      range.length > range.file_size - range.offset) {
    return Error(Code::kInvalidArgument,
                 "\"" + range.path + "\": a range of no bytes, or beyond the file's end");
  }
  return {};
}

}  // namespace forebay
