// From Code to errno: the one table, for everything that the mount answers.
#pragma once

#include <cerrno>

#include "base/result.h"

namespace forebay {

// A program sees an error only if the store cannot answer, refuses, or has replaced what was read.
inline int ErrnoOf(Code code) {
  switch (code) {
    case Code::kNotFound: return ENOENT;
    case Code::kInvalidArgument: return EINVAL;
    case Code::kDenied: return EACCES;
    case Code::kChanged: return ESTALE;
    case Code::kCancelled: return EINTR;
    // EAGAIN of a regular file breaks programs.
    case Code::kOverloaded:
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kCorrupt:
    case Code::kInternal:
    // These two never leave the client.
    case Code::kNotHere:
    case Code::kStale: return EIO;
  }
  return EIO;
}

}  // namespace forebay
